//! What the tests of several objects share.

use super::time::StreamTime;
use crate::model::{Clock, Endpoint, Endpoints, SocketId};

pub const SOCKET: SocketId = SocketId { number: 4711, generation: 1 };

pub fn time() -> StreamTime {
    StreamTime::with_clock(Some(Clock { realtime_offset_ns: 1_700_000_000_000_000_000 }))
}

pub fn endpoints() -> Endpoints {
    let endpoint = |port| Endpoint::new([127, 0, 0, 1].into(), port);
    Endpoints { local: endpoint(80), remote: endpoint(4321) }
}

/// The whole object: these fields, with the endpoints and the owner between them.
pub fn expected(before: &str, between: &str, after: &str) -> String {
    let endpoints = r#""local":{"addr":"127.0.0.1","port":80},"remote":{"addr":"127.0.0.1","port":4321}"#;
    let owner = r#""owner":{"pid":null,"comm":null,"uid":null,"cgroup":null,"cgroup_path":null,"container":null,"known":"unknown"}"#;
    format!(r#"{{"v":1,{before},{endpoints},{between},{owner}{after}}}"#)
}
