//! The filter in the BPF programs, and summaries of connections.

use std::collections::BTreeSet;

use super::*;
use crate::model::{Cgroup, Filter, Name, Summary};

/// The port of the last connection, which every filter here selects: what was not reported before it is not reported.
const LAST: u16 = 2419;

/// A namespace, and an address in it that no other test uses: without type information, reports do not contain the
/// namespace.
struct TestNetns {
    inside: Namespace,
    addr: Ipv4Addr,
}

impl TestNetns {
    fn new(host: u8) -> Self {
        Self { inside: Namespace::private().unwrap(), addr: Ipv4Addr::new(127, 24, 17, host) }
    }

    fn port(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.addr.into(), port)
    }

    /// Whether the report is of a socket in this namespace.
    fn has(&self, report: &Report) -> bool {
        [report.identity.endpoints.local, report.identity.endpoints.remote]
            .iter()
            .any(|end| end.addr == self.addr)
    }

    /// A connection to [`PORT`] that both sides close, and one to [`CLOSED`] that is refused.
    fn traffic(&self) {
        self.inside.enter(|| self.traffic_inside()).unwrap();
    }

    fn traffic_inside(&self) {
        let listener = Tcp::listening(self.port(PORT)).unwrap();
        let client = Tcp::new(Family::Ipv4).unwrap();
        client.connect(self.port(PORT), deadline()).unwrap();
        let server = listener.accept(deadline()).unwrap();
        drop(client);
        assert_eq!(server.read_to_end(deadline()).unwrap(), b"");
        drop(server);
        self.refused(CLOSED);
    }

    fn refused(&self, port: u16) {
        Tcp::new(Family::Ipv4).unwrap().connect(self.port(port), deadline()).unwrap_err();
    }
}

/// Everything reported of the traffic in the namespace with this filter.
async fn selected(options: &LiveOptions, filter: Filter, netns: &TestNetns) -> Vec<Input> {
    let mut live = attach(&LiveOptions { filter, ..options.clone() });
    netns.traffic();
    netns.inside.enter(|| netns.refused(LAST)).unwrap();
    let is_last =
        |event: &Input| is_of(event, netns, |report| is_at(report, LAST) && report.new == State::Close);
    let mut events = until(&mut live, |events| events.iter().any(is_last)).await;
    events.retain(|event| is_of(event, netns, |report| !is_at(report, LAST)));
    events
}

fn is_of(event: &Input, netns: &TestNetns, wanted: impl Fn(&Report) -> bool) -> bool {
    match event {
        Input::Report(report) => netns.has(report) && wanted(report),
        Input::Summary(summary) => netns.has(&summary.end) && wanted(&summary.end),
        _ => false,
    }
}

fn is_at(report: &Report, port: u16) -> bool {
    [report.identity.endpoints.local, report.identity.endpoints.remote]
        .iter()
        .any(|end| end.port_or_zero() == port)
}

