//! Connecting from the same port until it succeeds or the window is over.

use std::{
    hash::{BuildHasher as _, RandomState},
    thread,
    time::{Duration, Instant},
};

use super::{duration::format_duration, plan::Plan, port};
use crate::{
    model::{Errno, State},
    net::{Namespace, SocketError, Tcp, socket},
    scenario::{Context, SocketIndex, Span, StepError, labelled_socket::endpoints},
};

/// How long after the window the answer to the last SYN may arrive: the initial retransmission timeout (RFC
/// 6298 §2.1).
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// The shortest time from one attempt to the next.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// The outcome of all attempts.
pub(super) struct Attempts {
    /// The number of attempts.
    count: usize,
    /// The attempts before the last one that were refused in SYN_SENT.
    refused: Vec<SocketIndex>,
    /// The last attempt.
    pub(super) last: SocketIndex,
    /// The socket of the last attempt.
    pub(super) socket: Tcp,
    /// The result of the last connect(2).
    pub(super) outcome: socket::Result<()>,
    /// The time from the agreed time to the first connect(2).
    late: Duration,
    /// The time from the first connect(2) to the last result.
    elapsed: Duration,
}

impl Attempts {
    /// Connects `first`, and another socket after each refusal, until the plan's window is over, which
    /// started `late` ago.
    ///
    /// The hosts meet when the peer's SYN reaches one of these sockets in SYN_SENT, where each stays for one
    /// round trip. So the next attempt follows a refusal immediately: with a long round trip, a socket is in
    /// SYN_SENT nearly all the time. With a short one it is not, and the random intervals make the SYNs cross
    /// eventually.
    pub(super) fn make(
        plan: &Plan,
        first: Tcp,
        late: Duration,
        namespace: &Namespace,
        context: &mut Context,
    ) -> Result<Self, StepError> {
        let start = Instant::now();
        let until = start + plan.window.saturating_sub(late);
        let endpoints = endpoints(plan.local, plan.peer);
        let mut refused = Vec::new();
        let mut socket = first;
        let mut count = 0;
        loop {
            count += 1;
            let attempted = Instant::now();
            let last = context.register(format!("attempt {count}"), &socket, namespace, endpoints)?;
            let outcome = context.connect_until(last, &socket, plan.peer, until + ANSWER_TIMEOUT);
            let next = attempted + interval(attempted - start, random_fraction());
            let errno = outcome.as_ref().err().and_then(SocketError::errno);
            if !errno.is_some_and(is_reset) || next.max(Instant::now()) >= until {
                return Ok(Self { count, refused, last, socket, outcome, late, elapsed: start.elapsed() });
            }
            if errno == Some(Errno::ECONNREFUSED) {
                refused.push(last);
            }
            drop(socket);
            thread::sleep(next.saturating_duration_since(Instant::now()));
            socket = port::bind(plan.local)?;
        }
    }

    /// The attempts in one sentence.
    pub(super) fn summary(&self) -> String {
        let count = self.count;
        let [late, elapsed] = [self.late, self.elapsed].map(format_duration);
        let outcome = match &self.outcome {
            Ok(()) => format!("attempt {count} connected {elapsed} later"),
            Err(error) => format!("attempt {count}, the last, failed {elapsed} later ({error})"),
        };
        format!("the first attempt started {late} after the agreed time; {outcome}")
    }

    /// Expects the kernel to have reported that the attempts before the last one were refused.
    pub(super) fn expect_refused(&self, context: &mut Context) {
        if !self.refused.is_empty() {
            let refused = [State::Close, State::SynSent, State::Close];
            context.expect_path("earlier attempts", &self.refused, Span::Whole, &refused);
        }
    }
}

/// Whether the peer's host answered with an RST, so that another attempt may succeed: to a SYN without a
/// matching socket, or (ECONNRESET) to a SYN+ACK after the peer's socket was closed.
fn is_reset(errno: Errno) -> bool {
    matches!(errno, Errno::ECONNREFUSED | Errno::ECONNRESET)
}

/// The time from one attempt to the next, `elapsed` after the first: one millisecond, or a thousandth of
/// `elapsed` if that is longer, so that an hour has a few thousand attempts. `random`, from 0 to 1, adds up
/// to as much again: two hosts with equal intervals might never meet.
fn interval(elapsed: Duration, random: f64) -> Duration {
    SHORTEST_INTERVAL.max(elapsed / 1000).mul_f64(1.0 + random)
}

/// A random number from 0 to 1.
fn random_fraction() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_grow_and_limit_the_number_of_attempts() {
        for elapsed in [0, 1, 999, 1_000, 60_000].map(Duration::from_millis) {
            let shortest = interval(elapsed, 0.0);
            assert!(shortest >= SHORTEST_INTERVAL && shortest >= elapsed / 1000);
            assert_eq!(interval(elapsed, 1.0), shortest * 2);
        }
        let (mut elapsed, mut attempts) = (Duration::ZERO, 0);
        while elapsed < Duration::from_secs(3600) {
            elapsed += interval(elapsed, 0.0);
            attempts += 1;
        }
        assert!((1_000..10_000).contains(&attempts), "{attempts} attempts in an hour");
    }

    #[test]
    fn two_hosts_use_different_intervals() {
        let intervals = || (0..8).map(|_| interval(Duration::ZERO, random_fraction())).collect::<Vec<_>>();
        let (one, other) = (intervals(), intervals());
        assert_ne!(one, other);
        assert!(one.iter().all(|interval| (1..=2).contains(&interval.as_millis())), "{one:?}");
    }

    #[test]
    fn only_a_reset_is_followed_by_another_attempt() {
        assert!([Errno::ECONNREFUSED, Errno::ECONNRESET].into_iter().all(is_reset));
        assert!(![Errno::EHOSTUNREACH, Errno::EADDRNOTAVAIL].into_iter().any(is_reset));
    }
}
