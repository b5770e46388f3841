//! Traces and replays of streams from memory.

mod live;
mod replay;

use std::{cell::RefCell, future, io, rc::Rc, time::Duration};

use super::{
    testing::{CLIENT, Memory, Shown, Socket, ready, task},
    *,
};
use crate::{
    model::{Cgroup, Connection, DiagEntry, Errno, Filter, Input, Mono, Name, Output, State, TimeWaitEntry},
    net::snapshot::Snapshot,
    render::View,
};

/// A session that shows this much, and what it shows.
fn session(selection: Selection) -> (Session, Shown) {
    let shown = Shown::default();
    let session = Session::new(Scope::All, Box::new(shown.clone()), Box::new(io::sink()));
    (session.selecting(selection), shown)
}

fn client(number: u64) -> Socket {
    Socket::new(number, "127.0.0.1:40000", "127.0.0.1:80")
}

/// Never enough.
fn endless() -> future::Pending<()> {
    future::pending()
}

#[tokio::test]
async fn a_source_that_ends_ends_the_trace() {
    let (mut session, shown) = session(Selection::default());
    let mut source = Memory::new([vec![ready()], client(1).life(&CLIENT)]);
    source.ends = true;
    let ending = session.follow(&mut source, None, endless()).await.unwrap();
    assert_eq!(ending, Ending::Source);
    let end = session.finish(None).unwrap();
    assert_eq!((end.transitions, end.connections), (5, 1));
    assert_eq!(shown.edges().len(), 5);
}

#[tokio::test]
async fn what_is_there_when_it_is_enough_is_still_shown() {
    for duration in [None, Some(Duration::from_millis(1))] {
        let (mut session, shown) = session(Selection::default());
        let mut source = Memory::new([vec![ready()]]);
        source.rest = client(1).life(&CLIENT);
        session.ready(&mut source).await.unwrap();
        let ending = match duration {
            None => session.follow(&mut source, None, future::ready("enough")).await.unwrap(),
            Some(_) => session.follow(&mut source, duration, future::pending()).await.unwrap(),
        };
        assert_eq!(ending, duration.map_or(Ending::Asked("enough"), |_| Ending::Time));
        assert_eq!(shown.edges().len(), 5);
    }
}

/// How many lines there are of that view, and the transitions behind them.
async fn lines(view: View, wanted: u64) -> (Ending<()>, usize, u64) {
    let (mut session, shown) = session(Selection { view, lines: Some(wanted), ..Selection::default() });
    let sockets = (1..=3).flat_map(|number| client(number).life(&CLIENT)).collect();
    let mut source = Memory::new([vec![ready()], sockets]);
    let ending = session.follow(&mut source, None, endless()).await.unwrap();
    let end = session.finish(None).unwrap();
    let count = match view {
        View::Connections => shown.count(|event| matches!(event, Output::Connection(_))),
        _ => shown.edges().len(),
    };
    (ending, count, end.transitions)
}

#[tokio::test]
async fn a_count_is_of_the_views_lines() {
    assert_eq!(lines(View::Transitions, 7).await, (Ending::Lines, 7, 7));
    assert_eq!(lines(View::Connections, 2).await, (Ending::Lines, 2, 10));
}

#[tokio::test]
async fn totals_count_what_is_shown() {
    let filter = Filter { pids: vec![7], ..Filter::default() };
    let (mut session, shown) = session(Selection { filter, ..Selection::default() });
    let mut other = client(2);
    other.task = task(7, "other");
    let mut source = Memory::new([vec![ready()], client(1).life(&CLIENT), other.life(&CLIENT)]);
    source.ends = true;
    session.follow(&mut source, None, endless()).await.unwrap();
    let end = session.finish(None).unwrap();
    assert_eq!((end.transitions, end.connections), (5, 1));
    assert!(shown.edges().iter().all(|(socket, ..)| *socket == 2));
}

/// A socket that connects to itself.
fn to_itself() -> Vec<Input> {
    let mut socket = Socket::new(5, "127.0.0.1:40000", "127.0.0.1:40000");
    socket.life(&[State::Close, State::SynSent, State::SynRecv, State::Established])
}

#[tokio::test]
async fn findings_are_chosen_by_kind() {
    for (kinds, found) in
        [(vec![], true), (vec![FindingKind::SelfConnect], true), (vec![FindingKind::PortSharing], false)]
    {
        let (mut session, shown) = session(Selection { kinds, ..Selection::default() });
        let mut source = Memory::new([vec![ready()], to_itself()]);
        source.ends = true;
        session.follow(&mut source, None, endless()).await.unwrap();
        assert_eq!(session.has_found(&[FindingKind::SelfConnect, FindingKind::Stuck]), found);
        assert!(!session.has_found(&[FindingKind::Stuck]));
        assert_eq!(shown.count(|event| matches!(event, Output::Finding(_))), usize::from(found));
    }
}

