//! The JSON output that scripts rely on: every object has exactly these fields, in this order, with values of these
//! forms. `coherence` compares the objects of a stream with each other.

use std::{collections::BTreeSet, net::IpAddr};

use serde_json::Value;

use crate::support::{Objects, Probe, fixture, text};

/// The form of a value. An unknown value is null, never 0 or "": a number that can be unknown is
/// [`Kind::Positive`].
enum Kind {
    Bool,
    /// An integer from 0.
    Count,
    /// An integer from 1.
    Positive,
    /// A string that is not empty.
    Text,
    /// A string.
    AnyText,
    /// One of these strings.
    Name(&'static [&'static str]),
    /// A 64-bit identifier as a decimal string, not 0.
    Decimal,
    /// RFC 3339, UTC, with nanoseconds.
    Time,
    /// An IPv4 or IPv6 address.
    Address,
    /// A name from errno(3).
    Errno,
    /// Always null.
    Null,
    OrNull(&'static Kind),
    List(&'static Kind),
    Object(Fields),
}

type Fields = &'static [(&'static str, Kind)];

use Kind::{
    Address, AnyText, Bool, Count, Decimal, Errno, List, Name, Null, Object, OrNull, Positive, Text, Time,
};

const STATE: Kind = Name(&[
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
]);
const FAMILY: Kind = Name(&["ipv4", "ipv6"]);
const PROTOCOL: Kind = Name(&["tcp", "mptcp"]);
const SCENARIO: Kind = Name(&["shared-port", "simultaneous-open", "self-connect"]);
const ENDPOINT: Kind = Object(&[("addr", Address), ("port", OrNull(&Positive))]);
const CAUSE: Kind = Object(&[
    ("kind", Name(&["call", "segment", "timer", "kernel"])),
    ("detail", Text),
    ("errno", OrNull(&Errno)),
]);
const OWNER: Kind = Object(&[
    ("pid", OrNull(&Positive)),
    ("comm", OrNull(&Text)),
    ("uid", OrNull(&Count)),
    ("cgroup", OrNull(&Decimal)),
    ("cgroup_path", OrNull(&Text)),
    ("container", OrNull(&Text)),
    ("known", Name(&["exact", "listener", "inferred", "unknown"])),
]);

const READY: Fields = &[
    ("host", Object(&[("kernel", Text), ("arch", Text), ("hostname", Text)])),
    ("backend", Name(&["tp_btf", "tracepoint"])),
    ("unavailable", List(&Text)),
    ("existing", OrNull(&Count)),
];
const TRANSITION: Fields = &[
    ("mono_ns", Positive),
    ("seq", Positive),
    ("socket", OrNull(&Decimal)),
    ("generation", OrNull(&Positive)),
    ("netns", OrNull(&Positive)),
    ("protocol", PROTOCOL),
    ("family", FAMILY),
    ("local", ENDPOINT),
    ("remote", ENDPOINT),
    ("old", STATE),
    ("new", STATE),
    ("cause", OrNull(&CAUSE)),
    ("owner", OWNER),
    ("cpu", Count),
    ("state_duration_ns", OrNull(&Count)),
];
const RESET: Fields = &[
    ("mono_ns", Positive),
    ("socket", Decimal),
    ("generation", OrNull(&Positive)),
    ("netns", OrNull(&Positive)),
    ("family", FAMILY),
    ("local", ENDPOINT),
    ("remote", ENDPOINT),
    ("state", STATE),
    ("reason", OrNull(&Text)),
    ("owner", OWNER),
    ("cpu", Count),
];
const TIME_WAIT: Fields = &[
    ("mono_ns", Positive),
    ("socket", Decimal),
    ("generation", OrNull(&Positive)),
    ("netns", OrNull(&Positive)),
    ("local", ENDPOINT),
    ("remote", ENDPOINT),
    ("state", OrNull(&Name(&["TIME_WAIT", "FIN_WAIT2"]))),
    ("until", OrNull(&Time)),
    ("owner", OWNER),
];
const CONNECTION: Fields = &[
    ("socket", Decimal),
    ("generation", OrNull(&Positive)),
    ("netns", OrNull(&Positive)),
    ("protocol", PROTOCOL),
    ("family", FAMILY),
    ("local", ENDPOINT),
    ("remote", ENDPOINT),
    ("open", Name(&["active", "passive", "simultaneous", "self", "preexisting"])),
    ("close", OrNull(&CAUSE)),
    (
        "closed_by",
        OrNull(&Name(&["local", "remote", "both", "reset-local", "reset-remote", "timeout", "kernel"])),
    ),
    ("opened", OrNull(&Time)),
    ("established", OrNull(&Time)),
    ("closed", OrNull(&Time)),
    ("path", List(&STATE)),
    ("duration_ns", OrNull(&Count)),
    ("handshake_ns", OrNull(&Count)),
    ("bytes_sent", OrNull(&Count)),
    ("bytes_received", OrNull(&Count)),
    ("segs_out", OrNull(&Count)),
    ("synacks", OrNull(&Positive)),
    ("segs_in", OrNull(&Count)),
    ("retransmits", OrNull(&Count)),
    ("srtt_us", OrNull(&Positive)),
    ("owner", OWNER),
    ("complete", Bool),
];
const FINDING: Fields = &[
    ("mono_ns", Positive),
    (
        "kind",
        Name(&[
            "self-connect",
            "simultaneous-open",
            "simultaneous-close",
            "port-sharing",
            "connect-failed",
            "connect-given-up",
            "bind-failed",
            "illegal-transition",
            "stuck",
        ]),
    ),
    ("socket", OrNull(&Decimal)),
    ("generation", OrNull(&Positive)),
    ("local", ENDPOINT),
    ("remote", ENDPOINT),
    ("netns", OrNull(&Positive)),
    ("owner", OWNER),
    ("message", Text),
    ("remedy", OrNull(&Text)),
    ("evidence", List(&Positive)),
];
const LOST: Fields = &[("count", Positive), ("stage", Name(&["ring", "reader", "kernel"]))];
const SCENARIO_START: Fields = &[("name", SCENARIO), ("phase", Name(&["start"])), ("summary", Text)];
const SCENARIO_END: Fields = &[
    ("name", SCENARIO),
    ("phase", Name(&["end"])),
    ("verdict", Name(&["passed", "failed", "interrupted", "unsupported"])),
    ("reason", OrNull(&Text)),
];
const CHECK: Fields =
    &[("scenario", SCENARIO), ("name", Text), ("expected", Text), ("observed", Text), ("pass", Bool)];
