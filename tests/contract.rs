//! The JSON output as scripts rely on it: every object's fields, to the letter. What objects say of each
//! other is in `coherence`.

use std::net::IpAddr;

use serde_json::Value;

use crate::support::{Objects, text};

/// What a value must be. Unknown is null, never 0 or "": so a number that can be unknown is
/// [`Kind::Positive`].
enum Kind {
    Bool,
    /// From 0.
    Count,
    /// From 1.
    Positive,
    /// Not empty.
    Text,
    /// One of these.
    Name(&'static [&'static str]),
    /// 64 bits as decimal text, not 0.
    Decimal,
    /// RFC 3339 in UTC with nanoseconds.
    Time,
    Address,
    /// A name from errno(3).
    Errno,
    OrNull(&'static Kind),
    List(&'static Kind),
    Object(Fields),
}

type Fields = &'static [(&'static str, Kind)];

use Kind::{Address, Bool, Count, Decimal, Errno, List, Name, Object, OrNull, Positive, Text, Time};

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
const CAUSE_FIELDS: Kind = Object(&[
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
    ("known", Name(&["exact", "listener", "seen", "unknown"])),
]);

const READY: Fields = &[
    ("host", Object(&[("kernel", Text), ("arch", Text), ("hostname", Text)])),
    ("backend", Name(&["tp_btf", "tracepoint"])),
    ("unavailable", List(&Text)),
    ("existing", OrNull(&Count)),
];
const TRANSITION: Fields = &[
    ("time", Time),
    ("mono_ns", Positive),
    ("seq", Positive),
    ("socket", Decimal),
    ("generation", OrNull(&Positive)),
    ("netns", OrNull(&Positive)),
    ("protocol", PROTOCOL),
    ("family", FAMILY),
    ("local", ENDPOINT),
    ("remote", ENDPOINT),
    ("old", STATE),
    ("new", STATE),
    ("cause", OrNull(&CAUSE_FIELDS)),
    ("owner", OWNER),
    ("cpu", Count),
    ("state_duration_ns", OrNull(&Count)),
];
const RESET: Fields = &[
    ("time", Time),
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
    ("time", Time),
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
    ("close", OrNull(&CAUSE_FIELDS)),
    ("opened", OrNull(&Time)),
    ("established", OrNull(&Time)),
    ("closed", OrNull(&Time)),
    ("path", List(&STATE)),
    ("duration_ns", OrNull(&Count)),
    ("handshake_ns", OrNull(&Count)),
    ("bytes_sent", OrNull(&Count)),
    ("bytes_received", OrNull(&Count)),
    ("segs_out", OrNull(&Count)),
    ("segs_in", OrNull(&Count)),
    ("retransmits", OrNull(&Count)),
    ("srtt_us", OrNull(&Positive)),
    ("owner", OWNER),
    ("complete", Bool),
];
const FINDING: Fields = &[
    ("time", Time),
    ("mono_ns", Positive),
    (
        "kind",
        Name(&[
            "self-connect",
            "simultaneous-open",
            "simultaneous-close",
            "port-sharing",
            "connect-failed",
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
    ("name", Text),
    ("group", Name(&["open", "listen", "close", "ports"])),
    ("needs", List(&Text)),
    ("status", Name(&["as-expected", "differs", "unsupported", "failed"])),
    ("expected", Text),
    ("observed", Text),
    ("variant", OrNull(&Text)),
    ("reason", OrNull(&Text)),
    ("reference", Text),
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
    ("transitions", Count),
    ("connections", Count),
    ("findings", Count),
    ("lost", Count),
    ("checks_passed", Count),
    ("checks_failed", Count),
    ("duration_ns", Positive),
    ("attach_ns", OrNull(&Positive)),
];
/// Of reports that nobody looked at.
const END_UNSEEN: Fields = &[
    ("transitions", OrNull(&Name(&[]))),
    ("connections", OrNull(&Name(&[]))),
    ("findings", OrNull(&Name(&[]))),
    ("recorded", Count),
    ("lost", Count),
    ("checks_passed", Count),
    ("checks_failed", Count),
    ("duration_ns", Positive),
    ("attach_ns", OrNull(&Positive)),
];

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
        ("end", _) if object.get("recorded").is_some() => END_UNSEEN,
        ("end", _) => END,
        (other, _) => panic!("no object is called {other}"),
    }
}

/// Holds every object of a stream against the contract.
#[track_caller]
pub fn hold(objects: &Objects) {
    for object in objects.iter() {
        if let Err(breach) = holds(object) {
            panic!("{breach}: {object}");
        }
    }
    assert_eq!(objects[0]["type"], "ready", "the first object");
}

fn holds(object: &Value) -> Result<(), String> {
    let map = object.as_object().ok_or("it is no object")?;
    if map.get("v") != Some(&Value::from(1)) {
        return Err("its version is not 1".to_owned());
    }
    let mut rest = map.clone();
    rest.remove("v");
    rest.remove("type");
    has(&Value::Object(rest), fields_of(object))
}

/// Whether an object has these fields and no other.
fn has(object: &Value, fields: Fields) -> Result<(), String> {
    let map = object.as_object().ok_or("it is no object")?;
    if let Some(extra) = map.keys().find(|key| fields.iter().all(|(name, _)| name != key)) {
        return Err(format!("nobody knows `{extra}`"));
    }
    fields.iter().try_for_each(|(name, kind)| {
        let value = map.get(*name).ok_or_else(|| format!("`{name}` is missing"))?;
        is(value, kind).map_err(|breach| format!("`{name}`: {breach}"))
    })
}

fn is(value: &Value, kind: &Kind) -> Result<(), String> {
    let text = value.as_str();
    let good = match kind {
        Bool => value.is_boolean(),
        Count => value.is_u64(),
        Positive => value.as_u64().is_some_and(|number| number > 0),
        Text => text.is_some_and(|text| !text.is_empty()),
        Name(names) => text.is_some_and(|text| names.contains(&text)),
        Decimal => text.is_some_and(|text| {
            text.parse().is_ok_and(|number: u64| number > 0 && number.to_string() == text)
        }),
        Time => text.is_some_and(is_time),
        Address => text.is_some_and(|text| text.parse::<IpAddr>().is_ok()),
        Errno => text.is_some_and(|text| text.starts_with('E') && text.to_uppercase() == text),
        OrNull(kind) => return if value.is_null() { Ok(()) } else { is(value, kind) },
        List(kind) => {
            let list = value.as_array().ok_or("no list")?;
            return list.iter().try_for_each(|item| is(item, kind));
        }
        Object(fields) => return has(value, fields),
    };
    if good { Ok(()) } else { Err(format!("{value} cannot be its value")) }
}

/// `2026-11-22T12:13:07.084701012Z`
fn is_time(text: &str) -> bool {
    text.len() == 30 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}

#[test]
fn the_contract_can_be_broken() {
    let breach = |object: &str| holds(&serde_json::from_str(object).unwrap()).unwrap_err();
    assert_eq!(breach(r#"{"type":"note","text":"x"}"#), "its version is not 1");
    assert_eq!(breach(r#"{"type":"note","v":1}"#), "`text` is missing");
    assert_eq!(breach(r#"{"type":"note","v":1,"text":"x","more":1}"#), "nobody knows `more`");
    assert_eq!(breach(r#"{"type":"lost","v":1,"count":0,"stage":"ring"}"#), "`count`: 0 cannot be its value");
    assert_eq!(is(&Value::from(5), &Decimal), Err("5 cannot be its value".to_owned()));
    assert_eq!(is(&Value::from("0"), &OrNull(&Decimal)), Err("\"0\" cannot be its value".to_owned()));
    assert!(is(&Value::from("2026-11-22T12:13:07.0847Z"), &Time).is_err());
    assert_eq!(is(&Value::from("2026-11-22T12:13:07.084701012Z"), &Time), Ok(()));
}
