//! Renders a diagnosis: for a terminal, facilities by group and hazards by network namespace; for programs, an object for
//! each.

use std::{
    io::{self, Write},
    time::SystemTime,
};

use super::{
    style::{Role, Style},
    table::{
        format,
        text_table::{INDENT, TextTable, paragraph},
    },
};
use crate::{
    model::{Diagnosis, Facility, FacilityGroup, FacilityStatus, Hazard, HazardFacts, HazardKind, Owner},
    record::Object,
};

/// Writes a diagnosis that was made at `at` as JSON Lines.
///
/// # Errors
/// Whatever `out` returns.
pub fn json(diagnosis: &Diagnosis, at: SystemTime, out: &mut dyn Write) -> io::Result<()> {
    let facilities = diagnosis.facilities.iter().map(|facility| Object::of_facility(facility, at));
    let hazards = diagnosis.hazards.iter().map(|hazard| Object::of_hazard(hazard, at));
    for object in facilities.chain(hazards) {
        serde_json::to_writer(&mut *out, &object)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Writes a diagnosis as tables.
///
/// # Errors
/// Whatever `out` returns.
pub fn table(diagnosis: &Diagnosis, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let is_tested = |facility: &&Facility| facility.group != FacilityGroup::Sysctl;
    let tested = diagnosis.facilities.iter().filter(is_tested);
    let name_width = tested.map(|facility| facility.name.chars().count()).max().unwrap_or_default();
    for group in FacilityGroup::ALL {
        let members: Vec<_> =
            diagnosis.facilities.iter().filter(|facility| facility.group == group).collect();
        if members.is_empty() {
            continue;
        }
        heading(title(group), style, out)?;
        match group {
            FacilityGroup::Sysctl => sysctls(&members, style, out)?,
            _ => facilities(&members, name_width, style, out)?,
        }
        writeln!(out)?;
    }
    heading("hazards", style, out)?;
    hazards(&diagnosis.hazards, style, out)?;
    writeln!(out)?;
    totals(diagnosis, style, out)?;
    out.flush()
}

fn title(group: FacilityGroup) -> &'static str {
    match group {
        FacilityGroup::Host => "host",
        FacilityGroup::Kernel => "BPF programs",
        FacilityGroup::User => "other kernel interfaces",
        FacilityGroup::Sysctl => "sysctls of this network namespace (net.ipv4 unless named otherwise)",
    }
}

fn heading(text: &str, style: Style, out: &mut dyn Write) -> io::Result<()> {
    paragraph(style, Role::Heading, text).flush_left().write(out)
}

fn mark(status: FacilityStatus) -> (Role, String) {
    let (role, mark) = match status {
        FacilityStatus::Ok => (Role::Success, "✓"),
        FacilityStatus::Unavailable => (Role::Error, "✗"),
        FacilityStatus::Unknown => (Role::Warning, "–"),
    };
    (role, mark.to_owned())
}

/// Writes a row for each facility; below those that are unavailable, what depends on them, and the remedy. Names are padded
/// to `name_width`, so that the groups are aligned.
fn facilities(members: &[&Facility], name_width: usize, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut table = TextTable::new(style).no_wrap(&[0, 1]);
    for facility in members {
        let (role, mark) = mark(facility.status);
        let observed = if facility.status == FacilityStatus::Ok { Role::Plain } else { role };
        let name = format!("{:name_width$}", facility.name);
        table.row([(role, mark), (Role::Plain, name), (observed, facility.observed.clone())]);
        if facility.status == FacilityStatus::Ok {
            continue;
        }
        let mut more = |label: &str, text: &str| {
            let label = format!("{label:>name_width$}");
            table.row([(Role::Plain, String::new()), (Role::Dim, label), (Role::Plain, text.to_owned())]);
        };
        more("affects", &facility.costs);
        if let Some(remedy) = &facility.remedy {
            more("remedy", remedy);
        }
    }
    table.write(out)
}

/// The prefix of most sysctls, which the heading names.
const COMMON_PREFIX: &str = "net.ipv4.";

/// Writes each sysctl with its value and what that controls.
fn sysctls(members: &[&Facility], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut table = TextTable::new(style).no_wrap(&[0]);
    for sysctl in members {
        let role = if sysctl.status == FacilityStatus::Ok { Role::Plain } else { Role::Warning };
        table.row([
            (Role::Plain, sysctl.name.trim_start_matches(COMMON_PREFIX).to_owned()),
            (role, sysctl.observed.clone()),
            (Role::Dim, sysctl.costs.clone()),
        ]);
    }
    table.write(out)
}

const LISTENERS: &str = "Listeners on ports in the ephemeral range. While such a server is down, the kernel can assign its \
                         port to a client on this host that keeps trying to connect to it. The client then connects to \
                         itself, and the server cannot bind its port. If the kernel chose the server's port, no remedy is \
                         needed.";

fn hazards(hazards: &[Hazard], style: Style, out: &mut dyn Write) -> io::Result<()> {
    if hazards.is_empty() {
        return paragraph(style, Role::Success, "✓ none in the network namespaces that were examined")
            .write(out);
    }
    let (listeners, others): (Vec<_>, Vec<_>) =
        hazards.iter().partition(|hazard| hazard.kind() == HazardKind::EphemeralListener);
    if !listeners.is_empty() {
        paragraph(style, Role::Plain, LISTENERS).write(out)?;
    }
    for members in listeners.chunk_by(|a, b| a.netns == b.netns) {
        writeln!(out)?;
        listeners_of_namespace(members, style, out)?;
    }
    for members in others.chunk_by(|a, b| (a.netns, a.kind()) == (b.netns, b.kind())) {
        if !listeners.is_empty() || !std::ptr::eq(members[0], others[0]) {
            writeln!(out)?;
        }
        messages(members, style, out)?;
    }
    Ok(())
}

/// Writes the listeners of one network namespace, and the command that reserves all their ports.
fn listeners_of_namespace(members: &[&Hazard], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut range = String::new();
    let mut table =
        TextTable::new(style).header(["port", "address", "owner", "assigned by"]).align_right(&[0]);
    for hazard in listed(members) {
        let HazardFacts::EphemeralListener { range: ports, reach } = &hazard.facts else { continue };
        range = format!(", ephemeral ports {}-{}", ports.start(), ports.end());
        let role = if hazard.owner == Owner::UNKNOWN { Role::Dim } else { Role::Plain };
        table.row([
            (Role::Warning, hazard.local.port_or_zero().to_string()),
            (Role::Plain, hazard.local.addr.to_string()),
            (role, hazard.owner.to_string()),
            (Role::Plain, reach.text().to_owned()),
        ]);
    }
    let title = members.first().map(|hazard| format!("network namespace {}{range}", hazard.netns));
    paragraph(style, Role::Dim, &title.unwrap_or_default()).write(out)?;
    table.write(out)?;
    left_out(members, style, out)?;
    remedies(members, style, out)
}

/// The most hazards of one kind that are listed for a network namespace: after a port scan there may be thousands.
const MAX_LISTED: usize = 20;

fn listed<'a>(members: &'a [&'a Hazard]) -> &'a [&'a Hazard] {
    &members[..members.len().min(MAX_LISTED)]
}

/// Writes how many hazards are not listed.
fn left_out(members: &[&Hazard], style: Style, out: &mut dyn Write) -> io::Result<()> {
    match members.len().saturating_sub(MAX_LISTED) {
        0 => Ok(()),
        number => {
            paragraph(style, Role::Dim, &format!("and {number} more; `--format json` has all")).write(out)
        }
    }
}

/// Writes hazards that have a sentence each.
fn messages(members: &[&Hazard], style: Style, out: &mut dyn Write) -> io::Result<()> {
    for hazard in listed(members) {
        let owner =
            if hazard.owner == Owner::UNKNOWN { String::new() } else { format!(", {}", hazard.owner) };
        let text = format!("network namespace {}{owner}: {}", hazard.netns, hazard.message());
        paragraph(style, Role::Warning, &text).write(out)?;
    }
    left_out(members, style, out)?;
    remedies(members, style, out)
}

/// Writes each remedy once. A command is not wrapped, so that it can be copied.
fn remedies(members: &[&Hazard], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut remedies: Vec<&str> = members.iter().filter_map(|hazard| hazard.remedy.as_deref()).collect();
    remedies.dedup();
    let is_command = members.iter().all(|hazard| hazard.kind() != HazardKind::EphemeralExhaustion);
    for remedy in remedies {
        let text = format!("remedy: {remedy}");
        let width = if is_command { style.width.max(INDENT + text.chars().count()) } else { style.width };
        paragraph(Style { width, ..style }, Role::Success, &text).write(out)?;
    }
    Ok(())
}

/// Writes the totals.
fn totals(diagnosis: &Diagnosis, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let with = |status| diagnosis.facilities.iter().filter(|facility| facility.status == status).count();
    let (unavailable, unknown) = (with(FacilityStatus::Unavailable), with(FacilityStatus::Unknown));
    let mut sums = vec![format!("{} ok", with(FacilityStatus::Ok))];
    sums.extend((unavailable > 0).then(|| format!("{unavailable} unavailable")));
    sums.extend((unknown > 0).then(|| format!("{unknown} unknown")));
    sums.push(format::count(diagnosis.hazards.len() as u64, "hazard", "hazards"));
    let role = match (&diagnosis.refusal, unavailable + unknown + diagnosis.hazards.len()) {
        (Some(_), _) => Role::Error,
        (None, 0) => Role::Success,
        (None, _) => Role::Warning,
    };
    paragraph(style, role, &sums.join(" · ")).flush_left().write(out)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::model::{Known, Name, PortReach, Task};

    fn facility(group: FacilityGroup, name: &str, status: FacilityStatus, observed: &str) -> Facility {
        Facility {
            group,
            name: name.to_owned(),
            status,
            observed: observed.to_owned(),
            costs: "cookies, exact owners of accepted sockets, trace --connections".to_owned(),
            remedy: (status == FacilityStatus::Unavailable)
                .then(|| "mount -t tracefs nodev /sys/kernel/tracing".to_owned()),
        }
    }

    fn hazard(netns: u32, local: &str, facts: HazardFacts) -> Hazard {
        let task = Task { pid: 4711, uid: 0, comm: Name::from_bytes(b"evil\x1b[31m") };
        Hazard {
            facts,
            netns,
            local: local.parse::<SocketAddr>().expect("an address in a test").into(),
            owner: Owner { task: Some(task), cgroup: None, known: Known::Inferred },
            remedy: Some(
                "nsenter -t 4711 -n sysctl -w \
                 net.ipv4.ip_local_reserved_ports=8080,9148,10000-10100,50051-50052"
                    .to_owned(),
            ),
        }
    }

    fn diagnosis() -> Diagnosis {
        let listener = |reach| HazardFacts::EphemeralListener { range: 32768..=60999, reach };
        let remote = "[2001:db8::2]:443".parse::<SocketAddr>().expect("an address in a test").into();
        let exhaustion =
            HazardFacts::EphemeralExhaustion { remote, used: 28000, time_wait: 27000, available: 28232 };
        Diagnosis {
            facilities: vec![
                facility(FacilityGroup::Host, "kernel", FacilityStatus::Ok, "Linux 6.18.44 x86_64"),
                facility(FacilityGroup::Kernel, "tracefs", FacilityStatus::Unavailable, "not mounted"),
                facility(
                    FacilityGroup::Kernel,
                    "sock:inet_sock_set_state",
                    FacilityStatus::Unknown,
                    "tracefs is not mounted",
                ),
                facility(FacilityGroup::User, "TUN device", FacilityStatus::Ok, "made"),
                facility(
                    FacilityGroup::Sysctl,
                    "net.ipv4.ip_local_port_range",
                    FacilityStatus::Ok,
                    "32768 60999",
                ),
                facility(FacilityGroup::Sysctl, "net.core.somaxconn", FacilityStatus::Ok, "4096"),
            ],
            hazards: vec![
                hazard(4026531840, "0.0.0.0:50052", listener(PortReach::Connect)),
                Hazard {
                    owner: Owner::UNKNOWN,
                    ..hazard(4026532008, "[::]:50051", listener(PortReach::Bind))
                },
                hazard(4026532008, "127.0.0.1:1314", HazardFacts::SelfConnected { time_wait: true }),
                Hazard {
                    owner: Owner::UNKNOWN,
                    remedy: Some("keep connections open and use them again, or connect from further source addresses, which have ports of their own".to_owned()),
                    ..hazard(4026532009, "[2001:db8::1]:0", exhaustion)
                },
            ],
            refusal: None,
        }
    }

    fn shown(diagnosis: &Diagnosis, width: usize, colour: bool) -> String {
        let mut out = Vec::new();
        table(diagnosis, Style { width, colour }, &mut out).expect("a Vec accepts every write");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_diagnosis_at_80_columns() {
        insta::assert_snapshot!("doctor_80", shown(&diagnosis(), 80, false));
    }

    #[test]
    fn a_diagnosis_at_140_columns_in_colour() {
        insta::assert_snapshot!("doctor_140", shown(&diagnosis(), 140, true).replace('\x1b', "␛"));
    }

    #[test]
    fn the_absence_of_hazards_is_stated() {
        let text = shown(&Diagnosis::default(), 80, false);
        assert!(text.contains("✓ none in the network namespaces") && text.ends_with("0 hazards\n"), "{text}");
    }

    #[test]
    fn of_very_many_hazards_some_are_listed_and_the_rest_counted() {
        let of_one_kind = |facts: HazardFacts| -> Vec<Hazard> {
            (1..=25).map(|last| hazard(7, &format!("10.0.0.{last}:40001"), facts.clone())).collect()
        };
        for hazard in diagnosis().hazards {
            let hazards = of_one_kind(hazard.facts);
            let text = shown(&Diagnosis { hazards, ..Diagnosis::default() }, 200, false);
            assert!(text.contains("and 5 more; `--format json` has all"), "{text}");
            assert!(text.ends_with("25 hazards\n"), "{text}");
        }
    }

    #[test]
    fn only_commands_exceed_the_width() {
        for width in [40, 60, 80, 140] {
            for line in shown(&diagnosis(), width, false).lines() {
                assert!(line.chars().count() <= width || line.contains("remedy: nsenter"), "{width}: {line}");
                assert_eq!(line, line.trim_end());
                assert!(!line.contains('\x1b'), "{line}");
            }
        }
    }

    #[test]
    fn every_object_is_valid() {
        let schema = jsonschema::validator_for(&crate::record::schema()).expect("a schema");
        let mut out = Vec::new();
        json(&diagnosis(), std::time::UNIX_EPOCH, &mut out).expect("a Vec accepts every write");
        let text = String::from_utf8(out).expect("UTF-8");
        insta::assert_snapshot!("doctor_json", text);
        for line in text.lines() {
            let object = serde_json::from_str(line).expect("JSON");
            assert!(schema.is_valid(&object), "{line}");
        }
    }
}