const LABELS: Fields =
    &[("labels", List(&Object(&[("socket", Decimal), ("generation", OrNull(&Positive)), ("label", Text)])))];
const SOCKETS: Fields = &[(
    "sockets",
    List(&Object(&[
        ("label", Text),
        ("socket", Decimal),
        ("state", STATE),
        ("local", ENDPOINT),
        ("remote", ENDPOINT),
        ("owner", OWNER),
    ])),
)];
const BEHAVIOUR: Fields = &[
    ("id", Text),
    ("description", Text),
    ("group", Name(&["open", "listen", "close", "ports"])),
    ("status", STATUS),
    ("expected", Text),
    ("observed", Text),
    ("reference", Text),
    ("needs", List(&Text)),
    ("variant", OrNull(&Text)),
    ("reason", OrNull(&Text)),
    (
        "paths",
        List(&Object(&[
            ("label", Text),
            ("expected", OrNull(&List(&STATE))),
            ("observed", OrNull(&List(&STATE))),
        ])),
    ),
    ("facts", List(&Object(&[("name", Text), ("expected", OrNull(&Text)), ("observed", OrNull(&Text))]))),
];
const NOTE: Fields = &[("text", Text)];
const END: Fields = &[
    // Null with `--connections`, as `coherence` checks.
    ("transitions", OrNull(&Count)),
    ("connections", Count),
    ("open", OrNull(&Count)),
    ("findings", Count),
    ("lost", Count),
    ("checks_passed", Count),
    ("checks_failed", Count),
    ("duration_ns", Positive),
    ("attach_ns", OrNull(&Positive)),
];
/// Of a stream whose reports were recorded without being decoded.
const END_NOT_DECODED: Fields = &[
    ("transitions", Null),
    ("connections", Null),
    ("open", Null),
    ("findings", Null),
    ("lost", Count),
    ("checks_passed", Count),
    ("checks_failed", Count),
    ("duration_ns", Positive),
    ("attach_ns", OrNull(&Positive)),
    ("recorded", Count),
];
const FACILITY: Fields = &[
    ("group", Name(&["host", "kernel", "user", "sysctl"])),
    ("name", Text),
    ("status", Name(&["ok", "unavailable", "unknown"])),
    ("observed", Text),
    ("affects", Text),
    ("remedy", OrNull(&Text)),
];
const HAZARD: Fields = &[
    ("kind", Name(&["ephemeral-listener", "self-connected", "ephemeral-exhaustion"])),
    ("netns", Positive),
    ("local", ENDPOINT),
    ("owner", OWNER),
    ("message", Text),
    ("remedy", OrNull(&Text)),
];
const STATUS: Kind = Name(&["as-expected", "differs", "unsupported", "failed"]);
const DIFFERENCE: Fields = &[
    ("subject", Name(&["kernel", "arch", "backend", "config", "sysctl", "behaviour"])),
    ("name", Text),
    // The value of a sysctl can be empty.
    ("a", OrNull(&AnyText)),
    ("b", OrNull(&AnyText)),
    ("status_a", OrNull(&STATUS)),
    ("status_b", OrNull(&STATUS)),
    ("why", List(&Text)),
];

