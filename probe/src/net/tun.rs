//! A TUN device: whatever is sent to it can be read here, and what is written here arrives on it.

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

/// Why there is no TUN device.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// There is no /dev/net/tun, or no driver behind it.
    #[error(
        "no TUN driver ({CONTROL}: {0}): load it with `modprobe tun`, or pass {CONTROL} into the container"
    )]
    NoDriver(io::Error),
    /// /dev/net/tun cannot be opened.
    #[error(
        "opening {CONTROL}{mode}: {cause}; this user must be able to read and write it, and a container must \
             be given the device"
    )]
    Closed {
        /// The file's mode and owner, in brackets; empty where it does not tell.
        mode: String,
        /// What open(2) returned.
        cause: io::Error,
    },
    /// TUNSETIFF failed.
    #[error("making a TUN device: {cause}{}", remedy(cause))]
    Refused {
        /// What ioctl(2) returned.
        cause: io::Error,
    },
    /// It was made, and cannot be found.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// Opens the driver's control file: what there must be before there can be a device.
///
/// # Errors
/// [`TunError`] says what is missing.
pub fn driver() -> Result<File, TunError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
    options.open(CONTROL).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENXIO | libc::ENODEV) => TunError::NoDriver(error),
        _ => TunError::Closed { mode: mode(), cause: error },
    })
}

/// A TUN device of one queue, made in the namespace of the thread that opened it. It is gone with this
/// value: nothing about it is persistent.
#[derive(Debug)]
pub struct Tun {
    file: File,
    device: Device,
}

impl Tun {
    /// Makes a device in the calling thread's network namespace. A `%d` in `name` becomes the first
    /// number that is free. The device is down and has no address.
    ///
    /// # Errors
    /// [`TunError`] says what is missing.
    ///
    /// # Panics
    /// Where `name` is longer than a device's name can be (15 bytes).
    pub fn open(name: &str) -> Result<Self, TunError> {
        let file = driver()?;
        let name = make_device(&file, name).map_err(|cause| TunError::Refused { cause })?;
        let device = Device::named(&name)?;
        Ok(Self { file, device })
    }

    /// The device, to bring it up and give it an address.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Takes the next IP packet that the namespace has sent to the device: its length in `into`, which
    /// cuts off what does not fit. `None` where there is none now.
    ///
    /// # Errors
    /// The device is down (EIO), or gone (EBADFD).
    pub fn read(&self, into: &mut [u8]) -> io::Result<Option<usize>> {
        match (&self.file).read(into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            result => result.map(Some),
        }
    }

    /// Lets an IP packet arrive on the device. The namespace's stack has processed it when this
    /// returns, except what it had to leave to a socket that a process was using (its backlog).
    ///
    /// # Errors
    /// The device is down (EIO), or this is no IP packet (EINVAL).
    pub fn write(&self, packet: &[u8]) -> io::Result<()> {
        // One write is one packet: there are no partial ones.
        (&self.file).write(packet).map(drop)
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// What would make the driver agree, to be read after its answer.
fn remedy(cause: &io::Error) -> &'static str {
    match cause.raw_os_error() {
        Some(libc::EPERM) => "; this needs CAP_NET_ADMIN in the network namespace",
        Some(libc::ENOTTY) => {
            "; what is at /dev/net/tun is another file: make it with `mknod /dev/net/tun c 10 200`"
        }
        _ => "",
    }
}

/// Who may open /dev/net/tun.
fn mode() -> String {
    let told = fs::metadata(CONTROL);
    told.map(|file| format!(" (mode {:04o}, of user {})", file.mode() & 0o7777, file.uid()))
        .unwrap_or_default()
}

/// Makes the device behind an open /dev/net/tun, and returns the name it got.
#[expect(unsafe_code, reason = "TUNSETIFF takes an ifreq, which no safe interface builds")]
fn make_device(control: &File, name: &str) -> io::Result<String> {
    // SAFETY: all bits zero is a valid ifreq, a plain C structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    assert!(name.len() < request.ifr_name.len(), "a device's name has at most 15 bytes: {name}");
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    let flags = libc::IFF_TUN | libc::IFF_NO_PI;
    request.ifr_ifru.ifru_flags = i16::try_from(flags).expect("both flags are below 1 << 15");
    // SAFETY: the descriptor is open, and TUNSETIFF reads and writes one ifreq, which this is.
    if unsafe { libc::ioctl(control.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } == -1 {
        return Err(io::Error::last_os_error());
    }
    let name =
        request.ifr_name.iter().map(|byte| byte.cast_unsigned()).take_while(|byte| *byte != 0).collect();
    Ok(String::from_utf8(name).expect("the kernel keeps the name that it was given, and adds digits"))
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
    fn what_is_sent_comes_out_and_what_goes_in_arrives() {
        let check = || {
            let tun = Tun::open("probe%d").unwrap();
            tun.device().up().unwrap();
            tun.device().address("10.13.14.1".parse().unwrap(), 24).unwrap();
            let socket = UdpSocket::bind("10.13.14.1:7").unwrap();
            socket.send_to(b"hello", "10.13.14.2:7").unwrap();

            let soon = Instant::now() + Duration::from_secs(5);
            let mut packet = [0; 1500];
            let length = loop {
                assert!(wait_ready(tun.as_fd(), PollFlags::POLLIN, soon).unwrap());
                // IPv6 greets a new device with packets of its own.
                match tun.read(&mut packet).unwrap() {
                    Some(length) if packet[0] >> 4 == 4 => break length,
                    _ => {}
                }
            };
            assert_eq!(&packet[length - 5..length], b"hello");

            // Turned around it is the answer: checksums do not change with the order of addresses.
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
    fn a_file_that_cannot_be_opened_is_told_from_a_device_that_cannot_be_made() {
        let denied = || io::Error::from_raw_os_error(libc::EACCES);
        let closed =
            TunError::Closed { mode: " (mode 0600, of user 0)".to_owned(), cause: denied() }.to_string();
        assert!(
            closed.starts_with("opening /dev/net/tun (mode 0600, of user 0): Permission denied"),
            "{closed}"
        );
        assert!(!closed.contains("CAP_NET_ADMIN"), "{closed}");
        let refused = |errno| TunError::Refused { cause: io::Error::from_raw_os_error(errno) }.to_string();
        assert!(refused(libc::EPERM).contains("CAP_NET_ADMIN"));
        assert!(refused(libc::ENOTTY).contains("mknod") && !refused(libc::ENOMEM).contains("CAP_NET_ADMIN"));
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn the_device_goes_with_its_descriptor() {
        let check = || {
            let tun = Tun::open("probe0").unwrap();
            assert!(Device::named("probe0").is_ok());
            drop(tun);
            assert!(Device::named("probe0").is_err());
        };
        Namespace::private().unwrap().enter(check).unwrap();
    }
}
