//! A TUN device: packets sent to it are read here, and packets written here arrive on it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
};

use nix::libc;

use super::link::{Device, LinkError};

const CONTROL: &str = "/dev/net/tun";

/// Why a TUN device cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// /dev/net/tun does not exist or has no driver.
    #[error(
        "no TUN driver ({CONTROL}: {0}): load it with `modprobe tun`, or pass {CONTROL} into the container"
    )]
    NoDriver(io::Error),
    /// /dev/net/tun may not be opened.
    #[error(
        "opening {CONTROL}{mode}: {cause}; this user needs read and write access to it, and a container needs \
             the device"
    )]
    Inaccessible {
        /// The file's mode and owner in parentheses; empty if unknown.
        mode: String,
        /// What open(2) returned.
        cause: io::Error,
    },
    /// TUNSETIFF failed.
    #[error("creating a TUN device: {cause}{}", remedy(cause))]
    Create {
        /// What ioctl(2) returned.
        cause: io::Error,
    },
    /// The device was created but cannot be found.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// Opens the driver's control file, without which no device can be created.
///
/// # Errors
/// [`TunError`] says what is missing.
pub fn driver() -> Result<File, TunError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
    options.open(CONTROL).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENXIO | libc::ENODEV) => TunError::NoDriver(error),
        _ => TunError::Inaccessible { mode: mode(), cause: error },
    })
}

/// A single-queue TUN device in the namespace of the thread that opened it. It is removed with this value.
#[derive(Debug)]
pub struct Tun {
    file: File,
    device: Device,
}

impl Tun {
    /// Creates a device in the calling thread's network namespace. A `%d` in `name` becomes the first free number. The
    /// device is down and has no address.
    ///
    /// # Errors
    /// [`TunError`] says what is missing.
    ///
    /// # Panics
    /// If `name` is longer than 15 bytes.
    pub fn open(name: &str) -> Result<Self, TunError> {
        let file = driver()?;
        let name = attach_device(&file, name).map_err(|cause| TunError::Create { cause })?;
        let device = Device::named(&name)?;
        Ok(Self { file, device })
    }

    /// The device, to configure it.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Reads the next IP packet that the namespace sent to the device, truncated to `into`, and returns its length; `None`
    /// if there is none now.
    ///
    /// # Errors
    /// EIO if the device is down, EBADFD if it was removed.
    pub fn read(&self, into: &mut [u8]) -> io::Result<Option<usize>> {
        match (&self.file).read(into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            result => result.map(Some),
        }
    }

    /// Makes an IP packet arrive on the device. The namespace's stack has processed it when this returns, unless it went
    /// to the backlog of a socket that a process has locked.
    ///
    /// # Errors
    /// EIO if the device is down, EINVAL if this is not an IP packet.
    pub fn write(&self, packet: &[u8]) -> io::Result<()> {
        // One write is one packet; there are no partial writes.
        (&self.file).write(packet).map(drop)
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The remedy for the driver's error, to be appended to it.
fn remedy(cause: &io::Error) -> &'static str {
    match cause.raw_os_error() {
        Some(libc::EPERM) => "; this needs CAP_NET_ADMIN in the network namespace",
        Some(libc::ENOTTY) => {
            "; /dev/net/tun is not the TUN driver: replace it with `mknod /dev/net/tun c 10 200`"
        }
        _ => "",
    }
}

/// The mode and owner of /dev/net/tun.
fn mode() -> String {
    let metadata = fs::metadata(CONTROL);
    metadata
        .map(|file| format!(" (mode {:04o}, owner {})", file.mode() & 0o7777, file.uid()))
        .unwrap_or_default()
}

/// Attaches a new device to an open /dev/net/tun and returns its name.
#[expect(unsafe_code, reason = "TUNSETIFF takes an ifreq, which no safe interface builds")]
fn attach_device(control: &File, name: &str) -> io::Result<String> {
    // SAFETY: all bits zero is a valid ifreq, a plain C structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    assert!(name.len() < request.ifr_name.len(), "a device name has at most 15 bytes: {name}");
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    let flags = libc::IFF_TUN | libc::IFF_NO_PI;
    request.ifr_ifru.ifru_flags = i16::try_from(flags).expect("both flags are below 1 << 15");
    // SAFETY: the descriptor is open, and TUNSETIFF reads and writes exactly one ifreq.
    if unsafe { libc::ioctl(control.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } == -1 {
        return Err(io::Error::last_os_error());
    }
    let name =
        request.ifr_name.iter().map(|byte| byte.cast_unsigned()).take_while(|byte| *byte != 0).collect();
    Ok(String::from_utf8(name).expect("the kernel keeps the given name, and adds digits"))
}

#[cfg(test)]
mod tests {
    use std::{
        net::UdpSocket,
        os::fd::AsFd,
        time::{Duration, Instant},
    };

    use nix::poll::PollFlags;

    use super::*;
    use crate::net::{Namespace, ready::wait_ready};

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn packets_pass_in_both_directions() {
        let check = || {
            let tun = Tun::open("probe%d").unwrap();
            tun.device().up().unwrap();
            tun.device().add_address("10.13.14.1".parse().unwrap(), 24).unwrap();
            let socket = UdpSocket::bind("10.13.14.1:7").unwrap();
            socket.send_to(b"hello", "10.13.14.2:7").unwrap();

            let soon = Instant::now() + Duration::from_secs(5);
            let mut packet = [0; 1500];
            let length = loop {
                assert!(wait_ready(tun.as_fd(), PollFlags::POLLIN, soon).unwrap());
                // IPv6 sends packets of its own on a new device.
                match tun.read(&mut packet).unwrap() {
                    Some(length) if packet[0] >> 4 == 4 => break length,
                    _ => {}
                }
            };
            assert_eq!(&packet[length - 5..length], b"hello");

            // With addresses swapped it is the answer: checksums do not depend on their order.
            let (source, destination) = packet[12..20].split_at_mut(4);
            source.swap_with_slice(destination);
            tun.write(&packet[..length]).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let (_, from) = socket.recv_from(&mut [0; 16]).unwrap();
            assert_eq!(from, "10.13.14.2:7".parse().unwrap());
        };
        Namespace::private().unwrap().enter(check).unwrap();
    }

    #[test]
    fn an_inaccessible_file_and_a_failed_creation_have_different_remedies() {
        let denied = || io::Error::from_raw_os_error(libc::EACCES);
        let inaccessible =
            TunError::Inaccessible { mode: " (mode 0600, owner 0)".to_owned(), cause: denied() }.to_string();
        assert!(
            inaccessible.starts_with("opening /dev/net/tun (mode 0600, owner 0): Permission denied"),
            "{inaccessible}"
        );
        assert!(!inaccessible.contains("CAP_NET_ADMIN"), "{inaccessible}");
        let failed = |errno| TunError::Create { cause: io::Error::from_raw_os_error(errno) }.to_string();
        assert!(failed(libc::EPERM).contains("CAP_NET_ADMIN"));
        assert!(failed(libc::ENOTTY).contains("mknod") && !failed(libc::ENOMEM).contains("CAP_NET_ADMIN"));
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn the_device_is_removed_with_its_descriptor() {
        let check = || {
            let tun = Tun::open("probe0").unwrap();
            assert!(Device::named("probe0").is_ok());
            drop(tun);
            assert!(Device::named("probe0").is_err());
        };
        Namespace::private().unwrap().enter(check).unwrap();
    }
}