/// The fields of every object, before its own.
const COMMON: Fields = &[("type", Text), ("v", Positive), ("time", Time)];

fn fields_of(object: &Value) -> Fields {
    match (text(&object["type"]), object["phase"].as_str()) {
        ("ready", _) => READY,
        ("transition", _) => TRANSITION,
        ("reset", _) => RESET,
        ("connection", _) => CONNECTION,
        ("time_wait", _) => TIME_WAIT,
        ("finding", _) => FINDING,
        ("lost", _) => LOST,
        ("scenario", Some("start")) => SCENARIO_START,
        ("scenario", _) => SCENARIO_END,
        ("check", _) => CHECK,
        ("labels", _) => LABELS,
        ("sockets", _) => SOCKETS,
        ("behaviour", _) => BEHAVIOUR,
        ("note", _) => NOTE,
        ("end", _) if object.get("recorded").is_some() => END_NOT_DECODED,
        ("end", _) => END,
        ("facility", _) => FACILITY,
        ("hazard", _) => HAZARD,
        ("difference", _) => DIFFERENCE,
        (other, _) => panic!("there is no object type {other}"),
    }
}

/// Checks every object of a stream.
#[track_caller]
pub fn check_stream(objects: &Objects) {
    check_each(objects.iter());
    assert_eq!(objects[0]["type"], "ready", "the first object");
}

/// Checks objects that are no stream, such as those of `doctor` and `diff`.
#[track_caller]
pub fn check_each<'a>(objects: impl IntoIterator<Item = &'a Value>) {
    for object in objects {
        if let Err(violation) = check(object) {
            panic!("{violation}: {object}");
        }
    }
}

fn check(object: &Value) -> Result<(), String> {
    let map = object.as_object().ok_or("not an object")?;
    if map.get("v") != Some(&Value::from(1)) {
        return Err("its version is not 1".to_owned());
    }
    has_exactly(object, &[COMMON, fields_of(object)])
}

/// Whether an object has the fields of these lists and no other.
fn has_exactly(object: &Value, lists: &[Fields]) -> Result<(), String> {
    let map = object.as_object().ok_or("not an object")?;
    let fields = || lists.iter().copied().flatten();
    if let Some(extra) = map.keys().find(|key| fields().all(|(name, _)| name != key)) {
        return Err(format!("unknown field `{extra}`"));
    }
    fields().try_for_each(|(name, kind)| {
        let value = map.get(*name).ok_or_else(|| format!("`{name}` is missing"))?;
        is(value, kind).map_err(|violation| format!("`{name}`: {violation}"))
    })
}

fn is(value: &Value, kind: &Kind) -> Result<(), String> {
    let text = value.as_str();
    let good = match kind {
        Bool => value.is_boolean(),
        Count => value.is_u64(),
        Positive => value.as_u64().is_some_and(|number| number > 0),
        Null => value.is_null(),
        Text => text.is_some_and(|text| !text.is_empty()),
        AnyText => text.is_some(),
        Name(names) => text.is_some_and(|text| names.contains(&text)),
        Decimal => text.is_some_and(|text| {
            text.parse().is_ok_and(|number: u64| number > 0 && number.to_string() == text)
        }),
        Time => text.is_some_and(is_time),
        Address => text.is_some_and(|text| text.parse::<IpAddr>().is_ok()),
        Errno => text.is_some_and(|text| text.starts_with('E') && text.to_uppercase() == text),
        OrNull(kind) => return if value.is_null() { Ok(()) } else { is(value, kind) },
        List(kind) => {
            let list = value.as_array().ok_or("not a list")?;
            return list.iter().try_for_each(|item| is(item, kind));
        }
        Object(fields) => return has_exactly(value, &[fields]),
    };
    if good { Ok(()) } else { Err(format!("the value {value} is invalid")) }
}

/// `2026-11-22T12:13:07.084701012Z`
fn is_time(text: &str) -> bool {
    text.len() == 30 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}

