//! The running kernel as the source.

use crate::{
    model::{Input, State},
    net::{Namespace, Tcp, host},
    source::{
        Source as _,
        live::{Live, LiveOptions},
    },
};

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn drain_delivers_what_the_kernel_has_reported() {
    let mut live = Live::attach(&LiveOptions::default(), host::facts()).unwrap();
    let inside = Namespace::private().unwrap();
    let listen = || Tcp::listening("127.0.0.1:1314".parse().unwrap()).unwrap().cookie().unwrap();
    let cookie = inside.enter(listen).unwrap();
    let mut inputs = Vec::new();
    live.drain(&mut inputs).unwrap();
    let entered = |input: &Input| match input {
        Input::Report(report) if report.cookie == Some(cookie) => Some(report.new),
        _ => None,
    };
    assert!(matches!(inputs[0], Input::Ready { .. }));
    assert_eq!(inputs.iter().filter_map(entered).collect::<Vec<_>>(), [State::Listen, State::Close]);
}
