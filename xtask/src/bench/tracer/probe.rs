//! probe in each of its modes.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::{OutputDir, Ready, Reported, Reports, Tracer};

/// The paths of both endpoints of a connection of the load.
const PATHS: [&[&str]; 2] = [
    &["CLOSE", "SYN_SENT", "ESTABLISHED", "CLOSE_WAIT", "LAST_ACK", "CLOSE"],
    &["LISTEN", "SYN_RECV", "ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "CLOSE"],
];

const RECORDING: &str = "recording";

/// The modes of the probe binary at this path.
pub fn modes(program: &Path) -> [Tracer; 4] {
    let mode = |name, reports, ready, args: &[&str], count| Tracer {
        name,
        is_probe: true,
        reports,
        has_lines: name != "probe record",
        ready,
        program: program.to_owned(),
        args: std::iter::once("trace").chain(args.iter().copied()).map(Into::into).collect(),
        libraries: None,
        count,
    };
    let (json, heading) = (Ready::Prints(r#""type":"ready""#), Ready::Prints("probe on "));
    [
        mode("probe json", Reports::Transitions, json, &["--format", "json"], objects),
        mode(
            "probe connections",
            Reports::Connections,
            json,
            &["--connections", "--format", "json"],
            objects,
        ),
        mode(
            "probe record",
            Reports::Transitions,
            json,
            &["--record", RECORDING, "--quiet", "--format", "json"],
            recorded,
        ),
        mode("probe table", Reports::Transitions, heading, &[], table),
    ]
}

/// The fields of an object that matter here.
#[derive(Deserialize)]
struct Object {
    r#type: String,
    #[serde(default)]
    count: u64,
    complete: Option<bool>,
    path: Option<Vec<String>>,
}

fn objects(tracer: &Tracer, dir: &OutputDir) -> Result<Reported> {
    count(tracer.reports, BufReader::new(File::open(dir.out())?))
}

fn count(reports: Reports, lines: impl std::io::BufRead) -> Result<Reported> {
    let mut reported = Reported::default();
    let mut seen: HashMap<String, u64> = HashMap::new();
    for line in lines.lines() {
        let object: Object = serde_json::from_str(&line?).context("not a JSON object of probe")?;
        match object.r#type.as_str() {
            "lost" => reported.lost += object.count,
            "connection" if object.complete == Some(false) => reported.incomplete += 1,
            "connection"
                if !object.path.is_some_and(|path| PATHS.iter().any(|expected| path == *expected)) =>
            {
                reported.wrong += 1;
            }
            _ => {}
        }
        *seen.entry(object.r#type).or_default() += 1;
    }
    ensure!(seen.contains_key("end"), "the output has no `end` object");
    let reported_type = if reports == Reports::Connections { "connection" } else { "transition" };
    reported.events = seen.get(reported_type).copied().unwrap_or_default();
    Ok(reported)
}

/// Counts the objects of a replay of the recording.
fn recorded(tracer: &Tracer, dir: &OutputDir) -> Result<Reported> {
    let mut replay = Command::new(&tracer.program)
        .args(["replay", RECORDING, "--format", "json"])
        .current_dir(&dir.0)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = replay.stdout.take().context("stdout is piped")?;
    let reported = count(tracer.reports, BufReader::new(output));
    replay.wait()?;
    reported
}

fn table(_: &Tracer, dir: &OutputDir) -> Result<Reported> {
    let mut totals = String::new();
    for line in BufReader::new(File::open(dir.out())?).lines() {
        let line = line?;
        // The totals may wrap.
        if line.contains(" transitions · ") {
            totals.clear();
        }
        totals.push_str(&line);
        totals.push(' ');
    }
    sums(&totals).context("the table has no totals")
}

/// Reads the totals below a table: "200,002 transitions · 40,000 connections · 0 findings · 12 reports lost".
fn sums(totals: &str) -> Option<Reported> {
    let sum = |what: &str| {
        let number = |part: &str| part.split_once(what)?.0.trim().replace(',', "").parse().ok();
        totals.split('·').find_map(number)
    };
    Some(Reported { events: sum(" transition")?, lost: sum(" report").unwrap_or(0), ..Reported::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_counted_by_type() {
        let output = r#"{"type":"ready","v":1}
{"type":"transition","seq":1}
{"type":"lost","count":5,"stage":"ring"}
{"type":"connection","complete":true,"path":["CLOSE","SYN_SENT","ESTABLISHED","CLOSE_WAIT","LAST_ACK","CLOSE"]}
{"type":"connection","complete":true,"path":["CLOSE","SYN_SENT","CLOSE"]}
{"type":"connection","complete":false,"path":["CLOSE"]}
"#;
        let whole = format!("{output}{{\"type\":\"end\",\"lost\":5}}\n");
        let reported = Reported { events: 1, lost: 5, incomplete: 1, wrong: 1 };
        assert_eq!(count(Reports::Transitions, whole.as_bytes()).unwrap(), reported);
        assert_eq!(
            count(Reports::Connections, whole.as_bytes()).unwrap(),
            Reported { events: 3, ..reported }
        );
        assert!(count(Reports::Transitions, output.as_bytes()).is_err(), "without an `end` object");
    }

    #[test]
    fn a_tables_totals_are_read() {
        let reported = Reported { events: 200_002, lost: 1_312, ..Reported::default() };
        assert_eq!(
            sums("200,002 transitions · 40,000 connections · 0 findings · 1,312 reports lost"),
            Some(reported)
        );
        assert_eq!(
            sums("200,002 transitions · 40,000 connections ·  1,312 reports lost 9 ms, attached in 60 ms"),
            Some(reported)
        );
        assert_eq!(sums("1 finding"), None);
    }
}
