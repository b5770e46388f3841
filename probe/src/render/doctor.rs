//! A diagnosis: for a terminal, the facilities by group and the hazards by network namespace; for
//! programs, an object for each.

use std::io::{self, Write};

use super::{
    style::{Style, Tone},
    table::{
        grid::{Grid, INDENT, paragraph},
        words,
    },
};
use crate::{
    model::{Diagnosis, Facility, FacilityGroup, FacilityStatus, Hazard, HazardFacts, HazardKind, Owner},
    record::Object,
};

/// Writes a diagnosis as JSON Lines.
///
/// # Errors
/// Whatever `out` returns.
pub fn json(diagnosis: &Diagnosis, out: &mut dyn Write) -> io::Result<()> {
    let facilities = diagnosis.facilities.iter().map(Object::of_facility);
    for object in facilities.chain(diagnosis.hazards.iter().map(Object::of_hazard)) {
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
    let tried = |facility: &&Facility| facility.group != FacilityGroup::Sysctl;
    let names = diagnosis.facilities.iter().filter(tried).map(|facility| facility.name.chars().count());
    let widest = names.max().unwrap_or_default();
    for group in FacilityGroup::ALL {
        let members: Vec<_> =
            diagnosis.facilities.iter().filter(|facility| facility.group == group).collect();
        if members.is_empty() {
            continue;
        }
        heading(title(group), style, out)?;
        match group {
            FacilityGroup::Sysctl => settings(&members, style, out)?,
            _ => facilities(&members, widest, style, out)?,
        }
        writeln!(out)?;
    }
    heading("hazards", style, out)?;
    hazards(&diagnosis.hazards, style, out)?;
    writeln!(out)?;
    sums(diagnosis, style, out)?;
    out.flush()
}

fn title(group: FacilityGroup) -> &'static str {
    match group {
        FacilityGroup::Host => "host",
        FacilityGroup::Kernel => "kernel side",
        FacilityGroup::User => "user side",
        FacilityGroup::Sysctl => "sysctls of this network namespace, net.ipv4",
    }
}

fn heading(text: &str, style: Style, out: &mut dyn Write) -> io::Result<()> {
    paragraph(style, Tone::Heading, text).flush_left().write(out)
}

fn mark(status: FacilityStatus) -> (Tone, String) {
    let (tone, mark) = match status {
        FacilityStatus::Ok => (Tone::Good, "✓"),
        FacilityStatus::Unavailable => (Tone::Bad, "✗"),
        FacilityStatus::Unknown => (Tone::Remarkable, "–"),
    };
    (tone, mark.to_owned())
}

/// What was tried: a line each; below those that do not work, what that costs and what remedies it. Names
/// are `widest` wide, so that the groups line up.
fn facilities(members: &[&Facility], widest: usize, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut grid = Grid::new(style).whole(&[0, 1]);
    for facility in members {
        let (tone, mark) = mark(facility.status);
        let seen = if facility.status == FacilityStatus::Ok { Tone::Plain } else { tone };
        let name = format!("{:widest$}", facility.name);
        grid.row([(tone, mark), (Tone::Plain, name), (seen, facility.observed.clone())]);
        if facility.status == FacilityStatus::Ok {
            continue;
        }
        let mut more = |what: &str, text: &str| {
            let what = format!("{what:>widest$}");
            grid.row([(Tone::Plain, String::new()), (Tone::Faint, what), (Tone::Plain, text.to_owned())]);
        };
        more("costs", &facility.costs);
        if let Some(remedy) = &facility.remedy {
            more("remedy", remedy);
        }
    }
    grid.write(out)
}

/// Where nearly all sysctls are, which the table's heading says.
const USUAL: &str = "net.ipv4.";

/// Each with its value, and what that decides.
fn settings(members: &[&Facility], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut grid = Grid::new(style).whole(&[0]);
    for setting in members {
        let tone = if setting.status == FacilityStatus::Ok { Tone::Plain } else { Tone::Remarkable };
        grid.row([
            (Tone::Plain, setting.name.trim_start_matches(USUAL).to_owned()),
            (tone, setting.observed.clone()),
            (Tone::Faint, setting.costs.clone()),
        ]);
    }
    grid.write(out)
}

const LISTENERS: &str = "Listeners in the ephemeral range. While such a server is down, a client on this host that \
                         keeps trying its port can be given the same port by the kernel and connect to itself, and \
                         then the server cannot bind it. A port that the kernel chose for its server needs no remedy.";

