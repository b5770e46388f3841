//! Traces and replays of streams in memory.

mod live;
mod replay;

use std::{cell::RefCell, future, io, rc::Rc, time::Duration};

use super::{
    testing::{CLIENT, Captured, MemorySource, Socket, ready, task},
    *,
};
use crate::{
    model::{
        BindOptions, Cgroup, Connection, DiagEntry, Endpoints, Errno, Filter, Input, Mono, Name, OpenerFate,
        Output, SocketIdentity, State, TimeWaitEntry, testing::endpoint,
    },
    net::snapshot::Snapshot,
    render::View,
};

/// A session with this selection, and what it shows.
fn session(selection: Selection) -> (Session, Captured) {
    let shown = Captured::default();
    let session = Session::new(Scope::All, Box::new(shown.clone()), Box::new(io::sink()));
    (session.selection(selection), shown)
}

fn client(number: u64) -> Socket {
    Socket::new(number, "127.0.0.1:40000", "127.0.0.1:80")
}

/// Never stops.
fn never() -> future::Pending<()> {
    future::pending()
}

#[tokio::test]
async fn a_trace_stops_when_its_source_ends() {
    let (mut session, shown) = session(Selection::default());
    let mut source = MemorySource::new([vec![ready()], client(1).walk(&CLIENT)]);
    source.ends = true;
    let reason = follow(&mut session, &mut source, None, never()).await.unwrap();
    assert_eq!(reason, StopReason::SourceEnded);
    let end = session.finish(None).unwrap();
    assert_eq!((end.transitions, end.connections), (5, 1));
    assert_eq!(shown.edges().len(), 5);
}

#[tokio::test]
async fn what_the_source_has_when_the_trace_stops_is_shown() {
    for duration in [None, Some(Duration::from_millis(1))] {
        let (mut session, shown) = session(Selection::default());
        let mut source = MemorySource::new([vec![ready()]]);
        source.available = client(1).walk(&CLIENT);
        session.ready(&mut source).await.unwrap();
        let reason = match duration {
            None => follow(&mut session, &mut source, None, future::ready("stop")).await.unwrap(),
            Some(_) => follow(&mut session, &mut source, duration, future::pending()).await.unwrap(),
        };
        assert_eq!(reason, duration.map_or(StopReason::Requested("stop"), |_| StopReason::DurationElapsed));
        assert_eq!(shown.edges().len(), 5);
    }
}

/// Traces at most that many lines of a view. Returns why the trace stopped, the number of lines, and the number of
/// transitions.
async fn lines(view: View, max_lines: u64) -> (StopReason<()>, usize, u64) {
    let (mut session, shown) =
        session(Selection { view, max_lines: Some(max_lines), ..Selection::default() });
    let sockets = (1..=3).flat_map(|number| client(number).walk(&CLIENT)).collect();
    let mut source = MemorySource::new([vec![ready()], sockets]);
    let reason = follow(&mut session, &mut source, None, never()).await.unwrap();
    let end = session.finish(None).unwrap();
    let count = match view {
        View::Connections => shown.count(|output| matches!(output, Output::Connection(_))),
        _ => shown.edges().len(),
    };
    (reason, count, end.transitions)
}

#[tokio::test]
async fn the_line_limit_counts_the_lines_of_the_view() {
    assert_eq!(lines(View::Transitions, 7).await, (StopReason::LineLimit, 7, 7));
    assert_eq!(lines(View::Connections, 2).await, (StopReason::LineLimit, 2, 10));
}

#[tokio::test]
async fn totals_count_what_is_shown() {
    let filter = Filter { pids: vec![7], ..Filter::default() };
    let (mut session, shown) = session(Selection { filter, ..Selection::default() });
    let mut other = client(2);
    other.task = task(7, "other");
    let mut source = MemorySource::new([vec![ready()], client(1).walk(&CLIENT), other.walk(&CLIENT)]);
    source.ends = true;
    follow(&mut session, &mut source, None, never()).await.unwrap();
    let end = session.finish(None).unwrap();
    assert_eq!((end.transitions, end.connections), (5, 1));
    assert!(shown.edges().iter().all(|(socket, ..)| *socket == 2));
}

/// A socket that connects to itself.
fn self_connect() -> Vec<Input> {
    let mut socket = Socket::new(5, "127.0.0.1:40000", "127.0.0.1:40000");
    socket.walk(&[State::Close, State::SynSent, State::SynRecv, State::Established])
}

#[tokio::test]
async fn findings_are_selected_by_kind() {
    for (kinds, found) in
        [(vec![], true), (vec![FindingKind::SelfConnect], true), (vec![FindingKind::PortSharing], false)]
    {
        let (mut session, shown) = session(Selection { kinds, ..Selection::default() });
        let mut source = MemorySource::new([vec![ready()], self_connect()]);
        source.ends = true;
        follow(&mut session, &mut source, None, never()).await.unwrap();
        assert_eq!(session.has_found(&[FindingKind::SelfConnect, FindingKind::Stuck]), found);
        assert!(!session.has_found(&[FindingKind::Stuck]));
        assert_eq!(shown.count(|output| matches!(output, Output::Finding(_))), usize::from(found));
    }
}

