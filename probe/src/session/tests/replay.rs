//! What was recorded, again.

use std::{cell::RefCell, io::Write, rc::Rc};

use super::*;
use crate::source::recording::Recording;

/// Memory that a recording is written to.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything but what the trace itself measures.
fn stream(shown: &Shown) -> Vec<Output> {
    let events = shown.0.borrow();
    events.iter().filter(|event| !matches!(event, Output::End(_))).cloned().collect()
}

/// A trace about some sockets is recorded and played again: the recording says what it is about.
async fn plays_again(about: Filter, mut source: Memory, transitions: u64) {
    let (live, shown) = session(Selection::default());
    let kept = Kept::default();
    let writer = Writer::new(Box::new(kept.clone()) as Box<dyn Write>).unwrap();
    let mut live = live.recording(Some(writer)).about(about).asking(Box::new(Talkative::default()));
    source.ends = true;
    live.follow(&mut source, None, endless()).await.unwrap();
    let end = live.finish(None).unwrap();
    assert_eq!(end.transitions, transitions);

    let recording = kept.0.take();
    let (mut again, shown_again) = session(Selection::default());
    let mut source = Recording::new(&recording[..]).unwrap();
    let end_again = again.replay(&mut source, Ticks::Recorded).await.unwrap();
    assert_eq!(stream(&shown_again), stream(&shown));
    assert_eq!(end_again, end);
}

#[tokio::test]
async fn what_was_held_back_is_held_back_again() {
    let mut unbound = Socket::new(3, "127.0.0.1:0", "127.0.0.1:80");
    let begins = unbound.step(State::Close, State::SynSent);
    unbound.ends = client(3).ends;
    let goes_on = unbound.life(&CLIENT[1..]);
    let other = Socket::new(2, "127.0.0.1:5", "127.0.0.1:80").life(&CLIENT);
    let source = Memory::new([vec![ready(), begins], other, goes_on, to_itself()]);
    let about = Filter { local_ports: vec![40000..=40000], ..Filter::default() };
    plays_again(about, source, 5 + 3).await;
}

#[tokio::test]
async fn a_commands_sockets_are_its_again() {
    let mut descendants = client(1);
    descendants.owner_matches = Some(true);
    let others = client(2).life(&[State::Established, State::CloseWait]);
    let source = Memory::new([vec![ready()], others, descendants.life(&CLIENT)]);
    let about = Filter { pids: vec![1], descendants: true, ..Filter::default() };
    plays_again(about, source, 5).await;
}

#[tokio::test]
async fn time_is_filled_in_between_events_far_apart() {
    for (ticks, found) in [(Ticks::Recorded, 0), (Ticks::Filled, 1)] {
        let (session, shown) = session(Selection::default());
        let mut session =
            session.detecting(detect::Options { stuck_after: Duration::from_secs(5), ..Default::default() });
        // Socket 100's reports come when those of socket 1 are 99 seconds past.
        let mut late = client(100);
        let mut events = vec![ready()];
        events.extend(client(1).life(&[State::Close, State::SynSent]));
        events.push(late.step(State::Close, State::SynSent));
        let mut source = Memory::new([events]);
        source.ends = true;
        session.replay(&mut source, ticks).await.unwrap();
        assert_eq!(shown.count(|event| matches!(event, Output::Finding(_))), found, "{ticks:?}");
    }
}
