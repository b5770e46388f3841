//! Every state with everything that can happen in it.

use std::{net::Shutdown, process::Child};

use nix::sys::socket::{setsockopt, sockopt::Ipv4RecvErr};
use probe::{
    model::{Family, Flags, State},
    net::Tcp,
};

use super::{
    host::{Connection, Host, Unreachable},
    program,
};
use crate::actor::Actor;

/// How a connection was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    Active,
    Passive,
}

/// What was done to the connection in ESTABLISHED, before it went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    None,
    /// Data that the process does not read.
    Unread,
    /// With IP_RECVERR, an ICMP host unreachable message about data that was acknowledged later: `sk_err` is set.
    RecvErr,
}

/// The states, in the order in which a connection reaches them.
pub const STATES: [State; 8] = [
    State::SynSent,
    State::SynRecv,
    State::Established,
    State::CloseWait,
    State::FinWait1,
    State::FinWait2,
    State::Closing,
    State::LastAck,
];

const FIN_ACK: Flags = Flags::FIN.with(Flags::ACK);

/// Opens a connection and brings it into a state, its socket open.
pub fn reach<'a>(
    host: &'a Host,
    family: Family,
    opening: Opening,
    mark: Mark,
    state: State,
    label: &str,
) -> Connection<'a> {
    use State::*;
    let mut connection = host.connection(family, label);
    let one = &mut connection;
    match (opening, state) {
        (Opening::Active, SynSent) => one.start(),
        (Opening::Active, SynRecv) => {
            one.start();
            one.receives(Flags::SYN, b"");
        }
        (Opening::Active, _) => one.connect(),
        (Opening::Passive, _) => {
            one.listen(|family| Tcp::new(family).unwrap());
            one.is_connected_to();
            one.accept();
        }
    }
    match mark {
        Mark::None => {}
        Mark::Unread => one.receives(Flags::ACK, b"unread"),
        Mark::RecvErr => {
            setsockopt(one.socket(), Ipv4RecvErr, &true).unwrap();
            let packet = one.write(b"data");
            one.receives_icmp(&packet, Unreachable::Host);
            one.acknowledges(4);
        }
    }
    if matches!(state, CloseWait | LastAck) {
        one.receives(FIN_ACK, b"");
    }
    if matches!(state, FinWait1 | FinWait2 | Closing | LastAck) {
        one.socket().shutdown(Shutdown::Write).unwrap();
    }
    match state {
        FinWait2 => one.acknowledges(1),
        Closing => one.receives(FIN_ACK, b""),
        _ => {}
    }
    assert_eq!(one.socket().state().unwrap(), state, "{label}");
    connection
}

/// What happens in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Close,
    /// close(2) with SO_LINGER 0.
    Abort,
    ShutdownWr,
    ShutdownRd,
    ShutdownRdwr,
    Exit,
    ExitOfThreads,
    Kill,
    KillOfThreads,
    Exec,
    Unspec,
    Unspec32,
    Rst,
    Fin,
    /// An ACK of all that was sent.
    Ack,
    Data,
    IcmpHost,
    IcmpPort,
    Destroy,
}

/// Those that need no helper process, and those that need one.
pub const EVENTS: [Event; 19] = [
    Event::Close,
    Event::Abort,
    Event::ShutdownWr,
    Event::ShutdownRd,
    Event::ShutdownRdwr,
    Event::Exit,
    Event::ExitOfThreads,
    Event::Kill,
    Event::KillOfThreads,
    Event::Exec,
    Event::Unspec,
    Event::Unspec32,
    Event::Rst,
    Event::Fin,
    Event::Ack,
    Event::Data,
    Event::IcmpHost,
    Event::IcmpPort,
    Event::Destroy,
];

impl Event {
    /// Whether it can happen in the state.
    pub fn is_possible(self, state: State, mark: Mark, family: Family) -> bool {
        use State::*;
        let is_synchronized = !matches!(state, SynSent | SynRecv);
        let peer_may_send = matches!(state, SynRecv | Established | FinWait1 | FinWait2);
        match self {
            Self::Fin | Self::Data => peer_may_send,
            Self::Ack => matches!(state, SynRecv | FinWait1 | Closing | LastAck),
            Self::IcmpHost | Self::IcmpPort => state != FinWait2 && mark != Mark::RecvErr,
            // Threads and exec(2) add nothing to the other states.
            Self::ExitOfThreads | Self::KillOfThreads | Self::Exec => {
                is_synchronized && family == Family::Ipv4
            }
            _ => true,
        }
    }

