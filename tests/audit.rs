//! `probe audit` and `probe diff`: behaviours are triggered on this kernel and reported according to the
//! contract, profiles are reproducible, and wrong usage is rejected.

use std::{fs, path::Path};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    contract,
    failures::{unprivileged, without},
    schema,
    support::{Objects, Outcome, Probe, number, text},
};

/// Behaviours that take little time, with and without a wire.
const QUICK: &str = "open/ordinary open/simultaneous open/refused";

#[track_caller]
fn objects(outcome: &Outcome) -> Objects {
    let objects = outcome.objects();
    contract::check_stream(&objects);
    schema::validate(&objects);
    objects
}

fn ids(objects: &Objects) -> Vec<&str> {
    let mut ids: Vec<&str> = objects.of("behaviour").map(|behaviour| text(&behaviour["id"])).collect();
    ids.sort_unstable();
    ids
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_group_is_as_expected_on_both_backends() {
    for backend in ["tp_btf", "tracepoint"] {
        let arguments = format!("audit --group open --format json --backend {backend}");
        let outcome = Probe::new(&arguments).run().exits(0).silently();
        let objects = objects(&outcome);
        assert_eq!(objects.one("ready")["backend"], backend);
        let mut as_expected = 0;
        for behaviour in objects.of("behaviour") {
            assert_eq!(behaviour["group"], "open");
            assert!(text(&behaviour["id"]).starts_with("open/"), "{behaviour}");
            if behaviour["status"] == "as-expected" {
                as_expected += 1;
                assert_eq!(behaviour["expected"], behaviour["observed"]);
            } else {
                assert_eq!(behaviour["status"], "unsupported", "{behaviour}");
                assert!(behaviour["reason"].is_string(), "{behaviour}");
            }
        }
        let end = objects.one("end");
        assert_eq!(number(&end["checks_passed"]), as_expected);
        // Another tracer's program on the same CPU may make the kernel skip a report; the behaviour then runs
        // again.
        assert_eq!(number(&end["checks_failed"]), 0);
        assert!(as_expected >= 3 && number(&end["transitions"]) >= as_expected, "{end}");
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn behaviours_are_selected_by_id() {
    let outcome = Probe::new(&format!("audit {QUICK} --format json")).run().exits(0).silently();
    let objects = objects(&outcome);
    assert_eq!(ids(&objects), ["open/ordinary", "open/refused", "open/simultaneous"]);
    let refused = objects.of("behaviour").find(|behaviour| behaviour["id"] == "open/refused");
    let refused = refused.expect("it was selected");
    assert_eq!(refused["facts"][0]["observed"], "ECONNREFUSED");
    assert_eq!(refused["paths"][0]["observed"], serde_json::json!(["CLOSE", "SYN_SENT", "CLOSE"]));
    assert_eq!(refused["needs"], serde_json::json!([]));
    let simultaneous = objects.of("behaviour").find(|behaviour| behaviour["id"] == "open/simultaneous");
    assert_eq!(
        simultaneous.expect("it was selected")["needs"],
        serde_json::json!(["wire", "simultaneous open"])
    );
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_table_is_in_the_order_of_the_catalogue() {
    let outcome = Probe::new(&format!("audit {QUICK}")).run().exits(0).silently();
    let positions: Vec<_> =
        ["open: ", "open/ordinary", "open/simultaneous", "open/refused", "3 as expected", "attached in"]
            .map(|word| outcome.stdout.find(word))
            .to_vec();
    assert!(positions.is_sorted() && positions.iter().all(Option::is_some), "{outcome}");
}

#[test]
fn the_catalogue_is_listed_without_privilege() {
    let listed = unprivileged("audit --list").exits(0).silently();
    assert!(listed.stdout.starts_with("open: opening a connection"), "{listed}");
    for id in QUICK.split(' ') {
        assert!(listed.stdout.lines().any(|line| line.trim_start().starts_with(id)), "{listed}");
    }
    let one = Probe::new("audit --list open/refused").run().exits(0).silently();
    assert_eq!(one.stdout.lines().count(), 2, "{one}");
    let with_needs = Probe::new("audit --list open/timeout").run().exits(0).silently();
    assert!(with_needs.stdout.ends_with("(needs wire, net.ipv4.tcp_syn_retries)\n"), "{with_needs}");
}

#[test]
fn an_unknown_behaviour_is_rejected_with_the_nearest_id() {
    for (typed, meant) in [("open/simultanous", "open/simultaneous"), ("refused", "open/refused")] {
        let words = [typed, "did you mean", meant, "--list"];
        assert_eq!(Probe::new("audit").arg(typed).run().exits(2).saying(&words).stdout, "");
    }
    Probe::new("audit --group opening").run().exits(2).naming(&["opening", "listen"]);
    let file = TempDir::new().unwrap().path().join("missing").join("file");
    for flag in ["--save", "--html"] {
        Probe::new("audit").arg(flag).arg(&file).run().exits(2).saying(&["cannot create"]);
    }
}

#[test]
fn without_privilege_one_line_names_the_remedy() {
    for arguments in ["audit", "audit --format json"] {
        let outcome = unprivileged(arguments).exits(3).saying(&["not permitted", "run as root"]);
        assert_eq!(outcome.stdout, "");
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn an_unsupported_behaviour_is_not_a_failure() {
    let arguments = format!("audit {QUICK} --format json");
    let outcome = without(&["/dev/net"], &arguments).exits(0).silently();
    let objects = objects(&outcome);
    let unsupported: Vec<&Value> =
        objects.of("behaviour").filter(|behaviour| behaviour["status"] == "unsupported").collect();
    assert_eq!(unsupported.len(), 1, "{outcome}");
    assert_eq!(unsupported[0]["id"], "open/simultaneous");
    assert!(text(&unsupported[0]["reason"]).contains("modprobe tun"), "{outcome}");
}

/// Reports without a namespace could come from any process.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn without_btf_the_audit_is_refused() {
    let outcome = Probe::new("audit open/refused --no-btf").run().exits(3);
    assert_eq!(outcome.saying(&["cannot be traced", "namespace", "BTF"]).stdout, "");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_signal_ends_the_audit_with_the_results_so_far() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("page.html");
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut running = Probe::new("audit --format json --html").arg(&file).start();
        running.wait_for("behaviour", |object| object["type"] == "behaviour");
        running.signal(signal);
        let outcome = running.finish();
        // The last behaviour may finish before the signal arrives.
        let objects = objects(&outcome);
        assert_eq!(objects.last().expect("at least one object")["type"], "end");
        if objects.of("behaviour").count() < number_listed() {
            outcome.exits(130).silently();
        }
        assert!(fs::read_to_string(&file).unwrap().ends_with("</html>"));
    }
}

fn number_listed() -> usize {
    let listed = Probe::new("audit --list").run().exits(0);
    // Continuation lines are indented deeper.
    listed.stdout.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")).count()
}

/// Saves the profile of the quick behaviours.
#[track_caller]
fn save(file: &Path, more: &str) {
    Probe::new(&format!("audit {QUICK} {more} --save")).arg(file).run().exits(0).silently();
}

fn diff(a: &Path, b: &Path, format: &str) -> Outcome {
    Probe::new(&format!("diff --format {format}")).arg(a).arg(b).run()
}

/// Ten whole audits at the same time, so that they compete for the CPUs: results may depend neither on the
/// load nor on the backend.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn ten_concurrent_audits_of_one_kernel_have_no_difference() {
    let directory = TempDir::new().unwrap();
    let audits: Vec<_> = (0..10)
        .map(|number| {
            let file = directory.path().join(number.to_string());
            let backend = if number % 2 == 0 { "tp_btf" } else { "tracepoint" };
            let audit = Probe::new(&format!("audit --backend {backend} --save")).arg(&file).start();
            (audit, file)
        })
        .collect();
    let files: Vec<_> = audits
        .into_iter()
        .map(|(audit, file)| {
            let outcome = audit.finish().exits(0).silently();
            assert!(outcome.stdout.contains(&format!("\n{} as expected", number_listed())), "{outcome}");
            file
        })
        .collect();
    let (first, other) = (&files[0], &files[1]);
    for (number, file) in files.iter().enumerate() {
        let same = if number % 2 == 0 { first } else { other };
        assert_eq!(fs::read_to_string(file).unwrap(), fs::read_to_string(same).unwrap());
    }
    let table = diff(first, &files[2], "table").exits(0).silently();
    assert!(table.stdout.ends_with("\nno difference\n"), "{table}");
    assert_eq!(diff(first, &files[2], "json").exits(0).silently().stdout, "");
    let objects = diff(first, other, "json").exits(1).silently().objects();
    schema::validate(&objects);
    contract::check_each(objects.iter());
    assert_eq!(objects.one("difference")["subject"], "backend");
    assert_eq!(diff(first, other, "json --behaviours").exits(0).silently().stdout, "");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_difference_is_reported_with_both_values() {
    let directory = TempDir::new().unwrap();
    let (one, other) = (directory.path().join("one"), directory.path().join("other"));
    save(&one, "");
    let changed = fs::read_to_string(&one).unwrap().replacen("ECONNREFUSED", "ETIMEDOUT", 1);
    fs::write(&other, changed).unwrap();
    let differences = diff(&one, &other, "json").exits(1).silently().objects();
    schema::validate(&differences);
    contract::check_each(differences.iter());
    let difference = differences.one("difference");
    assert_eq!(difference["name"], "open/refused");
    assert!(text(&difference["a"]).ends_with("ECONNREFUSED"), "{difference}");
    assert!(text(&difference["b"]).ends_with("ETIMEDOUT"), "{difference}");
    let table = diff(&one, &other, "table").exits(1).silently();
    let lines: Vec<&str> = table.stdout.lines().collect();
    let at = |word: &str| lines.iter().position(|line| line.ends_with(word));
    assert_eq!(at("connect  ECONNREFUSED").map(|at| at + 1), at("connect  ETIMEDOUT"), "{table}");
    assert!(at("1 behaviour differs").is_some(), "{table}");
    let piped = Probe::new("diff -").arg(&one).stdin(fs::File::open(&other).unwrap()).run().exits(1);
    assert!(piped.silently().stdout.ends_with("\n1 behaviour differs\n"));
}

#[test]
fn a_file_that_is_not_a_profile_is_rejected() {
    let directory = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let foreign = file("foreign", "{\"type\":\"ready\"}\n");
    let newer = file("newer", "{\"format\":\"probe-profile\",\"version\":99}");
    let cut = file("cut", "{\"format\":\"probe-profile\",\"version\":1,\"kernel\":");
    for (path, words) in [
        (&foreign, ["foreign: not a profile: ", "--save FILE"]),
        (&newer, ["newer: the profile is in version 99", "reads version 1"]),
        (&cut, ["cut: the profile is corrupted", "line 1"]),
        (&directory.path().join("none"), ["none: ", "No such file"]),
    ] {
        assert_eq!(diff(path, &newer, "table").exits(2).saying(&words).stdout, "");
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_page_has_diagrams_and_packets() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("page.html");
    Probe::new(&format!("audit {QUICK} --html")).arg(&file).run().exits(0).silently();
    let page = fs::read_to_string(&file).unwrap();
    for part in
        ["<!DOCTYPE html>", "class=\"diagram\"", "class=\"sequence\"", "SYN_SENT → SYN_RECV: 2×", "</html>"]
    {
        assert!(page.contains(part), "no {part} in the page");
    }
    for id in QUICK.split(' ') {
        assert!(page.contains(&format!("id=\"{}\"", id.replace('/', "-"))), "{id}");
    }
    assert!(!page.contains("<script") && !page.contains("http"));
    Probe::new(&format!("audit {QUICK} --html"))
        .arg(&file)
        .arg("--save")
        .arg(&file)
        .run()
        .exits(2)
        .saying(&["same file"]);
}

/// The example in docs/audit.md is an entry of the catalogue, verbatim, and a short one.
#[test]
fn the_docs_show_a_behaviour_verbatim() {
    let file = |path: &str| {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let page = file("../docs/audit.md");
    let (_, section) = page.split_once("## Add a behaviour").expect("a section says how");
    let (_, shown) = section.split_once("```rust\n").expect("with an example");
    let (shown, _) = shown.split_once("```").expect("that ends");
    assert!((5..30).contains(&shown.lines().count()), "{shown}");
    assert!(file("src/audit/catalogue/open/refusal.rs").contains(shown), "no such entry: {shown}");
}
