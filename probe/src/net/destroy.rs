//! Closing a socket from outside, as `ss -K` does: SOCK_DESTROY.

use std::io;

use netlink_packet_core::{DecodeError, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use super::{inet_diag::Request, netlink};
use crate::model::{Endpoints, Family};

/// The message type (include/uapi/linux/sock_diag.h); its body is that of a query.
const SOCK_DESTROY: u16 = 21;

/// The message.
struct Destroy(Request);

impl NetlinkSerializable for Destroy {
    fn message_type(&self) -> u16 {
        SOCK_DESTROY
    }

    fn buffer_len(&self) -> usize {
        self.0.buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        self.0.serialize(buffer);
    }
}

impl NetlinkDeserializable for Destroy {
    type Error = DecodeError;

    fn deserialize(_: &NetlinkHeader, _: &[u8]) -> Result<Self, DecodeError> {
        Err("the kernel answers SOCK_DESTROY with an acknowledgement only".into())
    }
}

/// Closes the TCP socket with these endpoints in the calling thread's namespace (`tcp_abort`): a connection with a RST to
/// the peer and ECONNABORTED for its owner, a listener with its accept queue.
///
/// # Errors
/// EOPNOTSUPP: this kernel was built without CONFIG_INET_DIAG_DESTROY. ENOENT: no such socket. EPERM: needs
/// CAP_NET_ADMIN.
pub fn destroy(family: Family, endpoints: Endpoints) -> io::Result<()> {
    netlink::change(NETLINK_SOCK_DIAG, Destroy(Request::one(family, endpoints)))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::{
        model::Errno,
        net::{Namespace, SocketError, Tcp},
    };

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn a_connection_can_be_destroyed_once() {
        let check = || {
            let soon = Instant::now() + Duration::from_secs(5);
            let listener = Tcp::listening("127.0.0.1:1314".parse().unwrap()).unwrap();
            let client = Tcp::new(Family::Ipv4).unwrap();
            client.connect(listener.local().unwrap(), soon).unwrap();
            let endpoints =
                Endpoints { local: client.local().unwrap().into(), remote: client.remote().unwrap().into() };
            match destroy(Family::Ipv4, endpoints) {
                // The kernel was built without CONFIG_INET_DIAG_DESTROY.
                Err(error) if Errno::of(&error) == Some(Errno::EOPNOTSUPP) => return,
                result => result.unwrap(),
            }
            assert_eq!(client.read_exact(1, soon), Err(SocketError::Errno(Errno::ECONNABORTED)));
            let error = destroy(Family::Ipv4, endpoints).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(nix::libc::ENOENT));
        };
        Namespace::private().unwrap().enter(check).unwrap();
    }
}
