//! The kernel's functions behind transitions.

use probe_ebpf::StackFunction::{
    self, ChildForget, InetStreamConnect, ListenStop, TcpAbort, TcpClose, TcpDisconnect, TcpReset,
};

use super::*;
use crate::net::destroy::destroy;

/// A port that only these tests use.
const PORT: u16 = 2425;

/// The functions behind the socket's transition into CLOSE from this state, the innermost first; `None` before it is
/// reported.
fn stack(events: &[Input], old: State, port: u16) -> Option<Vec<StackFunction>> {
    let is_it = |report: &&Report| {
        (report.old, report.new, report.ends.local.port_or_zero()) == (old, State::Close, port)
    };
    let codes = reports(events).find(is_it)?.stack.map_or([0; 4], KernelStack::codes);
    Some(codes.into_iter().filter_map(StackFunction::from_code).collect())
}

/// A connection's client, and the listener that has not accepted it.
fn unaccepted(inside: &Namespace) -> (Tcp, Tcp) {
    inside
        .enter(|| {
            let listener = Tcp::listening(loopback(PORT)).unwrap();
            let client = Tcp::new(Family::Ipv4).unwrap();
            client.connect(loopback(PORT), deadline()).unwrap();
            (listener, client)
        })
        .unwrap()
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn the_stack_shows_who_ended_a_connection_without_an_error() {
    for options in every_backend() {
        let mut live = attach(&options);
        let inside = Namespace::private().unwrap();
        let (listener, client) = unaccepted(&inside);
        drop(listener);
        let events = until(&mut live, |events| stack(events, State::Established, PORT).is_some()).await;
        println!("{:?}", stack(&events, State::Established, PORT));
        println!("{:?}", stack(&events, State::Listen, PORT));
        let port = client.local().unwrap().port();
        println!("{:?}", stack(&events, State::Established, port));
    }
    panic!();
}
