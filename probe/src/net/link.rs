//! Network devices of the calling thread's namespace, through rtnetlink.

use std::{
    io,
    net::IpAddr,
    time::{Duration, Instant},
};

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressHeaderFlags, AddressMessage},
    link::{LinkAttribute, LinkFlags, LinkMessage},
    route::{RouteAttribute, RouteType},
};
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::{
    ifaddrs::getifaddrs,
    libc,
    net::if_::{InterfaceFlags, if_nametoindex},
};

use super::netlink::{self, Watch};

/// `RTNLGRP_IPV6_ROUTE`: the kernel announces changes of IPv6's routes to it.
const IPV6_ROUTES: u32 = 11;
/// What the kernel may take to make a route, which it does within a millisecond.
const ROUTE_TIME: Duration = Duration::from_secs(5);

const GIVING: &str = "giving an address to";

/// A change to a device that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("{action} device {device}: {cause}{}", remedy(cause))]
pub struct LinkError {
    /// What was to be done.
    action: &'static str,
    /// The device's name.
    device: String,
    /// The kernel's answer.
    cause: io::Error,
}

/// A device, by name and index. It is not opened: the device may go while this stays.
#[derive(Clone, Debug)]
pub struct Device {
    name: String,
    index: u32,
}

impl Device {
    /// The device of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn named(name: &str) -> Result<Self, LinkError> {
        let index = if_nametoindex(name).map_err(|errno| LinkError {
            action: "looking up",
            device: name.to_owned(),
            cause: errno.into(),
        })?;
        Ok(Self { name: name.to_owned(), index })
    }

    /// Whether it is up.
    ///
    /// # Errors
    /// The kernel does not list its devices.
    pub fn is_up(&self) -> Result<bool, LinkError> {
        let listed = getifaddrs().map_err(|errno| self.error("asking for the state of", errno.into()))?;
        let up = |flags: InterfaceFlags| flags.contains(InterfaceFlags::IFF_UP);
        Ok(listed.into_iter().any(|entry| entry.interface_name == self.name && up(entry.flags)))
    }

    /// Brings it up.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn up(&self) -> Result<(), LinkError> {
        let mut message = self.message();
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.change("bringing up", RouteNetlinkMessage::SetLink(message))
    }

    /// Takes it down. Routes through it go; its addresses stay.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn down(&self) -> Result<(), LinkError> {
        let mut message = self.message();
        message.header.change_mask = LinkFlags::Up;
        self.change("taking down", RouteNetlinkMessage::SetLink(message))
    }

    /// Sets how many packets may wait for the device to send them (`txqueuelen`).
    ///
    /// # Errors
    /// The kernel refused.
    pub fn queue(&self, packets: u32) -> Result<(), LinkError> {
        let mut message = self.message();
        message.attributes.push(LinkAttribute::TxQueueLen(packets));
        self.change("setting the queue of", RouteNetlinkMessage::SetLink(message))
    }

    /// Gives it an address, and with it a route to its prefix. Packets to the address are taken when this
    /// returns; for IPv6, duplicate address detection (RFC 4862 §5.4) is left out.
    ///
    /// # Errors
    /// The kernel refused: the address is there already, or the family is turned off.
    pub fn address(&self, address: IpAddr, prefix: u8) -> Result<(), LinkError> {
        let mut message = AddressMessage::default();
        message.header.index = self.index;
        message.header.prefix_len = prefix;
        message.header.family = match address {
            IpAddr::V4(_) => AddressFamily::Inet,
            IpAddr::V6(_) => AddressFamily::Inet6,
        };
        if address.is_ipv6() {
            message.header.flags = AddressHeaderFlags::Nodad;
        }
        message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
        let give = || self.change(GIVING, RouteNetlinkMessage::NewAddress(message));
        if address.is_ipv4() {
            return give();
        }
        // An IPv6 address can be bound at once, but it is a workqueue that makes the route which takes its
        // packets in (addrconf_dad_work), and until then they are dropped.
        let failed = |cause| self.error(GIVING, cause);
        let routes = Watch::of(NETLINK_ROUTE, IPV6_ROUTES).map_err(failed)?;
        give()?;
        routes.wait(Instant::now() + ROUTE_TIME, |message| is_local_route(message, address)).map_err(failed)
    }

    fn message(&self) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = self.index;
        message
    }

    fn change(&self, action: &'static str, message: RouteNetlinkMessage) -> Result<(), LinkError> {
        netlink::change(NETLINK_ROUTE, message).map_err(|cause| self.error(action, cause))
    }

    fn error(&self, action: &'static str, cause: io::Error) -> LinkError {
        LinkError { action, device: self.name.clone(), cause }
    }
}

/// Whether this announces the route by which the host takes packets to `address` for its own.
fn is_local_route(message: &RouteNetlinkMessage, address: IpAddr) -> bool {
    let RouteNetlinkMessage::NewRoute(route) = message else { return false };
    let destination = RouteAttribute::Destination(address.into());
    route.header.kind == RouteType::Local && route.attributes.contains(&destination)
}

/// What would make the kernel agree, to be read after its answer.
fn remedy(cause: &io::Error) -> &'static str {
    match cause.raw_os_error() {
        Some(libc::EPERM) => "; this needs CAP_NET_ADMIN in its network namespace",
        Some(libc::EACCES) => "; IPv6 is turned off here: set sysctl net.ipv6.conf.all.disable_ipv6 to 0",
        Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP) => {
            "; this kernel runs without IPv6: boot it without ipv6.disable=1"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::net::{Namespace, tun::Tun};

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn an_address_can_be_used_at_once() {
        let check = || {
            let device = Device::named("lo").unwrap();
            for (address, prefix) in [("10.13.14.1", 24), ("fd13:14::1", 64)] {
                let address: IpAddr = address.parse().unwrap();
                assert!(TcpListener::bind((address, 0)).is_err());
                device.address(address, prefix).unwrap();
                let listener = TcpListener::bind((address, 0)).unwrap();
                TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                assert!(device.address(address, prefix).is_err());
            }
        };
        Namespace::private().unwrap().enter(check).unwrap();
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn a_device_is_up_once_it_was_brought_up() {
        let check = || {
            let tun = Tun::open("probe%d").unwrap();
            assert!(!tun.device().is_up().unwrap());
            tun.device().up().unwrap();
            assert!(tun.device().is_up().unwrap());
        };
        Namespace::private().unwrap().enter(check).unwrap();
    }

    #[test]
    fn a_refusal_names_device_and_cure() {
        let error = Device::named("probe-none").unwrap_err().to_string();
        assert_eq!(error, "looking up device probe-none: No such device (os error 19)");
        let cause = io::Error::from_raw_os_error(libc::EPERM);
        let error = LinkError { action: "bringing up", device: "lo".into(), cause };
        assert!(error.to_string().ends_with("this needs CAP_NET_ADMIN in its network namespace"));
    }
}
