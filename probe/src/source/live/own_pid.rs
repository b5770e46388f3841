//! This process's id as the kernel reports it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{
    model::{Input, Report, State},
    net::{Tcp, socket},
};

/// A listener on a loopback port of the kernel's choice, opened and closed at once. Its reports are in the rings when
/// [`open`](Self::open) returns, since both calls report in the caller's own context.
pub struct OwnListener {
    cookie: u64,
    port: u16,
}

impl OwnListener {
    /// Opens and closes the listener. `None` where neither family has a loopback address.
    pub fn open() -> Option<Self> {
        let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        loopback.into_iter().find_map(|addr| Self::at(SocketAddr::new(addr, 0)).ok())
    }

    fn at(local: SocketAddr) -> socket::Result<Self> {
        let listener = Tcp::listening(local)?;
        Ok(Self { cookie: listener.cookie()?, port: listener.local()?.port() })
    }

    /// The process id in the listener's report; `None` where `events` do not contain it. In a container with a pid
    /// namespace of its own, it differs from getpid(2)'s.
    pub fn find_pid(&self, events: &[Input]) -> Option<u32> {
        let opening = events.iter().find_map(|event| match event {
            Input::Report(report) if self.is_opening(report) => Some(report),
            _ => None,
        })?;
        opening.task.as_ref().map(|task| task.pid)
    }

    /// The first report precedes the request of SO_COOKIE, so that the classic tracepoint's has no cookie.
    fn is_opening(&self, report: &Report) -> bool {
        report.new == State::Listen
            && report.identity.endpoints.local.port_or_zero() == self.port
            && report.cookie.is_none_or(|cookie| cookie == self.cookie)
    }
}