    /// Makes it happen.
    pub fn happens(self, to: &mut Connection<'_>) {
        match self {
            Self::Close => drop(to.socket.take()),
            Self::Abort => {
                to.socket().reset_on_close().unwrap();
                drop(to.socket.take());
            }
            // Where the direction is shut already, or there is no connection, the call fails.
            Self::ShutdownWr => drop(to.socket().shutdown(Shutdown::Write)),
            Self::ShutdownRd => drop(to.socket().shutdown(Shutdown::Read)),
            Self::ShutdownRdwr => drop(to.socket().shutdown(Shutdown::Both)),
            Self::Exit => {
                let mut child = program::holds(to.socket.take().unwrap(), &["true"]);
                assert!(child.wait().unwrap().success());
            }
            Self::Kill => killed(program::holds(to.socket.take().unwrap(), &["tail", "-f", "/dev/null"])),
            Self::ExitOfThreads => held_by_threads(to).exits(),
            Self::KillOfThreads => drop(held_by_threads(to)),
            Self::Exec => held_by_threads(to).becomes("executed"),
            Self::Unspec => to.socket().disconnect().unwrap(),
            Self::Unspec32 => program::disconnects_in_32_bits(to.socket()),
            Self::Rst => to.receives(Flags::RST.with(Flags::ACK), b""),
            Self::Fin => to.receives(FIN_ACK, b""),
            Self::Ack => {
                let is_fin_sent =
                    to.socket.as_ref().is_none_or(|socket| socket.state() != Ok(State::SynRecv));
                to.acknowledges(u32::from(is_fin_sent));
            }
            Self::Data => to.receives(Flags::ACK, b"data"),
            Self::IcmpHost => icmp(to, Unreachable::Host),
            Self::IcmpPort => icmp(to, Unreachable::Port),
            Self::Destroy => to.destroy(to.ends()),
        }
    }
}

/// An ICMP message about the last segment that occupies a sequence number.
fn icmp(to: &Connection<'_>, what: Unreachable) {
    let state = to.socket.as_ref().map(|socket| socket.state().unwrap());
    if matches!(state, Some(State::Established | State::CloseWait)) {
        to.write(b"data");
    }
    let packet = to.packet("segment", |segment| segment.length() > 0);
    to.receives_icmp(&packet, what);
}

fn killed(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A process with several threads that has the socket.
fn held_by_threads(to: &mut Connection<'_>) -> Actor {
    let actor = to.host.inside.enter(|| Actor::here("threads")).unwrap();
    let socket = to.socket.take().unwrap();
    actor.takes("held", std::os::fd::AsFd::as_fd(&socket).try_clone_to_owned().unwrap());
    actor
}

/// Ends what is left of it: the peer resets it.
pub fn ends(mut connection: Connection<'_>) {
    connection.receives(Flags::RST.with(Flags::ACK), b"");
}

/// Every state with every event.
pub fn run(host: &Host) {
    for family in [Family::Ipv4, Family::Ipv6] {
        for state in STATES {
            for (opening, mark) in variants(state, family) {
                for event in EVENTS.into_iter().filter(|event| event.is_possible(state, mark, family)) {
                    let label = format!("{} {opening:?} {mark:?}: {event:?}", state.name());
                    let mut connection = reach(host, family, opening, mark, state, &label);
                    event.happens(&mut connection);
                    ends(connection);
                }
            }
        }
    }
}

fn variants(state: State, family: Family) -> Vec<(Opening, Mark)> {
    if matches!(state, State::SynSent | State::SynRecv) {
        return vec![(Opening::Active, Mark::None)];
    }
    let mut variants = vec![
        (Opening::Active, Mark::None),
        (Opening::Passive, Mark::None),
        (Opening::Active, Mark::Unread),
        (Opening::Passive, Mark::Unread),
    ];
    if family == Family::Ipv4 {
        variants.push((Opening::Active, Mark::RecvErr));
    }
    variants
}
