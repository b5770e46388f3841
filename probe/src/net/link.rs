//! Network devices of the calling thread's namespace, via rtnetlink.

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

use super::netlink::{self, Subscription};

/// `RTNLGRP_IPV6_ROUTE`, the multicast group for changes of IPv6 routes.
const IPV6_ROUTES: u32 = 11;
/// How long to wait for the kernel to add a route, which usually takes less than a millisecond.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(5);

const ADDING_ADDRESS: &str = "adding an address to";

/// An operation on a device that the kernel rejected.
#[derive(Debug, thiserror::Error)]
#[error("{action} device {device}: {cause}{}", remedy(cause))]
pub struct LinkError {
    /// The operation, such as `bringing up`.
    action: &'static str,
    /// The device's name.
    device: String,
    /// The kernel's answer.
    cause: io::Error,
}

/// A device, by name and index. It is not opened, so it may be removed while this value exists.
#[derive(Clone, Debug)]
pub struct Device {
    name: String,
    index: u32,
}

impl Device {
    /// Looks up the device with this name.
    ///
    /// # Errors
    /// No such device.
    pub fn named(name: &str) -> Result<Self, LinkError> {
        let index = if_nametoindex(name).map_err(|errno| LinkError {
            action: "looking up",
            device: name.to_owned(),
            cause: errno.into(),
        })?;
        Ok(Self { name: name.to_owned(), index })
    }

    /// Whether the device is up.
    ///
    /// # Errors
    /// The kernel does not list its devices.
    pub fn is_up(&self) -> Result<bool, LinkError> {
        let listed = getifaddrs().map_err(|errno| self.error("reading the state of", errno.into()))?;
        let up = |flags: InterfaceFlags| flags.contains(InterfaceFlags::IFF_UP);
        Ok(listed.into_iter().any(|entry| entry.interface_name == self.name && up(entry.flags)))
    }

    /// Brings the device up.
    ///
    /// # Errors
    /// EPERM without CAP_NET_ADMIN.
    pub fn up(&self) -> Result<(), LinkError> {
        let mut message = self.message();
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.change("bringing up", RouteNetlinkMessage::SetLink(message))
    }

    /// Takes the device down. The kernel removes its routes and keeps its addresses.
    ///
    /// # Errors
    /// EPERM without CAP_NET_ADMIN.
    pub fn down(&self) -> Result<(), LinkError> {
        let mut message = self.message();
        message.header.change_mask = LinkFlags::Up;
        self.change("taking down", RouteNetlinkMessage::SetLink(message))
    }

    /// Sets the length of the transmit queue in packets (`txqueuelen`).
    ///
    /// # Errors
    /// EPERM without CAP_NET_ADMIN.
    pub fn queue_length(&self, packets: u32) -> Result<(), LinkError> {
        let mut message = self.message();
        message.attributes.push(LinkAttribute::TxQueueLen(packets));
        self.change("setting the queue length of", RouteNetlinkMessage::SetLink(message))
    }

    /// Adds an address, and with it a route to its prefix. When this returns, the host accepts packets to the address.
    /// Duplicate address detection (RFC 4862 §5.4) is skipped for IPv6.
    ///
    /// # Errors
    /// EEXIST, EPERM without CAP_NET_ADMIN, or the address family is disabled.
    pub fn add_address(&self, address: IpAddr, prefix: u8) -> Result<(), LinkError> {
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
        let add = || self.change(ADDING_ADDRESS, RouteNetlinkMessage::NewAddress(message));
        if address.is_ipv4() {
            return add();
        }
        // An IPv6 address can be bound at once, but a workqueue adds its local route (addrconf_dad_work), and the kernel
        // drops packets to it until then.
        let error = |cause| self.error(ADDING_ADDRESS, cause);
        let routes = Subscription::of(NETLINK_ROUTE, IPV6_ROUTES).map_err(error)?;
        add()?;
        routes.wait(Instant::now() + ROUTE_TIMEOUT, |message| is_local_route(message, address)).map_err(error)
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

/// Whether this announces the local route, by which the host accepts packets to `address`.
fn is_local_route(message: &RouteNetlinkMessage, address: IpAddr) -> bool {
    let RouteNetlinkMessage::NewRoute(route) = message else { return false };
    let destination = RouteAttribute::Destination(address.into());
    route.header.kind == RouteType::Local && route.attributes.contains(&destination)
}

/// The remedy for the kernel's error, to be appended to it.
fn remedy(cause: &io::Error) -> &'static str {
    match cause.raw_os_error() {
        Some(libc::EPERM) => "; this needs CAP_NET_ADMIN in its network namespace",
        Some(libc::EACCES) => {
            "; IPv6 is disabled in this network namespace: set sysctl net.ipv6.conf.all.disable_ipv6 to 0"
        }
        Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP) => {
            "; this kernel runs without IPv6: boot without ipv6.disable=1"
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
    fn an_added_address_can_be_used_at_once() {
        let check = || {
            let device = Device::named("lo").unwrap();
            for (address, prefix) in [("10.13.14.1", 24), ("fd13:14::1", 64)] {
                let address: IpAddr = address.parse().unwrap();
                assert!(TcpListener::bind((address, 0)).is_err());
                device.add_address(address, prefix).unwrap();
                let listener = TcpListener::bind((address, 0)).unwrap();
                TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                assert!(device.add_address(address, prefix).is_err());
            }
        };
        Namespace::private().unwrap().enter(check).unwrap();
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn a_device_is_up_after_up() {
        let check = || {
            let tun = Tun::open("probe%d").unwrap();
            assert!(!tun.device().is_up().unwrap());
            tun.device().up().unwrap();
            assert!(tun.device().is_up().unwrap());
        };
        Namespace::private().unwrap().enter(check).unwrap();
    }

    #[test]
    fn an_error_has_the_device_and_the_remedy() {
        let error = Device::named("probe-none").unwrap_err().to_string();
        assert_eq!(error, "looking up device probe-none: No such device (os error 19)");
        let cause = io::Error::from_raw_os_error(libc::EPERM);
        let error = LinkError { action: "bringing up", device: "lo".into(), cause };
        assert!(error.to_string().ends_with("this needs CAP_NET_ADMIN in its network namespace"));
    }
}
