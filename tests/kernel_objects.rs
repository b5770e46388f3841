//! The kernel objects that a process holds, and waiting until they are gone.
//!
//! The kernel announces the removal of a network namespace (RTNLGRP_NSID) to every namespace that
//! has assigned it an id. BPF objects have no such notification. They live as long as something
//! holds them: a descriptor (in some process's
//! fdinfo) or a pin (a file in some bpffs).

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::fd::{AsFd as _, AsRawFd as _},
    path::{Path, PathBuf},
    time::Instant,
};

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    nsid::{NsidAttribute, NsidMessage},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use probe::net::Namespace;

use crate::support::PATIENCE;

/// RTNLGRP_NSID
const NSID_GROUP: u32 = 28;

/// The kernel objects of a process.
pub struct KernelObjects {
    deaths: Removals,
    /// Such as `prog_id 17`.
    objects: BTreeSet<String>,
}

impl KernelObjects {
    /// Lists what a process holds now: network namespaces and BPF objects.
    pub fn held_by(pid: u32) -> Self {
        let deaths = Removals::of(&private_namespaces(pid));
        let objects = bpf_objects(Path::new("/proc").join(pid.to_string()));
        for kind in ["prog_id", "map_id", "link_id"] {
            assert!(objects.iter().any(|object| object.starts_with(kind)), "no {kind} in {objects:?}");
        }
        Self { deaths, objects }
    }

    /// Waits until all of it is gone.
    pub fn wait_until_gone(self) {
        self.deaths.wait();
        let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok).map(|entry| entry.path());
        let held: BTreeSet<String> = processes.flat_map(bpf_objects).collect();
        let left: Vec<_> = self.objects.intersection(&held).collect();
        assert!(left.is_empty(), "still held: {left:?}");
        assert_eq!(pins(), Vec::<PathBuf>::new());
    }
}

/// The network namespaces that a process holds open, besides its own.
fn private_namespaces(pid: u32) -> Vec<File> {
    let process = Path::new("/proc").join(pid.to_string());
    let own = fs::read_link(process.join("ns/net")).unwrap();
    let mut seen = BTreeSet::from([own]);
    let mut namespaces = Vec::new();
    for entry in fs::read_dir(process.join("fd")).unwrap() {
        let path = entry.unwrap().path();
        // It may have been closed since.
        let Ok(target) = fs::read_link(&path) else { continue };
        if target.to_string_lossy().starts_with("net:[") && seen.insert(target) {
            namespaces.extend(File::open(path));
        }
    }
    assert!(!namespaces.is_empty(), "process {pid} holds no other namespace");
    namespaces
}

/// The BPF objects of a process's descriptors; none if the process does not exist.
fn bpf_objects(process: PathBuf) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(process.join("fdinfo")) else { return BTreeSet::new() };
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    let ids = |text: String| -> Vec<String> {
        let is_id = |line: &&str| ["prog_id:", "map_id:", "link_id:"].iter().any(|id| line.starts_with(id));
        text.lines().filter(is_id).map(|line| line.replace(':', "").replace('\t', " ")).collect()
    };
    texts.flat_map(ids).collect()
}

/// Files in any bpffs named like one of the tool's programs or maps.
fn pins() -> Vec<PathBuf> {
    const OURS: [&str; 6] =
        ["transition_btf", "transition_classic", "RING_MEMORY", "RING_CURSORS", "SLOTS", "SK_STORAGE"];
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let bpffs = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (_, directory, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == "bpf").then_some(directory)
    });
    let pins = bpffs.flat_map(|directory| OURS.map(|name| Path::new(directory).join(name)));
    pins.filter(|pin| pin.exists()).collect()
}

/// Subscriptions to the removal of namespaces, from a private one.
struct Removals {
    /// Keeps the namespace that assigned the ids.
    _here: Namespace,
    socket: Socket,
    awaited: BTreeSet<i32>,
}

impl Removals {
    /// Assigns each namespace an id and subscribes to its removal.
    fn of(namespaces: &[File]) -> Self {
        let here = Namespace::private().unwrap();
        let socket = here.enter(|| {
            let mut socket = Socket::new(NETLINK_ROUTE).unwrap();
            socket.bind_auto().unwrap();
            socket.add_membership(NSID_GROUP).unwrap();
            socket
        });
        let deaths =
            Self { _here: here, socket: socket.unwrap(), awaited: (0..).take(namespaces.len()).collect() };
        for (number, namespace) in deaths.awaited.iter().zip(namespaces) {
            deaths.number(*number, namespace).unwrap();
        }
        deaths
    }

    fn number(&self, number: i32, namespace: &File) -> io::Result<()> {
        let mut message = NsidMessage::default();
        let descriptor = namespace.as_raw_fd().cast_unsigned();
        message.attributes = vec![NsidAttribute::Id(number), NsidAttribute::Fd(descriptor)];
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK;
        let mut request = NetlinkMessage::new(header, RouteNetlinkMessage::NewNsId(message).into());
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
        loop {
            if let NetlinkPayload::Error(answer) = self.receive()? {
                return if answer.code.is_none() { Ok(()) } else { Err(answer.to_io()) };
            }
        }
    }

    fn receive(&self) -> io::Result<NetlinkPayload<RouteNetlinkMessage>> {
        let (datagram, _) = self.socket.recv_from_full()?;
        Ok(NetlinkMessage::deserialize(&datagram).map_err(io::Error::other)?.payload)
    }

    /// Waits until all of them are gone.
    fn wait(mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.awaited.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap();
            let ready = poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], timeout).unwrap();
            assert_eq!(ready, 1, "{} namespaces still exist", self.awaited.len());
            let NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelNsId(dead)) = self.receive().unwrap()
            else {
                continue;
            };
            for attribute in dead.attributes {
                if let NsidAttribute::Id(number) = attribute {
                    self.awaited.remove(&number);
                }
            }
        }
    }
}
