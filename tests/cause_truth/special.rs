//! What the matrix of states does not reach: listeners and children that nobody accepted, orphans, Fast Open, TCP_REPAIR,
//! calls that fail, and errors left in a socket by its last connection.

use std::net::{Shutdown, SocketAddr};

use nix::sys::socket::{setsockopt, sockopt::TcpFastOpenConnect};
use probe::{
    model::{Endpoint, Endpoints, Family, Flags, Segment, State},
    net::Tcp,
};

use super::{
    host::{Connection, Host},
    matrix::{Event, Mark, Opening, ends, reach},
};
use crate::traced_link::set_sysctl;

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

/// What ends a listener.
const LISTENER_EVENTS: [Event; 8] = [
    Event::Close,
    Event::Exit,
    Event::Kill,
    Event::ShutdownRdwr,
    Event::ShutdownRd,
    Event::Unspec,
    Event::Unspec32,
    Event::Destroy,
];

/// What happens to a socket that has sent nothing, or no FIN.
const CALLS: [Event; 8] = [
    Event::Close,
    Event::Abort,
    Event::Exit,
    Event::Kill,
    Event::ShutdownWr,
    Event::Unspec,
    Event::Unspec32,
    Event::Destroy,
];

/// All of it.
pub fn run(host: &Host) {
    for family in FAMILIES {
        orphans(host, family);
        children(host, family);
        fast_open_children(host, family);
        stale_errors(host, family);
        fast_open(host, family);
        deferred_fast_open(host, family);
        deferred_shutdown(host, family);
        repaired(host, family);
        failures(host, family);
    }
}

fn plain(family: Family) -> Tcp {
    Tcp::new(family).unwrap()
}

/// No process has the socket when the event comes.
fn orphans(host: &Host, family: Family) {
    use Event::*;
    for state in [State::FinWait1, State::FinWait2, State::Closing, State::LastAck] {
        for linger in [false, true] {
            for event in [Rst, Fin, Ack, Data, IcmpHost, IcmpPort, Destroy] {
                // A mini-socket follows an orphan in FIN_WAIT2 at once.
                if !event.is_possible(state, Mark::None, family) || (state == State::FinWait2 && event != Rst)
                {
                    continue;
                }
                let linger2 = if linger { " LINGER2 -1" } else { "" };
                let label = format!("{} orphan{linger2}: {event:?}", state.name());
                let mut one = reach(host, family, Opening::Active, Mark::None, state, &label);
                if linger {
                    one.socket().linger_in_fin_wait2(-1).unwrap();
                }
                drop(one.socket.take());
                event.happens(&mut one);
                ends(one);
            }
        }
    }
    // The peer's FIN and its ACK of ours come together.
    let mut one =
        reach(host, family, Opening::Active, Mark::None, State::FinWait1, "FIN_WAIT1: FIN with ACK");
    one.acknowledged = one.acknowledged.wrapping_add(1);
    Fin.happens(&mut one);
}

/// A listener and a child in its accept queue.
fn children(host: &Host, family: Family) {
    for child in ["no child", "ESTABLISHED child", "CLOSE_WAIT child", "two children"] {
        for event in LISTENER_EVENTS {
            let mut one = host.connection(family, &format!("listener with {child}: {event:?}"));
            one.listen(plain);
            if child != "no child" {
                one.is_connected_to();
            }
            if child == "CLOSE_WAIT child" {
                Event::Fin.happens(&mut one);
            }
            if child == "two children" {
                let mut other = host.connection(family, &format!("second child: listener's {event:?}"));
                other.local = one.local;
                other.remote.set_port(9);
                other.is_connected_to();
            }
            listener_ends(&mut one, event);
        }
    }
}

/// The event happens to the listener of the connection.
fn listener_ends(one: &mut Connection<'_>, event: Event) {
    one.socket = one.listener.take();
    if event == Event::Destroy {
        let any = match one.family {
            Family::Ipv4 => "0.0.0.0:0",
            Family::Ipv6 => "[::]:0",
        };
        let remote: Endpoint = any.parse::<SocketAddr>().unwrap().into();
        one.destroy(Endpoints { local: one.local.into(), remote });
    } else {
        event.happens(one);
    }
}

/// A child in SYN_RECV: Fast Open creates it at the SYN.
fn fast_open_child<'a>(host: &'a Host, family: Family, label: &str) -> Connection<'a> {
    let mut one = host.connection(family, label);
    one.listen(plain);
    one.listener.as_ref().unwrap().fast_open_queue(8).unwrap();
    one.receives(Flags::SYN, b"data");
    let answer = one.packet("SYN+ACK", Segment::is_syn_ack).segment.unwrap();
    one.acknowledged = answer.seq.wrapping_add(1);
    one
}