#[tokio::test]
async fn connections_that_close_are_followed_to_their_end() {
    let (mut session, shown) = session(Selection::default());
    // As a command's are.
    session.follows_to_the_end = true;
    let events = client(1).life(&CLIENT);
    let (before, after) = events.split_at(3);
    let mut source = Memory::new([vec![ready()], before.to_vec(), after.to_vec()]);
    session.ready(&mut source).await.unwrap();
    session.take(&mut source).await.unwrap();
    session.settle_closing(&mut source, Duration::from_secs(60)).await.unwrap();
    assert_eq!(shown.edges().len(), 5);
}

/// A host that answers everything, and what it was asked.
#[derive(Clone, Default)]
struct Talkative(Rc<RefCell<Vec<String>>>);

impl HostQueries for Talkative {
    fn existing(&mut self) -> Option<Snapshot> {
        Some(Snapshot { at: Mono(1), sockets: Vec::new(), unavailable: vec!["a lack".to_owned()] })
    }

    fn cgroup(&mut self, id: u64) -> Cgroup {
        self.0.borrow_mut().push(format!("cgroup {id}"));
        Cgroup { id, path: Some(Name::from_bytes(b"/here")) }
    }

    fn holders(&mut self, netns: u32, port: u16) -> Vec<DiagEntry> {
        self.0.borrow_mut().push(format!("holders of {port} in {netns}"));
        Vec::new()
    }

    fn remains(&mut self, connection: &Connection) -> Option<TimeWaitEntry> {
        self.0.borrow_mut().push(format!("remains of {}", connection.socket));
        Some(TimeWaitEntry {
            at: Mono(2),
            socket: connection.socket,
            netns: connection.netns,
            ends: connection.ends,
            state: Some(State::TimeWait),
            until: Some(Mono(3)),
            owner: (*connection.owner).clone(),
        })
    }

    fn rest(&mut self) {}
}

#[tokio::test]
async fn the_host_is_asked_what_its_reports_do_not_say() {
    let host = Talkative::default();
    let (session, shown) = session(Selection::default());
    let mut session = session.asking(Box::new(host.clone()));
    let mut socket = client(1);
    let mut events = socket.life(&CLIENT);
    // A second connection of the same process, reset by its peer: nothing stays of that.
    events.extend(client(2).life(&[State::Close, State::SynSent, State::Established, State::Close]));
    let mut source = Memory::new([vec![ready()], events]);
    source.ends = true;
    session.follow(&mut source, None, endless()).await.unwrap();
    assert_eq!(*host.0.borrow(), ["cgroup 100", "remains of 1"]);
    let shown = shown.0.borrow();
    assert!(
        matches!(&shown[0], Output::Ready { unavailable, existing: Some(0), .. } if unavailable == &["a lack"]),
        "{:?}",
        shown[0]
    );
    let last_of_first = shown.iter().position(|event| matches!(event, Output::TimeWaitEntry(_))).unwrap();
    assert!(matches!(shown[last_of_first - 1], Output::Connection(_)));
    let path = |event: &Output| match event {
        Output::Transition(transition) => transition.owner.cgroup.clone().and_then(|cgroup| cgroup.path),
        _ => None,
    };
    assert_eq!(shown.iter().find_map(path).unwrap().to_text(), "/here");
}

#[tokio::test]
async fn who_holds_a_port_is_asked_where_it_is_taken() {
    let host = Talkative::default();
    let (session, _) = session(Selection::default());
    let mut session = session.asking(Box::new(host.clone()));
    let failed = |errno| {
        Input::BindFailed(Box::new(crate::model::BindFailure {
            at: Mono(1),
            cpu: 0,
            task: Some(task(100, "server")),
            cgroup: Some(Cgroup { id: 4, path: None }),
            cookie: None,
            netns: Some(9),
            protocol: crate::model::Protocol::Tcp,
            family: crate::model::Family::Ipv4,
            local: crate::model::Endpoint::new([127, 0, 0, 1].into(), 80),
            errno,
            holders: Vec::new(),
        }))
    };
    let mut source =
        Memory::new([vec![ready()], vec![failed(Errno::EADDRINUSE), failed(Errno::EADDRNOTAVAIL)]]);
    source.ends = true;
    session.follow(&mut source, None, endless()).await.unwrap();
    assert_eq!(*host.0.borrow(), ["cgroup 4", "holders of 80 in 9"]);
}