#[test]
fn violations_are_found() {
    let violation = |object: &str| check(&serde_json::from_str(object).unwrap()).unwrap_err();
    let note = |fields: &str| violation(&format!(r#"{{"type":"note",{fields}}}"#));
    const TIME: &str = r#""time":"2026-11-22T12:13:07.084701012Z""#;
    assert_eq!(note(r#""text":"x""#), "its version is not 1");
    assert_eq!(note(r#""v":1,"text":"x""#), "`time` is missing");
    assert_eq!(note(r#""v":1,"time":null,"text":"x""#), "`time`: the value null is invalid");
    assert_eq!(note(&format!(r#""v":1,{TIME}"#)), "`text` is missing");
    assert_eq!(note(&format!(r#""v":1,{TIME},"text":"x","more":1"#)), "unknown field `more`");
    let lost = violation(&format!(r#"{{"type":"lost","v":1,{TIME},"count":0,"stage":"ring"}}"#));
    assert_eq!(lost, "`count`: the value 0 is invalid");
    assert_eq!(is(&Value::from(5), &Decimal), Err("the value 5 is invalid".to_owned()));
    assert_eq!(is(&Value::from("0"), &OrNull(&Decimal)), Err("the value \"0\" is invalid".to_owned()));
    assert!(is(&Value::from("2026-11-22T12:13:07.0847Z"), &Time).is_err());
    assert_eq!(is(&Value::from("2026-11-22T12:13:07.084701012Z"), &Time), Ok(()));
}

/// The parts of a JSON object or list, each with its key; serde_json does not keep the order of keys.
fn parts(json: &str) -> Vec<(&str, &str)> {
    let (mut parts, mut start) = (Vec::new(), 1);
    let (mut depth, mut in_string, mut is_escaped) = (0, false, false);
    for (index, byte) in json.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b',' if depth == 1 => {
                parts.push(&json[start..index]);
                start = index + 1;
            }
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    parts.push(&json[start..json.len() - 1]);
    let has_keys = json.starts_with('{');
    let split = |part| if has_keys { str::split_once(part, ':') } else { Some(("", part)) };
    parts.into_iter().filter_map(split).map(|(key, value)| (key.trim_matches('"'), value)).collect()
}

/// Whether the keys of an object are in the order of these lists.
fn is_in_order(object: &str, lists: &[Fields]) -> Result<(), String> {
    let fields = || lists.iter().copied().flatten();
    for ((key, value), (name, kind)) in parts(object).into_iter().zip(fields()) {
        if key != *name {
            return Err(format!("`{key}` is where `{name}` should be"));
        }
        is_ordered(value, kind)?;
    }
    Ok(())
}

fn is_ordered(value: &str, kind: &Kind) -> Result<(), String> {
    match kind {
        OrNull(_) if value == "null" => Ok(()),
        OrNull(kind) => is_ordered(value, kind),
        List(_) if value == "[]" => Ok(()),
        List(kind) => parts(value).into_iter().try_for_each(|(_, item)| is_ordered(item, kind)),
        Object(fields) => is_in_order(value, &[fields]),
        _ => Ok(()),
    }
}

/// People read the lines too, and expect the fields in the order of the documentation.
#[test]
fn fields_are_written_in_the_order_of_the_contract() {
    let mut types = BTreeSet::new();
    for name in ["shared-port-tp_btf-ipv4", "simultaneous-open-tracepoint-ipv6", "self-connect-tp_btf-ipv4"] {
        let replay = Probe::new("replay --format json").arg(fixture(&format!("{name}.probe"))).run().exits(0);
        for line in replay.stdout.lines() {
            let object: Value = serde_json::from_str(line).unwrap();
            is_in_order(line, &[COMMON, fields_of(&object)])
                .unwrap_or_else(|error| panic!("{error}: {line}"));
            types.insert(text(&object["type"]).to_owned());
        }
    }
    for kind in
        ["ready", "transition", "connection", "finding", "scenario", "check", "labels", "sockets", "end"]
    {
        assert!(types.contains(kind), "no {kind} in {types:?}");
    }
    let error = is_in_order(r#"{"v":1,"type":"note"}"#, &[COMMON]).unwrap_err();
    assert_eq!(error, "`v` is where `type` should be");
    let nested = r#"{"a":"\"{,","host":{"kernel":"","hostname":"","arch":""}}"#;
    let error = is_in_order(nested, &[&[("a", Text)], READY]).unwrap_err();
    assert_eq!(error, "`hostname` is where `arch` should be");
}