fn fast_open_children(host: &Host, family: Family) {
    use Event::*;
    for event in LISTENER_EVENTS {
        let label = format!("listener with Fast Open child: {event:?}");
        let mut one = fast_open_child(host, family, &label);
        listener_ends(&mut one, event);
        ends(one);
    }
    for event in
        [Close, Abort, ShutdownWr, ShutdownRdwr, Exit, Kill, Unspec, Unspec32, Rst, Fin, Ack, Data, Destroy]
    {
        let mut one = fast_open_child(host, family, &format!("SYN_RECV Fast Open: {event:?}"));
        one.accept();
        event.happens(&mut one);
        ends(one);
    }
}

/// What the socket did before.
#[derive(Clone, Copy, Debug)]
enum Past {
    Nothing,
    Refused,
    Unspec,
}

impl Past {
    const ALL: [Self; 3] = [Self::Nothing, Self::Refused, Self::Unspec];

    /// A bound socket with this past.
    fn happens<'a>(self, host: &'a Host, family: Family, label: &str) -> Connection<'a> {
        let mut one = host.connection(family, label);
        match self {
            Self::Nothing => one.bind(plain),
            Self::Refused => {
                one.start();
                Event::Rst.happens(&mut one);
                // The call that returns the error makes the socket free for another.
                one.socket().connect_once(one.remote).unwrap_err();
            }
            Self::Unspec => {
                one.connect();
                Event::Unspec.happens(&mut one);
            }
        }
        one
    }
}

/// `sk_err` is the last connection's.
fn stale_errors(host: &Host, family: Family) {
    for past in Past::ALL {
        for event in LISTENER_EVENTS {
            let mut one = past.happens(host, family, &format!("listener after {past:?}: {event:?}"));
            one.socket().listen(8).unwrap();
            one.listener = one.socket.take();
            listener_ends(&mut one, event);
        }
    }
}

/// Data in the SYN.
fn fast_open(host: &Host, family: Family) {
    let mut one = host.connection(family, "connect with MSG_FASTOPEN");
    one.bind(plain);
    one.socket().fast_open(b"data", one.remote).unwrap();
    let syn = one.packet("SYN", Segment::is_syn).segment.unwrap();
    one.acknowledged = syn.seq.wrapping_add(syn.length());
    one.receives(Flags::SYN.with(Flags::ACK), b"");
    ends(one);
}

/// shutdown(2) before the handshake is complete: since Linux 6.9 the FIN waits.
fn deferred_shutdown(host: &Host, family: Family) {
    let mut one =
        reach(host, family, Opening::Active, Mark::None, State::SynRecv, "SYN_RECV: shutdown(WR), then ACK");
    Event::ShutdownWr.happens(&mut one);
    one.acknowledges(0);
    ends(one);
}

/// A connect(2) that sends no SYN until data is written.
fn deferred_fast_open(host: &Host, family: Family) {
    for past in Past::ALL {
        for event in CALLS {
            let label = format!("SYN_SENT deferred Fast Open after {past:?}: {event:?}");
            let mut one = past.happens(host, family, &label);
            // Another port: the peer's cookie state is of no matter.
            setsockopt(one.socket(), TcpFastOpenConnect, &true).unwrap();
            one.socket().connect_once(one.remote).unwrap();
            assert_eq!(one.socket().state().unwrap(), State::SynSent, "{label}");
            event.happens(&mut one);
        }
    }
}

/// TCP_REPAIR: the state changes without segments.
fn repaired(host: &Host, family: Family) {
    for event in CALLS {
        let mut one = host.connection(family, &format!("connected under TCP_REPAIR: {event:?}"));
        one.bind(plain);
        one.socket().repair().unwrap();
        one.socket().connect_once(one.remote).unwrap();
        event.happens(&mut one);
        let label = format!("ESTABLISHED, then TCP_REPAIR: {event:?}");
        let mut one = reach(host, family, Opening::Active, Mark::None, State::Established, &label);
        one.socket().repair().unwrap();
        event.happens(&mut one);
    }
}

/// Calls that fail.
fn failures(host: &Host, family: Family) {
    let port = host.take_port("the only port of the range");
    set_sysctl(&host.inside, "ipv4/ip_local_port_range", format!("{port} {port}"));
    let [holder, other] = [(); 2].map(|()| host.inside.enter(|| plain(family)).unwrap());
    let remote = host.existing(family, SocketAddr::from(([0, 0, 0, 0], port))).remote;
    holder.begin_connect(remote).unwrap();
    other.connect_once(remote).unwrap_err();
    drop((holder, other));

    let taken = reach(host, family, Opening::Active, Mark::None, State::Established, "the 4-tuple's holder");
    let mut again = host.connection(family, "connect with a 4-tuple in use");
    again.local = taken.local;
    again.bind(plain);
    again.socket().connect_once(taken.remote).unwrap_err();
    ends(taken);

    let mut first = host.connection(family, "two listeners on a port");
    first.bind(plain);
    let socket = first.socket.take();
    first.bind(plain);
    first.socket().listen(8).unwrap();
    socket.unwrap().listen(8).unwrap_err();

    let mut shut = host.connection(family, "listener shut down, then listening again");
    shut.bind(plain);
    shut.socket().listen(8).unwrap();
    shut.socket().shutdown(Shutdown::Both).unwrap();
    shut.socket().listen(8).unwrap();
}
