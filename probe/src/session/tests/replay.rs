//! Replays show what the recorded streams showed.

use std::{cell::RefCell, io::Write, rc::Rc};

use super::*;
use crate::source::recording::Recording;

/// Memory that a recording is written to.
#[derive(Clone, Default)]
struct Memory(Rc<RefCell<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All outputs but the closing figures.
fn stream(shown: &Captured) -> Vec<Output> {
    let outputs = shown.0.borrow();
    outputs.iter().filter(|output| !matches!(output, Output::End(_))).cloned().collect()
}

/// Records a trace of the sockets in `filter` and checks that its replay shows the same: the recording has the filter.
async fn check_replay(filter: Filter, mut source: MemorySource, transitions: u64) {
    let (live, shown) = session(Selection::default());
    let memory = Memory::default();
    let writer = Writer::new(Box::new(memory.clone()) as Box<dyn Write>).unwrap();
    let mut live =
        live.recording(Some(writer)).stream_filter(filter).host_queries(Box::new(AnsweringHost::default()));
    source.ends = true;
    follow(&mut live, &mut source, None, never()).await.unwrap();
    let end = live.finish(None).unwrap();
    assert_eq!(end.transitions, transitions);

    let recording = memory.0.take();
    let (mut second, replayed) = session(Selection::default());
    let mut source = Recording::new(&recording[..]).unwrap();
    let replay_end = replay(&mut second, &mut source, TickMode::Recorded).await.unwrap();
    assert_eq!(stream(&replayed), stream(&shown));
    assert_eq!(replay_end, end);
}

#[tokio::test]
async fn a_replay_holds_back_what_the_trace_held_back() {
    let mut unbound = Socket::new(3, "127.0.0.1:0", "127.0.0.1:80");
    let first = unbound.step(State::Close, State::SynSent);
    unbound.endpoints = client(3).endpoints;
    let others = unbound.walk(&CLIENT[1..]);
    let other = Socket::new(2, "127.0.0.1:5", "127.0.0.1:80").walk(&CLIENT);
    let source = MemorySource::new([vec![ready(), first], other, others, self_connect()]);
    let filter = Filter { local_ports: vec![40000..=40000], ..Filter::default() };
    check_replay(filter, source, 5 + 3).await;
}

#[tokio::test]
async fn a_replay_shows_the_sockets_of_the_command() {
    let mut descendants = client(1);
    descendants.owner_matches = Some(true);
    let others = client(2).walk(&[State::Established, State::CloseWait]);
    let source = MemorySource::new([vec![ready()], others, descendants.walk(&CLIENT)]);
    let filter = Filter { pids: vec![1], descendants: true, ..Filter::default() };
    check_replay(filter, source, 5).await;
}

#[tokio::test]
async fn ticks_are_filled_in_between_distant_inputs() {
    for (ticks, found) in [(TickMode::Recorded, 0), (TickMode::Filled, 1)] {
        let (session, shown) = session(Selection::default());
        let mut session = session
            .detector_options(detect::Options { stuck_after: Duration::from_secs(5), ..Default::default() });
        // The reports of socket 100 come 99 seconds after those of socket 1.
        let mut late = client(100);
        let mut inputs = vec![ready()];
        inputs.extend(client(1).walk(&[State::Close, State::SynSent]));
        inputs.push(late.step(State::Close, State::SynSent));
        let mut source = MemorySource::new([inputs]);
        source.ends = true;
        replay(&mut session, &mut source, ticks).await.unwrap();
        assert_eq!(shown.count(|output| matches!(output, Output::Finding(_))), found, "{ticks:?}");
    }
}
