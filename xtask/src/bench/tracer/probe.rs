//! probe, in each of its modes.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::{Place, Ready, Tells, Told, Tracer};

/// The states of the two ends of a connection that the load opens and closes.
const COURSES: [&[&str]; 2] = [
    &["CLOSE", "SYN_SENT", "ESTABLISHED", "CLOSE_WAIT", "LAST_ACK", "CLOSE"],
    &["LISTEN", "SYN_RECV", "ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "CLOSE"],
];

const RECORDING: &str = "recording";

/// The modes, of the program at this path.
pub fn modes(program: &Path) -> [Tracer; 4] {
    let mode = |name, tells, ready, args: &[&str], count| Tracer {
        name,
        is_probe: true,
        tells,
        has_lines: name != "probe record",
        ready,
        program: program.to_owned(),
        args: std::iter::once("trace").chain(args.iter().copied()).map(Into::into).collect(),
        libraries: None,
        count,
    };
    let (json, heading) = (Ready::Says(r#""type":"ready""#), Ready::Says("probe on "));
    [
        mode("probe json", Tells::Transitions, json, &["--format", "json"], objects),
        mode("probe connections", Tells::Connections, json, &["--connections", "--format", "json"], objects),
        mode(
            "probe record",
            Tells::Transitions,
            json,
            &["--record", RECORDING, "--quiet", "--format", "json"],
            recorded,
        ),
        mode("probe table", Tells::Transitions, heading, &[], table),
    ]
}

/// What counts of an object.
#[derive(Deserialize)]
struct Object {
    r#type: String,
    #[serde(default)]
    count: u64,
    complete: Option<bool>,
    path: Option<Vec<String>>,
}

fn objects(tracer: &Tracer, place: &Place) -> Result<Told> {
    count(tracer.tells, BufReader::new(File::open(place.out())?))
}

fn count(tells: Tells, lines: impl std::io::BufRead) -> Result<Told> {
    let mut told = Told::default();
    let mut seen: HashMap<String, u64> = HashMap::new();
    for line in lines.lines() {
        let object: Object = serde_json::from_str(&line?).context("not an object of probe's")?;
        match object.r#type.as_str() {
            "lost" => told.lost += object.count,
            "connection" if object.complete == Some(false) => told.incomplete += 1,
            "connection" if !object.path.is_some_and(|path| COURSES.iter().any(|course| path == *course)) => {
                told.wrong += 1;
            }
            _ => {}
        }
        *seen.entry(object.r#type).or_default() += 1;
    }
    ensure!(seen.contains_key("end"), "the output has no end");
    let told_of = if tells == Tells::Connections { "connection" } else { "transition" };
    told.events = seen.get(told_of).copied().unwrap_or_default();
    Ok(told)
}

/// Counts what a replay makes of the recording.
fn recorded(tracer: &Tracer, place: &Place) -> Result<Told> {
    let mut replay = Command::new(&tracer.program)
        .args(["replay", RECORDING, "--format", "json"])
        .current_dir(&place.0)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = replay.stdout.take().context("a pipe was asked for")?;
    let told = count(tracer.tells, BufReader::new(output));
    replay.wait()?;
    told
}

fn table(_: &Tracer, place: &Place) -> Result<Told> {
    let mut totals = String::new();
    for line in BufReader::new(File::open(place.out())?).lines() {
        let line = line?;
        // They may need more than one line.
        if line.contains(" transitions · ") {
            totals.clear();
        }
        totals.push_str(&line);
        totals.push(' ');
    }
    sums(&totals).context("there are no totals under the table")
}

/// Reads the totals under a table: "200,002 transitions · 40,000 connections · 0 findings · 12 reports lost".
fn sums(totals: &str) -> Option<Told> {
    let sum = |what: &str| {
        let number = |part: &str| part.split_once(what)?.0.trim().replace(',', "").parse().ok();
        totals.split('·').find_map(number)
    };
    Some(Told { events: sum(" transition")?, lost: sum(" report").unwrap_or(0), ..Told::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_counted_by_what_they_are() {
        let output = r#"{"type":"ready","v":1}
{"type":"transition","seq":1}
{"type":"lost","count":5,"stage":"ring"}
{"type":"connection","complete":true,"path":["CLOSE","SYN_SENT","ESTABLISHED","CLOSE_WAIT","LAST_ACK","CLOSE"]}
{"type":"connection","complete":true,"path":["CLOSE","SYN_SENT","CLOSE"]}
{"type":"connection","complete":false,"path":["CLOSE"]}
"#;
        let whole = format!("{output}{{\"type\":\"end\",\"lost\":5}}\n");
        let told = Told { events: 1, lost: 5, incomplete: 1, wrong: 1 };
        assert_eq!(count(Tells::Transitions, whole.as_bytes()).unwrap(), told);
        assert_eq!(count(Tells::Connections, whole.as_bytes()).unwrap(), Told { events: 3, ..told });
        assert!(count(Tells::Transitions, output.as_bytes()).is_err(), "it has no end");
    }

    #[test]
    fn a_table_is_read_by_its_totals() {
        let told = Told { events: 200_002, lost: 1_312, ..Told::default() };
        assert_eq!(
            sums("200,002 transitions · 40,000 connections · 0 findings · 1,312 reports lost"),
            Some(told)
        );
        assert_eq!(
            sums("200,002 transitions · 40,000 connections ·  1,312 reports lost 9 ms, attached in 60 ms"),
            Some(told)
        );
        assert_eq!(sums("1 finding"), None);
    }
}