#[tokio::test]
async fn closing_connections_are_followed_to_close() {
    let (mut session, shown) = session(Selection::default());
    // As for a command.
    session.pipeline.emitter.tracks_closing = true;
    let inputs = client(1).walk(&CLIENT);
    let (before, after) = inputs.split_at(3);
    let mut source = MemorySource::new([vec![ready()], before.to_vec(), after.to_vec()]);
    session.ready(&mut source).await.unwrap();
    session.process_batch(&mut source).await.unwrap();
    settle_closing(&mut session, &mut source, Duration::from_secs(60)).await.unwrap();
    assert_eq!(shown.edges().len(), 5);
}

/// A host that answers every query, and lists the queries.
#[derive(Clone, Default)]
struct AnsweringHost(Rc<RefCell<Vec<String>>>);

impl HostQueries for AnsweringHost {
    fn existing_sockets(&mut self) -> Option<Snapshot> {
        Some(Snapshot { at: Mono(1), sockets: Some(Vec::new()), unavailable: vec!["a lack".to_owned()] })
    }

    fn cgroup(&mut self, id: u64) -> Cgroup {
        self.0.borrow_mut().push(format!("cgroup {id}"));
        Cgroup { id, path: Some(Name::from_bytes(b"/here")) }
    }

    fn port_holders(&mut self, netns: u32, port: u16) -> Option<Vec<DiagEntry>> {
        self.0.borrow_mut().push(format!("holders of {port} in {netns}"));
        Some(Vec::new())
    }

    fn opener_fate(&mut self, pid: u32, inode: u32) -> Option<OpenerFate> {
        self.0.borrow_mut().push(format!("fate of {pid}, which opened {inode}"));
        None
    }

    fn time_wait_entry(&mut self, connection: &Connection) -> Option<TimeWaitEntry> {
        self.0.borrow_mut().push(format!("mini-socket of {}", connection.socket));
        Some(TimeWaitEntry {
            at: Mono(2),
            socket: connection.socket,
            identity: connection.identity,
            state: Some(State::TimeWait),
            until: Some(Mono(3)),
            owner: (*connection.owner).clone(),
        })
    }

    fn evict_idle(&mut self) {}
}

#[tokio::test]
async fn the_host_is_queried_for_what_reports_do_not_contain() {
    let host = AnsweringHost::default();
    let (session, shown) = session(Selection::default());
    let mut session = session.host_queries(Box::new(host.clone()));
    let mut socket = client(1);
    let mut inputs = socket.walk(&CLIENT);
    // A second connection of the same process is reset by its peer: it leaves no mini-socket.
    inputs.extend(client(2).walk(&[State::Close, State::SynSent, State::Established, State::Close]));
    let mut source = MemorySource::new([vec![ready()], inputs]);
    source.ends = true;
    follow(&mut session, &mut source, None, never()).await.unwrap();
    assert_eq!(*host.0.borrow(), ["cgroup 100", "mini-socket of 1"]);
    let shown = shown.0.borrow();
    assert!(
        matches!(&shown[0], Output::Ready { unavailable, existing: Some(0), .. } if unavailable == &["a lack"]),
        "{:?}",
        shown[0]
    );
    let mini_socket = shown.iter().position(|output| matches!(output, Output::TimeWaitEntry(_))).unwrap();
    assert!(matches!(shown[mini_socket - 1], Output::Connection(_)));
    let path = |output: &Output| match output {
        Output::Transition(transition) => transition.owner.cgroup.clone().and_then(|cgroup| cgroup.path),
        _ => None,
    };
    assert_eq!(shown.iter().find_map(path).unwrap().to_text(), "/here");
}

#[tokio::test]
async fn the_holders_of_a_port_in_use_are_queried() {
    let host = AnsweringHost::default();
    let (session, _) = session(Selection::default());
    let mut session = session.host_queries(Box::new(host.clone()));
    let failed = |errno| {
        Input::BindFailed(Box::new(crate::model::BindFailure {
            at: Mono(1),
            cpu: 0,
            task: Some(task(100, "server")),
            cgroup: Some(Cgroup { id: 4, path: None }),
            cookie: None,
            identity: SocketIdentity::tcp(Some(9), Endpoints::unconnected(endpoint("127.0.0.1:80"))),
            errno,
            options: BindOptions::default(),
            holders: Vec::new(),
            is_queried: true,
            opener_fates: Vec::new(),
        }))
    };
    let mut source =
        MemorySource::new([vec![ready()], vec![failed(Errno::EADDRINUSE), failed(Errno::EADDRNOTAVAIL)]]);
    source.ends = true;
    follow(&mut session, &mut source, None, never()).await.unwrap();
    assert_eq!(*host.0.borrow(), ["cgroup 4", "holders of 80 in 9"]);
}
