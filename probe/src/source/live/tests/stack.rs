//! The kernel's functions behind transitions.

use probe_ebpf::StackFunction::{
    self, InetStreamConnect, ListenStop, TcpAbort, TcpClose, TcpDisconnect, TcpValidateIncoming,
};

use super::*;
use crate::{
    model::{Endpoints, KernelStack},
    net::destroy::destroy,
};

/// Ports, each of which only one of these tests uses: without type information, reports do not contain the namespace.
const UNACCEPTED: u16 = 2431;
const DISCONNECTED: u16 = 2432;
const ORDINARY: u16 = 2433;

/// The functions behind the transition that this local port makes into CLOSE from this state, the innermost first; `None`
/// before it is reported.
fn functions(events: &[Input], old: State, port: u16) -> Option<Vec<StackFunction>> {
    let report = reports(events).find(|report| {
        (report.old, report.new, report.identity.endpoints.local.port_or_zero()) == (old, State::Close, port)
    })?;
    let codes = report.stack.map_or_else(Default::default, KernelStack::codes);
    Some(codes.into_iter().filter_map(StackFunction::from_code).collect())
}

/// The functions, once the transition is reported.
async fn expect_functions(live: &mut Live, old: State, port: u16) -> Vec<StackFunction> {
    let events = until(live, |events| functions(events, old, port).is_some()).await;
    functions(&events, old, port).unwrap()
}

/// A listener on this port, and a client that it has not accepted.
fn unaccepted(inside: &Namespace, port: u16) -> (Tcp, Tcp) {
    inside
        .enter(|| {
            let listener = Tcp::listening(loopback(port)).unwrap();
            let client = Tcp::new(Family::Ipv4).unwrap();
            client.connect(loopback(port), deadline()).unwrap();
            (listener, client)
        })
        .unwrap()
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn the_stack_shows_that_the_listener_ended_a_connection() {
    for options in every_backend() {
        let mut live = attach(&options);
        let inside = Namespace::private().unwrap();
        let (listener, client) = unaccepted(&inside, UNACCEPTED);
        drop(listener);
        let port = client.local().unwrap().port();
        let events = until(&mut live, |events| {
            [(State::Established, UNACCEPTED), (State::Listen, UNACCEPTED), (State::Established, port)]
                .into_iter()
                .all(|(old, port)| functions(events, old, port).is_some())
        })
        .await;
        let child = functions(&events, State::Established, UNACCEPTED).unwrap();
        assert_eq!(child.first(), Some(&TcpDisconnect));
        assert!(child.contains(&ListenStop) && child.contains(&TcpClose), "{child:?}");
        assert_eq!(functions(&events, State::Listen, UNACCEPTED), Some(vec![TcpClose]));
        // The child's RST.
        let client = functions(&events, State::Established, port).unwrap();
        assert!(client.contains(&TcpValidateIncoming), "{client:?}");
    }
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn the_stack_shows_a_disconnect_and_a_destroyed_socket() {
    for options in every_backend() {
        let mut live = attach(&options);
        let inside = Namespace::private().unwrap();
        let (listener, client) = unaccepted(&inside, DISCONNECTED);
        let port = client.local().unwrap().port();
        client.disconnect().unwrap();
        let disconnected = expect_functions(&mut live, State::Established, port).await;
        assert_eq!(disconnected, [TcpDisconnect, InetStreamConnect]);

        let local = inside
            .enter(|| {
                let client = Tcp::new(Family::Ipv4).unwrap();
                client.connect(loopback(DISCONNECTED), deadline()).unwrap();
                let local = client.local().unwrap();
                let ends = Endpoints { local: local.into(), remote: loopback(DISCONNECTED).into() };
                destroy(Family::Ipv4, ends).unwrap();
                local
            })
            .unwrap();
        let destroyed = expect_functions(&mut live, State::Established, local.port()).await;
        assert_eq!(destroyed.last(), Some(&TcpAbort), "{destroyed:?}");
        drop(listener);
    }
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn an_ordinary_connection_has_no_stack() {
    for options in every_backend().into_iter().filter(|options| !options.without_btf) {
        let mut live = attach(&options);
        let inside = Namespace::private().unwrap();
        let (listener, client) = unaccepted(&inside, ORDINARY);
        let server = listener.accept(deadline()).unwrap();
        let port = client.local().unwrap().port();
        drop(client);
        server.read_to_end(deadline()).unwrap();
        drop(server);
        let ends = |events: &[Input]| {
            reports(events)
                .filter(|report| report.new == State::Close && report.identity.netns == Some(inside.inode()))
                .count()
        };
        let events = until(&mut live, |events| ends(events) == 2).await;
        let of_connection = |report: &&Report| {
            let ports = [
                report.identity.endpoints.local.port_or_zero(),
                report.identity.endpoints.remote.port_or_zero(),
            ];
            ports.contains(&ORDINARY) && (ports.contains(&port) || report.new == State::SynRecv)
        };
        let with_stack: Vec<_> =
            reports(&events).filter(of_connection).filter(|report| report.stack.is_some()).collect();
        assert!(with_stack.is_empty(), "{with_stack:?}");
        assert!(reports(&events).filter(of_connection).count() > 6);
    }
}
