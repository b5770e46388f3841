//! This process as the kernel's reports name it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{
    model::{Input, Report, State},
    net::{Tcp, socket},
};

/// A listener on a loopback port of the kernel's choice, opened and closed at once. Its reports are in
/// the ring when this returns, since both calls report in the caller's own context.
pub struct Landmark {
    cookie: u64,
    port: u16,
}

impl Landmark {
    /// Leaves the mark. `None` where neither family has a loopback address.
    pub fn leave() -> Option<Self> {
        let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        loopback.into_iter().find_map(|addr| Self::at(SocketAddr::new(addr, 0)).ok())
    }

    fn at(local: SocketAddr) -> socket::Result<Self> {
        let listener = Tcp::listening(local)?;
        Ok(Self { cookie: listener.cookie()?, port: listener.local()?.port() })
    }

    /// The process id in the mark's report; `None` where that is not among `events`. It differs from getpid(2)'s in a
    /// container, which has a pid namespace of its own.
    pub fn find(&self, events: &[Input]) -> Option<u32> {
        let opening = events.iter().find_map(|event| match event {
            Input::Report(report) if self.is_opening(report) => Some(report),
            _ => None,
        })?;
        opening.task.as_ref().map(|task| task.pid)
    }

    /// The first report comes before SO_COOKIE was asked for, so that the classic tracepoint's has none.
    fn is_opening(&self, report: &Report) -> bool {
        report.new == State::Listen
            && report.ends.local.port_or_zero() == self.port
            && report.cookie.is_none_or(|cookie| cookie == self.cookie)
    }
}
