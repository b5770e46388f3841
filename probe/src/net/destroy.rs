//! Ending a socket from outside, as `ss -K` does: SOCK_DESTROY.

use std::io;

use netlink_packet_core::{DecodeError, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use super::{inet_diag::Request, netlink};
use crate::model::{Endpoints, Family};

/// The type of the request (include/uapi/linux/sock_diag.h); its body is that of a question.
const SOCK_DESTROY: u16 = 21;

/// The request.
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
        Err("SOCK_DESTROY is answered by an acknowledgement alone".into())
    }
}

/// Ends the TCP socket with these ends in the calling thread's namespace (`tcp_abort`): a connection by a RST, and
/// with ECONNABORTED for who holds it; a listener with its whole queue.
///
/// # Errors
/// EOPNOTSUPP: this kernel was built without CONFIG_INET_DIAG_DESTROY. ENOENT: there is no such socket. EPERM: this needs
/// CAP_NET_ADMIN.
pub fn destroy(family: Family, ends: Endpoints) -> io::Result<()> {
    netlink::change(NETLINK_SOCK_DIAG, Destroy(Request::one(family, ends)))
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
    fn a_connection_is_destroyed_once() {
        let check = || {
            let soon = Instant::now() + Duration::from_secs(5);
            let listener = Tcp::listening("127.0.0.1:1314".parse().unwrap()).unwrap();
            let client = Tcp::new(Family::Ipv4).unwrap();
            client.connect(listener.local().unwrap(), soon).unwrap();
            let ends =
                Endpoints { local: client.local().unwrap().into(), remote: client.remote().unwrap().into() };
            match destroy(Family::Ipv4, ends) {
                // Built without.
                Err(refused) if Errno::of(&refused) == Some(Errno::EOPNOTSUPP) => return,
                destroyed => destroyed.unwrap(),
            }
            assert_eq!(client.read_exact(1, soon), Err(SocketError::Errno(Errno::ECONNABORTED)));
            let gone = destroy(Family::Ipv4, ends).unwrap_err();
            assert_eq!(gone.raw_os_error(), Some(nix::libc::ENOENT));
        };
        Namespace::private().unwrap().enter(check).unwrap();
    }
}
