//! Resets on the running kernel.

use std::io::Write as _;

use socket2::SockRef;

use super::{super::btf::Btf, *};
use crate::model::Reset;

/// A port that only these tests use.
const PORT: u16 = 2421;

fn with_resets(backend: Backend) -> LiveOptions {
    LiveOptions { backend: Some(backend), resets: true, ..LiveOptions::default() }
}

/// The client's and the accepted socket of a connection.
fn connection(inside: &Namespace) -> (Tcp, Tcp) {
    inside
        .enter(|| {
            let listener = Tcp::listening(loopback(PORT)).unwrap();
            let client = Tcp::new(Family::Ipv4).unwrap();
            client.connect(loopback(PORT), deadline()).unwrap();
            let server = listener.accept(deadline()).unwrap();
            (client, server)
        })
        .unwrap()
}

/// Closes with unread data, which sends an RST (RFC 1122, section 4.2.2.13).
fn close_unread(socket: Tcp, peer: &Tcp) {
    peer.write_all(b"unread", deadline()).unwrap();
    // All data has arrived; the rest stays unread.
    socket.read_exact(1, deadline()).unwrap();
}

/// The socket's transition into CLOSE.
fn close_report(events: &[Input], cookie: u64) -> Option<&Report> {
    reports(events).find(|report| report.cookie == Some(cookie) && report.new == State::Close)
}

fn sent(events: &[Input], cookie: u64) -> Option<&Reset> {
    events.iter().find_map(|event| match event {
        Input::Reset(reset) if reset.socket.number == cookie => Some(reset),
        _ => None,
    })
}

/// The reason that this kernel gives for a close with unread data: none before Linux 6.10, and an unspecific one in the
/// first releases after it.
fn reason_of_close() -> Option<String> {
    let btf = Btf::of_kernel().unwrap();
    let names: Vec<_> = btf.values("sk_rst_reason").map(|(_, name)| name).collect();
    ["TCP_ABORT_ON_CLOSE", "NOT_SPECIFIED"]
        .into_iter()
        .find(|reason| names.contains(&format!("SK_RST_REASON_{reason}")))
        .map(str::to_owned)
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn a_reset_is_reported_by_sender_and_receiver() {
    let mut live = attach(&with_resets(Backend::TpBtf));
    let inside = Namespace::private().unwrap();
    let (client, server) = connection(&inside);
    let (sender, receiver) = (client.cookie().unwrap(), server.cookie().unwrap());
    let from = client.local().unwrap();
    close_unread(client, &server);
    let events = until(&mut live, |events| {
        sent(events, sender).is_some()
            && [sender, receiver].into_iter().all(|cookie| close_report(events, cookie).is_some())
    })
    .await;

    let reset = sent(&events, sender).unwrap();
    assert_eq!(reset.identity.endpoints.local, from.into());
    assert_eq!(reset.identity.endpoints.remote, loopback(PORT).into());
    assert_eq!((reset.identity.family, reset.identity.netns), (Family::Ipv4, Some(inside.inode())));
    assert_eq!(reset.reason, reason_of_close());
    // __tcp_close sets the state first.
    assert_eq!(reset.state, State::Close);
    assert!(reset.at > close_report(&events, sender).unwrap().at);
    assert_eq!(sent(&events, receiver), None);

    let received = |cookie| close_report(&events, cookie).unwrap().rst_received;
    assert_eq!((received(sender), received(receiver)), (Some(false), Some(true)));
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn a_received_reset_does_not_mark_the_sockets_next_connection() {
    let mut live = attach(&with_resets(Backend::TpBtf));
    let inside = Namespace::private().unwrap();
    let client = inside.enter(|| Tcp::new(Family::Ipv4)).unwrap().unwrap();
    // Refused, and ready to connect again: see a_socket_that_is_connected_again_has_a_second_generation.
    client.connect(loopback(CLOSED), deadline()).unwrap_err();
    client.begin_connect(loopback(CLOSED)).unwrap_err();
    let listener = inside.enter(|| Tcp::listening(loopback(PORT))).unwrap().unwrap();
    client.connect(loopback(PORT), deadline()).unwrap();
    let _never_reads = listener.accept(deadline()).unwrap();
    // The second connection ends with an error and without an RST: the peer's window stays closed for too long.
    let socket = SockRef::from(&client);
    socket.set_tcp_user_timeout(Some(Duration::from_millis(1))).unwrap();
    while (&*socket).write(&[0; 1 << 16]).is_ok() {}

    let cookie = client.cookie().unwrap();
    let endpoints = |events: &[Input]| -> Vec<_> {
        let own = |report: &&Report| report.cookie == Some(cookie) && report.new == State::Close;
        reports(events).filter(own).map(|report| (report.error.flatten(), report.rst_received)).collect()
    };
    let events = until(&mut live, |events| endpoints(events).len() >= 2).await;
    assert_eq!(
        endpoints(&events),
        [(Some(Errno::ECONNREFUSED), Some(true)), (Some(Errno::ETIMEDOUT), Some(false))]
    );
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn resets_of_preexisting_sockets_are_reported() {
    let inside = Namespace::private().unwrap();
    let (client, server) = connection(&inside);
    let mut live = attach(&with_resets(Backend::TpBtf));
    check_reset_received(&mut live, client, server, Some(true)).await;
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn a_reset_is_unknown_where_resets_are_not_watched() {
    let inside = Namespace::private().unwrap();
    // Without the option, and on the classic backend.
    for options in
        [LiveOptions { resets: false, ..with_resets(Backend::TpBtf) }, with_resets(Backend::Tracepoint)]
    {
        let mut live = attach(&options);
        let (client, server) = connection(&inside);
        let (sender, receiver) = check_reset_received(&mut live, client, server, None).await;
        let mut more = Vec::new();
        live.deliver_batch(&mut more).unwrap();
        assert!([sender, receiver].into_iter().all(|cookie| sent(&more, cookie).is_none()));
    }
}

/// Resets the connection, and checks what the receiver's transition says of it.
async fn check_reset_received(
    live: &mut Live,
    client: Tcp,
    server: Tcp,
    received: Option<bool>,
) -> (u64, u64) {
    let (sender, receiver) = (client.cookie().unwrap(), server.cookie().unwrap());
    close_unread(client, &server);
    let events = until(live, |events| close_report(events, receiver).is_some()).await;
    let report = close_report(&events, receiver).unwrap();
    assert_eq!((report.error, report.rst_received), (Some(Some(Errno::ECONNRESET)), received));
    (sender, receiver)
}
