//! Connecting, from the same port, until it is a connection or the window is over.

use std::{
    hash::{BuildHasher as _, RandomState},
    thread,
    time::{Duration, Instant},
};

use super::{Plan, friendly, port};
use crate::{
    model::{Errno, State},
    net::{Namespace, SocketError, Tcp, socket},
    scenario::{ActorId, Span, Stage, StepError, stage},
};

/// How long after the window the answer to the last SYN may come: the time after which TCP takes a first
/// segment for lost (RFC 6298 §2.1).
const ANSWER: Duration = Duration::from_secs(1);

/// The shortest time from one try to the next.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// What connecting came to.
pub(super) struct Tries {
    /// How many there were.
    count: usize,
    /// Those before the last that were refused in SYN_SENT.
    refused: Vec<ActorId>,
    /// The last one.
    pub(super) last: ActorId,
    /// Its socket.
    pub(super) socket: Tcp,
    /// What its connect(2) came to.
    pub(super) outcome: socket::Result<()>,
    /// From the agreed time to the first connect(2).
    late: Duration,
    /// From there to the outcome.
    took: Duration,
}

impl Tries {
    /// Connects `first`, and while refused further sockets, until the plan's window, which began `late` ago,
    /// is over.
    ///
    /// The peer is met when its SYN finds one of these sockets in SYN_SENT, where each is for a round trip.
    /// So the next try is made at once after a refusal: on a long way, this end is in SYN_SENT nearly all
    /// the time. On a short way it cannot be; there the pauses make the chance.
    pub(super) fn make(
        plan: &Plan,
        first: Tcp,
        late: Duration,
        namespace: &Namespace,
        stage: &mut Stage,
    ) -> Result<Self, StepError> {
        let begun = Instant::now();
        let until = begun + plan.window.saturating_sub(late);
        let ends = stage::ends(plan.local, plan.peer);
        let mut refused = Vec::new();
        let mut socket = first;
        let mut count = 0;
        loop {
            count += 1;
            let tried = Instant::now();
            let last = stage.join(format!("try {count}"), &socket, namespace, ends)?;
            let outcome = stage.connect_by(last, &socket, plan.peer, until + ANSWER);
            let next = tried + pause(tried - begun, chance());
            let errno = outcome.as_ref().err().and_then(SocketError::errno);
            if !errno.is_some_and(is_worth_another) || next.max(Instant::now()) >= until {
                return Ok(Self { count, refused, last, socket, outcome, late, took: begun.elapsed() });
            }
            if errno == Some(Errno::ECONNREFUSED) {
                refused.push(last);
            }
            drop(socket);
            thread::sleep(next.saturating_duration_since(Instant::now()));
            socket = port::bind(plan.local)?;
        }
    }

    /// What happened, in one sentence.
    pub(super) fn account(&self) -> String {
        let count = self.count;
        let end = match &self.outcome {
            Ok(()) => format!("connected at try {count}"),
            Err(error) => format!("not connected after try {count} ({error})"),
        };
        let [late, took] = [self.late, self.took].map(friendly);
        format!("the first try began {late} after the agreed time; {end}, {took} later")
    }

    /// Expects the kernel to have reported the tries before the last as refused.
    pub(super) fn expect_refused(&self, stage: &mut Stage) {
        if !self.refused.is_empty() {
            let refused = [State::Close, State::SynSent, State::Close];
            stage.path("tries before that", &self.refused, Span::Life, &refused);
        }
    }
}

/// Whether the peer's host answered with a reset: to a SYN for nobody, or (ECONNRESET) to the SYN+ACK for
/// one who was gone by then.
fn is_worth_another(errno: Errno) -> bool {
    matches!(errno, Errno::ECONNREFUSED | Errno::ECONNRESET)
}

/// From one try to the next, `elapsed` after the first: a millisecond, and a thousandth of the time that has
/// passed where that is more, so that an hour's tries are some thousands; up to twice that by `chance`, a
/// number from 0 to 1, for two ends in step with each other might miss each other for ever.
fn pause(elapsed: Duration, chance: f64) -> Duration {
    SHORTEST_PAUSE.max(elapsed / 1000).mul_f64(1.0 + chance)
}

/// A number from 0 to 1, another one each time.
fn chance() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_short_at_first_and_never_a_flood() {
        for elapsed in [0, 1, 999, 1_000, 60_000].map(Duration::from_millis) {
            let shortest = pause(elapsed, 0.0);
            assert!(shortest >= SHORTEST_PAUSE && shortest >= elapsed / 1000);
            assert_eq!(pause(elapsed, 1.0), shortest * 2);
        }
        let (mut elapsed, mut tries) = (Duration::ZERO, 0);
        while elapsed < Duration::from_secs(3600) {
            elapsed += pause(elapsed, 0.0);
            tries += 1;
        }
        assert!((1_000..10_000).contains(&tries), "{tries} tries in an hour");
    }

    #[test]
    fn two_ends_do_not_keep_step() {
        let pauses = || (0..8).map(|_| pause(Duration::ZERO, chance())).collect::<Vec<_>>();
        let (one, other) = (pauses(), pauses());
        assert_ne!(one, other);
        assert!(one.iter().all(|pause| (1..=2).contains(&pause.as_millis())), "{one:?}");
    }

    #[test]
    fn only_a_reset_is_worth_another_try() {
        assert!([Errno::ECONNREFUSED, Errno::ECONNRESET].into_iter().all(is_worth_another));
        assert!(![Errno::EHOSTUNREACH, Errno::EADDRNOTAVAIL].into_iter().any(is_worth_another));
    }
}