/// Each reported transition, by its ports and states.
fn transitions(events: &[Input]) -> BTreeSet<(bool, bool, State, State)> {
    reports(events)
        .map(|report| (is_at(report, PORT), is_at(report, CLOSED), report.old, report.new))
        .collect()
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn only_selected_sockets_are_reported_and_those_completely() {
    // Without type information, the reported name is the thread's.
    let own = ["/proc/self/comm", "/proc/thread-self/comm"]
        .map(|file| Name::from_bytes(std::fs::read(file).unwrap().trim_ascii_end()));
    let other = Name::from_bytes(b"nobody's name");
    for options in every_backend() {
        let netns = TestNetns::new(1);
        let everything = selected(&options, Filter::default(), &netns).await;
        assert!(transitions(&everything).len() > 10, "{everything:?}");

        let all = [
            Filter { families: vec![Family::Ipv4], protocols: vec![Protocol::Tcp], ..Filter::default() },
            Filter { networks: vec!["127.0.0.0/8".parse().unwrap()], ..Filter::default() },
            Filter { ports: vec![PORT..=LAST], netns: vec![netns.inside.inode()], ..Filter::default() },
            Filter { comms: own.iter().chain([&other]).cloned().collect(), ..Filter::default() },
        ];
        for filter in all {
            let events = selected(&options, filter.clone(), &netns).await;
            assert_eq!(transitions(&events), transitions(&everything), "{filter:?}");
        }

        let refused = Filter { remote_ports: vec![CLOSED..=CLOSED, LAST..=LAST], ..Filter::default() };
        let events = selected(&options, refused, &netns).await;
        // A listener's remote port is undecided.
        let connections =
            reports(&events).filter(|report| report.old != State::Listen && report.new != State::Listen);
        let edges: Vec<_> = connections.map(|report| (is_at(report, CLOSED), report.new)).collect();
        assert_eq!(edges, [(true, State::SynSent), (true, State::Close)]);
    }
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn another_owner_or_endpoint_is_not_reported() {
    let options = LiveOptions::default();
    let netns = TestNetns::new(2);
    let last = || Filter { ports: vec![PORT..=LAST], ..Filter::default() };
    let nothing = [
        Filter { families: vec![Family::Ipv6], ..last() },
        Filter { protocols: vec![Protocol::Mptcp], ..last() },
        Filter { networks: vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()], ..last() },
        Filter { netns: vec![netns.inside.inode() + 1], ..last() },
        Filter { comms: vec![Name::from_bytes(b"nobody's name")], ..last() },
        Filter { pids: vec![1], ..last() },
        Filter { cgroups: vec![Cgroup { id: u64::MAX, path: None }], ..last() },
    ];
    let mut lives: Vec<Live> = nothing
        .iter()
        .map(|filter| attach(&LiveOptions { filter: filter.clone(), ..options.clone() }))
        .collect();
    let mut unfiltered = attach(&options);
    netns.traffic();
    let is_last =
        |event: &Input| is_of(event, &netns, |report| is_at(report, CLOSED) && report.new == State::Close);
    until(&mut unfiltered, |events| events.iter().any(is_last)).await;
    for (live, filter) in lives.iter_mut().zip(nothing) {
        let mut events = Vec::new();
        // The first batch precedes the traffic; the second one has all of it.
        live.deliver(&mut events).await.unwrap();
        live.deliver(&mut events).await.unwrap();
        // The network of a listener on the unspecified address is undecided.
        events.retain(|event| {
            is_of(event, &netns, |report| report.old != State::Listen && report.new != State::Listen)
        });
        assert_eq!(events, [], "{filter:?}");
    }
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn a_reported_socket_is_reported_until_its_close() {
    for options in every_backend() {
        let netns = TestNetns::new(5);
        // The opening of a connect is reported before its local port is known.
        let filter = Filter { local_ports: vec![PORT..=PORT], ..Filter::default() };
        let events = selected(&options, filter, &netns).await;
        let to_closed =
            reports(&events).filter(|report| report.identity.endpoints.remote.port_or_zero() == CLOSED);
        assert_eq!(to_closed.map(|report| report.new).collect::<Vec<_>>(), [State::SynSent, State::Close]);
    }
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn descendants_are_selected_from_their_first_instruction() {
    for options in every_backend() {
        let filter = Filter { descendants: true, ..Filter::default() };
        let mut live = attach(&LiveOptions { filter, ..options });
        let netns = TestNetns::new(3);
        let listener = netns.inside.enter(|| Tcp::listening(netns.port(PORT))).unwrap().unwrap();
        // A grandchild, whose parent has exited by then.
        let connect = format!("(exec 3<>/dev/tcp/{}/{PORT} && read -r _ <&3) & exit 0", netns.addr);
        let mut parent =
            netns.inside.enter(|| Command::new("bash").args(["-c", &connect]).spawn()).unwrap().unwrap();
        parent.wait().unwrap();
        drop(listener.accept(deadline()).unwrap());
        let events = until(&mut live, |events| connects(events, PORT).any(|report| netns.has(report))).await;
        let report = connects(&events, PORT).find(|report| netns.has(report)).unwrap();
        assert_eq!(report.owner_matches, Some(true));
        assert_ne!(report.task.as_ref().unwrap().pid, parent.id());
    }
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn a_summary_has_the_path_of_the_connection() {
    use State::*;
    for options in every_backend() {
        let netns = TestNetns::new(4);
        let summarized = LiveOptions { summaries: true, ..options.clone() };
        let events = selected(&summarized, Filter::default(), &netns).await;
        // The classic backend does not know a child's owner, and reports the listener.
        let listens = |report: &&Report| report.new == Listen || (report.old, report.new) == (Listen, Close);
        let expected = if options.backend == Some(Backend::TpBtf) { 0 } else { 2 };
        assert_eq!(reports(&events).filter(listens).count(), expected, "{events:?}");
        assert_eq!(reports(&events).count(), expected, "{events:?}");
        let summaries: Vec<&Summary> = events
            .iter()
            .filter_map(|event| if let Input::Summary(summary) = event { Some(summary) } else { None })
            .collect();
        let of = |first: State, port| {
            let found: Vec<_> = summaries
                .iter()
                .filter(|summary| summary.path.iter().next() == Some(first) && is_at(&summary.end, port))
                .collect();
            assert_eq!(found.len(), 1, "{summaries:?}");
            *found[0]
        };
        let client = of(Close, PORT);
        assert_eq!(client.path, [Close, SynSent, Established, FinWait1, FinWait2, Close].into());
        assert!(client.opened < client.established && client.established < Some(client.end.at));
        assert_eq!(client.first_port, None);
        let owner = client.end.opened.as_ref().unwrap();
        assert_eq!(
            (owner.known, owner.owner.as_ref().map(|owner| owner.pid)),
            (Known::Exact, Some(std::process::id()))
        );
        let server = of(Listen, PORT);
        assert_eq!(server.path, [Listen, SynRecv, Established, CloseWait, LastAck, Close].into());
        // Its owner closed it in a call.
        assert_eq!(server.end.opened.as_ref().unwrap().known, Known::Exact);
        assert_eq!(of(Close, CLOSED).path, [Close, SynSent, Close].into());
        assert_eq!(summaries.len(), 3);
    }
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn namespaces_can_be_selected_during_the_trace() {
    for options in every_backend() {
        let options = LiveOptions { namespaces: true, ..options };
        if options.without_btf {
            let refused = Live::attach(&options, host::facts()).map(drop);
            assert!(matches!(refused, Err(LiveError::NoNamespaces)), "{refused:?}");
            continue;
        }
        let mut live = attach(&options);
        let namespaces = live.namespaces().unwrap();
        let [here, elsewhere] = [5, 6].map(TestNetns::new);
        let traffic = || [&here, &elsewhere].map(TestNetns::traffic);
        traffic();
        namespaces.add(here.inside.inode()).unwrap();
        traffic();
        namespaces.remove(here.inside.inode());
        traffic();
        namespaces.add(here.inside.inode()).unwrap();
        here.inside.enter(|| here.refused(LAST)).unwrap();
        let is_last = |report: &Report| is_at(report, LAST) && report.new == State::Close;
        let events = until(&mut live, |events| reports(events).any(is_last)).await;
        assert!(reports(&events).all(|report| here.has(report)), "{events:?}");
        let connects = reports(&events).filter(|report| report.new == State::SynSent).count();
        assert_eq!(connects, 3, "one round of traffic, and the last connection: {events:?}");
    }
}
