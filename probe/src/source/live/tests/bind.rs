//! Failed binds on the running kernel.

use std::net::IpAddr;

use super::*;
use crate::model::{BindFailure, Filter};

/// A port that only these tests use, on which a socket listens.
const TAKEN: u16 = 2419;

/// Addresses that no host has (RFC 5737, RFC 3849).
const DOCUMENTATION_ADDRESSES: [&str; 2] = ["192.0.2.1", "2001:db8::1"];

/// Both backends. The program finds a descriptor's socket by type information.
fn both_backends() -> [LiveOptions; 2] {
    [Backend::TpBtf, Backend::Tracepoint].map(|backend| LiveOptions {
        backend: Some(backend),
        binds: true,
        ..LiveOptions::default()
    })
}

fn unavailable(events: &[Input]) -> &[String] {
    events
        .iter()
        .find_map(|event| {
            if let Input::Ready { unavailable, .. } = event { Some(unavailable.as_slice()) } else { None }
        })
        .expect("a stream begins with Ready")
}

/// The failures in one namespace.
fn failures(events: &[Input], netns: u32) -> Vec<&BindFailure> {
    let all = events.iter().filter_map(|event| match event {
        Input::BindFailed(failure) if failure.identity.netns == Some(netns) => Some(failure.as_ref()),
        _ => None,
    });
    all.collect()
}

fn lines(failures: &[BindFailure]) -> Vec<String> {
    let line = |failure: &BindFailure| {
        format!("{} {} {}", failure.identity.family.name(), failure.local(), failure.errno.name())
    };
    failures.iter().map(line).collect()
}

/// The failures that are reported of the calls in `fail`, in order.
async fn reported(options: &LiveOptions, count: usize, fail: fn()) -> (Live, Vec<BindFailure>) {
    let mut live = attach(options);
    let inside = Namespace::private().unwrap();
    inside.enter(fail).unwrap();
    let events = until(&mut live, |events| failures(events, inside.inode()).len() >= count).await;
    let failures = failures(&events, inside.inode()).into_iter().cloned().collect();
    (live, failures)
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn a_failed_bind_has_the_caller_and_the_requested_address() {
    for options in both_backends() {
        let (live, failures) = reported(&options, 3, || {
            let _listener = Tcp::listening(loopback(TAKEN)).unwrap();
            Tcp::new(Family::Ipv4).unwrap().bind(loopback(TAKEN)).unwrap_err();
            for addr in DOCUMENTATION_ADDRESSES {
                let addr: IpAddr = addr.parse().unwrap();
                Tcp::bound(SocketAddr::new(addr, TAKEN)).unwrap_err();
            }
        })
        .await;
        assert_eq!(
            lines(&failures),
            [
                "ipv4 127.0.0.1:2419 EADDRINUSE",
                "ipv4 192.0.2.1:2419 EADDRNOTAVAIL",
                "ipv6 [2001:db8::1]:2419 EADDRNOTAVAIL",
            ]
        );
        for failure in failures {
            assert_eq!(failure.identity.protocol, Protocol::Tcp);
            assert_eq!(failure.task.map(|task| task.pid), Some(live.pid()));
            assert!(failure.cgroup.is_some());
        }
    }
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn only_binds_of_tcp_sockets_are_reported() {
    for options in both_backends() {
        let (_, failures) = reported(&options, 1, || {
            let nowhere: SocketAddr = "192.0.2.1:2420".parse().unwrap();
            let udp = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
            udp.bind(&nowhere.into()).unwrap_err();
            // A raw socket with TCP's protocol number.
            let raw = Socket::new(Domain::IPV4, Type::RAW, Some(socket2::Protocol::TCP)).unwrap();
            raw.bind(&nowhere.into()).unwrap_err();
            let (unix, _peer) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
            unix.bind(&nowhere.into()).unwrap_err();
            Tcp::bound(loopback(0)).unwrap();
            Tcp::bound(nowhere).unwrap_err();
        })
        .await;
        assert_eq!(lines(&failures), ["ipv4 192.0.2.1:2420 EADDRNOTAVAIL"]);
    }
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn a_caller_that_the_filter_rejects_is_not_reported() {
    for options in both_backends() {
        let with_filter = |filter| LiveOptions { filter, ..options.clone() };
        let mut other = attach(&with_filter(Filter { pids: vec![1], ..Filter::default() }));
        let own = Filter { pids: vec![other.pid()], ..Filter::default() };
        let fail = || {
            Tcp::bound("192.0.2.1:2421".parse().unwrap()).unwrap_err();
        };
        let (_, failures) = reported(&with_filter(own), 1, fail).await;
        assert_eq!(lines(&failures), ["ipv4 192.0.2.1:2421 EADDRNOTAVAIL"]);
        // By now the programs of both traces have run.
        let mut events = Vec::new();
        other.drain(&mut events).unwrap();
        let is_the_failure = |event: &Input| match event {
            Input::BindFailed(failure) => failure.local().port_or_zero() == 2421,
            _ => false,
        };
        assert!(!events.iter().any(is_the_failure), "{events:?}");
    }
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn an_address_of_an_unknown_family_is_shown_as_unspecified() {
    for options in both_backends() {
        let (_, failures) = reported(&options, 1, || {
            let tcp = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
            let path = socket2::SockAddr::unix("/nowhere/at/all/there/is/such/a/socket").unwrap();
            tcp.bind(&path).unwrap_err();
        })
        .await;
        assert_eq!(lines(&failures), ["ipv6 [::]:* EAFNOSUPPORT"]);
    }
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn a_host_without_support_lists_failed_binds_as_unavailable() {
    for options in both_backends() {
        let mut live = attach(&options);
        let events = until(&mut live, |events| !events.is_empty()).await;
        assert!(
            !unavailable(&events).iter().any(|what| what.contains("binds")),
            "{:?}",
            unavailable(&events)
        );
    }
    let [_, classic] = both_backends();
    let mut live = attach(&LiveOptions { without_btf: true, ..classic });
    let events = until(&mut live, |events| !events.is_empty()).await;
    assert!(unavailable(&events).iter().any(|what| what.contains("binds that fail are not reported")));
}
