//! `probe run --pcap`: the packets on the emulated link, as any pcapng reader sees them.

use std::{fs, path::Path};

use etherparse::SlicedPacket;
use pcap_file::pcapng::{
    Block, PcapNgReader,
    blocks::{enhanced_packet::EnhancedPacketOption, interface_description::InterfaceDescriptionOption},
};

use crate::support::{Objects, Probe, text};

/// A TCP segment of the file with its comments.
#[derive(Debug)]
struct Found {
    interface: String,
    /// The relevant flags, such as `SYN+ACK`.
    flags: String,
    comments: Vec<String>,
}

fn read(path: &Path) -> Vec<Found> {
    let bytes = fs::read(path).unwrap();
    let mut reader = PcapNgReader::new(bytes.as_slice()).unwrap();
    let (mut interfaces, mut found) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block() {
        match block.unwrap() {
            Block::InterfaceDescription(block) => {
                let name = block.options.iter().find_map(|option| match option {
                    InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
                    _ => None,
                });
                interfaces.push(name.expect("interfaces have names"));
            }
            Block::EnhancedPacket(packet) => {
                let comment = |option: &EnhancedPacketOption<'_>| match option {
                    EnhancedPacketOption::Comment(comment) => Some(comment.to_string()),
                    _ => None,
                };
                // IPv6 starts with ICMPv6.
                let Some(flags) = flags(&packet.data) else { continue };
                let interface = interfaces[packet.interface_id as usize].clone();
                found.push(Found {
                    interface,
                    flags,
                    comments: packet.options.iter().filter_map(comment).collect(),
                });
            }
            block => panic!("unexpected block: {block:?}"),
        }
    }
    found
}

fn flags(packet: &[u8]) -> Option<String> {
    let Some(etherparse::TransportSlice::Tcp(tcp)) = SlicedPacket::from_ip(packet).unwrap().transport else {
        return None;
    };
    let bits = [(tcp.syn(), "SYN"), (tcp.fin(), "FIN"), (tcp.rst(), "RST"), (tcp.ack(), "ACK")];
    let names: Vec<_> = bits.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect();
    Some(names.join("+"))
}

/// The capture of a run of `simultaneous-open`, and its output.
fn captured(flags: &str) -> (Vec<Found>, Objects) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wire.pcapng");
    let outcome = Probe::new(&format!("run simultaneous-open --format json {flags} --pcap")).arg(&file).run();
    let objects = outcome.exits(0).silently().objects();
    (read(&file), objects)
}

#[track_caller]
fn the_crossing_is_in_the_file(flags: &str) {
    let (found, objects) = captured(flags);
    let handshake: Vec<_> =
        found[..4].iter().map(|found| (found.interface.as_str(), found.flags.as_str())).collect();
    assert_eq!(handshake[..2], [("wire1-a", "SYN"), ("wire1-b", "SYN")]);
    assert!(handshake[2..].contains(&("wire1-a", "SYN+ACK")), "{handshake:?}");
    assert!(handshake[2..].contains(&("wire1-b", "SYN+ACK")), "{handshake:?}");

    // Each SYN was caused by one endpoint's connect and advanced the other.
    for (found, own, peer) in [(&found[0], "a", "b"), (&found[1], "b", "a")] {
        let opened = format!("{own}: CLOSE → SYN_SENT (connect)");
        let answered = format!("{peer}: SYN_SENT → SYN_RECV (SYN received)");
        assert_eq!(found.comments, [opened, answered], "{found:?}");
    }
    for found in &found[2..4] {
        let peer = if found.interface == "wire1-a" { "b" } else { "a" };
        let comment = found.comments.join("; ");
        assert!(comment.starts_with(&format!("{peer}: SYN_RECV → ESTABLISHED (")), "{found:?}");
    }
    let lost: Vec<_> =
        found.iter().filter(|found| found.comments.contains(&"dropped by the link".to_owned())).collect();
    assert!(!lost.is_empty() && lost.iter().all(|lost| lost.interface == "wire3-b" && lost.flags == "SYN"));
    every_change_is_a_comment_once(&found, &objects);
}

/// All sockets of this scenario use the emulated link.
fn every_change_is_a_comment_once(found: &[Found], objects: &Objects) {
    let mut comments: Vec<_> = found
        .iter()
        .flat_map(|found| &found.comments)
        .filter_map(|comment| comment.split_once(": ")?.1.split_once(" (")?.0.split_once(" → "))
        .collect();
    let mut changes: Vec<_> =
        objects.of("transition").map(|one| (text(&one["old"]), text(&one["new"]))).collect();
    comments.sort_unstable();
    changes.sort_unstable();
    assert_eq!(comments, changes);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_crossing_over_ipv4() {
    the_crossing_is_in_the_file("");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_crossing_over_ipv6() {
    the_crossing_is_in_the_file("--ipv6 --delay 5ms");
}

/// One file for all rounds, each with its own interfaces.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn every_round_has_its_wires() {
    let (found, objects) = captured("--repeat 2 --delay 5ms");
    let sides: Vec<_> = found.iter().map(|found| found.interface.as_str()).collect();
    for wire in 1..=6 {
        assert!(sides.contains(&format!("wire{wire}-a").as_str()), "wire {wire}: {sides:?}");
    }
    every_change_is_a_comment_once(&found, &objects);
}