fn hazards(hazards: &[Hazard], style: Style, out: &mut dyn Write) -> io::Result<()> {
    if hazards.is_empty() {
        return paragraph(style, Tone::Good, "✓ none in the network namespaces that were looked at")
            .write(out);
    }
    let (listeners, others): (Vec<_>, Vec<_>) =
        hazards.iter().partition(|hazard| hazard.kind() == HazardKind::EphemeralListener);
    if !listeners.is_empty() {
        paragraph(style, Tone::Plain, LISTENERS).write(out)?;
    }
    for members in listeners.chunk_by(|one, next| one.netns == next.netns) {
        writeln!(out)?;
        of_namespace(members, style, out)?;
    }
    for members in others.chunk_by(|one, next| (one.netns, one.kind()) == (next.netns, next.kind())) {
        if !listeners.is_empty() || !std::ptr::eq(members[0], others[0]) {
            writeln!(out)?;
        }
        sentences(members, style, out)?;
    }
    Ok(())
}

/// The listeners of one network namespace, and the command that remedies them all.
fn of_namespace(members: &[&Hazard], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut range = String::new();
    let mut grid = Grid::new(style).header(["port", "address", "owner", "given out by"]).right(&[0]);
    for hazard in members {
        let HazardFacts::EphemeralListener { range: whole, reach } = &hazard.facts else { continue };
        range = format!(", ephemeral ports {}-{}", whole.start(), whole.end());
        let tone = if hazard.owner == Owner::UNKNOWN { Tone::Faint } else { Tone::Plain };
        grid.row([
            (Tone::Remarkable, hazard.local.port_or_zero().to_string()),
            (Tone::Plain, hazard.local.addr.to_string()),
            (tone, hazard.owner.to_string()),
            (Tone::Plain, reach.text().to_owned()),
        ]);
    }
    let place = members.first().map(|hazard| format!("network namespace {}{range}", hazard.netns));
    paragraph(style, Tone::Faint, &place.unwrap_or_default()).write(out)?;
    grid.write(out)?;
    remedies(members, style, out)
}

/// Hazards that each are told in a sentence.
fn sentences(members: &[&Hazard], style: Style, out: &mut dyn Write) -> io::Result<()> {
    for hazard in members {
        let owner =
            if hazard.owner == Owner::UNKNOWN { String::new() } else { format!(", {}", hazard.owner) };
        let text = format!("network namespace {}{owner}: {}", hazard.netns, hazard.message());
        paragraph(style, Tone::Remarkable, &text).write(out)?;
    }
    remedies(members, style, out)
}

/// What remedies them, each once. A command is not folded, however wide: it is there to be copied.
fn remedies(members: &[&Hazard], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut told: Vec<&str> = members.iter().filter_map(|hazard| hazard.remedy.as_deref()).collect();
    told.dedup();
    let is_command = members.iter().all(|hazard| hazard.kind() != HazardKind::EphemeralExhaustion);
    for remedy in told {
        let text = format!("remedy: {remedy}");
        let width = if is_command { style.width.max(INDENT + text.chars().count()) } else { style.width };
        paragraph(Style { width, ..style }, Tone::Good, &text).write(out)?;
    }
    Ok(())
}

/// The last line: how much there is of what.
fn sums(diagnosis: &Diagnosis, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let with = |status| diagnosis.facilities.iter().filter(|facility| facility.status == status).count();
    let (unavailable, unknown) = (with(FacilityStatus::Unavailable), with(FacilityStatus::Unknown));
    let mut sums = vec![format!("{} ok", with(FacilityStatus::Ok))];
    sums.extend((unavailable > 0).then(|| format!("{unavailable} unavailable")));
    sums.extend((unknown > 0).then(|| format!("{unknown} unknown")));
    sums.push(words::count(diagnosis.hazards.len() as u64, "hazard", "hazards"));
    let tone = match (&diagnosis.refusal, unavailable + unknown + diagnosis.hazards.len()) {
        (Some(_), _) => Tone::Bad,
        (None, 0) => Tone::Good,
        (None, _) => Tone::Remarkable,
    };
    paragraph(style, tone, &sums.join(" · ")).flush_left().write(out)
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
        table(diagnosis, Style { width, colour }, &mut out).expect("memory takes everything");
        String::from_utf8(out).expect("text")
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
    fn nothing_to_fear_is_said() {
        let text = shown(&Diagnosis::default(), 80, false);
        assert!(text.contains("✓ none in the network namespaces") && text.ends_with("0 hazards\n"), "{text}");
    }

    #[test]
    fn only_commands_are_wider_than_the_table() {
        for width in [40, 60, 80, 140] {
            for line in shown(&diagnosis(), width, false).lines() {
                assert!(line.chars().count() <= width || line.contains("remedy: nsenter"), "{width}: {line}");
                assert_eq!(line, line.trim_end());
                assert!(!line.contains('\x1b'), "{line}");
            }
        }
    }

    #[test]
    fn every_object_is_as_the_schema_has_it() {
        let schema = jsonschema::validator_for(&crate::record::schema()).expect("a schema");
        let mut out = Vec::new();
        json(&diagnosis(), &mut out).expect("memory takes everything");
        let text = String::from_utf8(out).expect("text");
        insta::assert_snapshot!("doctor_json", text);
        for line in text.lines() {
            let object = serde_json::from_str(line).expect("JSON");
            assert!(schema.is_valid(&object), "{line}");
        }
    }
}
