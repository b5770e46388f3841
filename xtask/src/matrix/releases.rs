//! docs/kernels.md: what is new in each kernel's interface since the one before it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{Display, Write as _},
};

use super::{
    interface::{Interface, Sysctl},
    profile::Profile,
    types::Enumerators,
};

/// A new enumeration with more values is only counted.
const LISTED: usize = 12;

/// Appends a section for each kernel whose interface and whose predecessor's is known.
pub fn append(profiles: &[Profile], page: &mut String) {
    let known: Vec<(&str, &Interface)> =
        profiles.iter().filter_map(|one| Some((one.name.as_str(), one.interface.as_ref()?))).collect();
    for pair in known.windows(2) {
        let [(old_name, old), (name, new)] = pair else { continue };
        let _ = write!(page, "\n### {old_name} to {name}\n\n{} to {}.\n\n", old.kernel, new.kernel);
        let mut lines = sysctls(&old.sysctls, &new.sysctls);
        lines.extend(tracepoints(&old.tracepoints, &new.tracepoints));
        lines.extend(enumerations(&old.enumerations, &new.enumerations));
        if lines.is_empty() {
            *page += "Nothing differs.\n";
        }
        for line in lines {
            let _ = writeln!(page, "- {line}");
        }
    }
}

/// The names only in `one`.
fn only<'a, T>(one: &'a BTreeMap<String, T>, other: &BTreeMap<String, T>) -> Vec<&'a str> {
    one.keys().filter(|name| !other.contains_key(*name)).map(String::as_str).collect()
}

/// What both have, by name.
fn both<'a, T>(
    old: &'a BTreeMap<String, T>,
    new: &'a BTreeMap<String, T>,
) -> impl Iterator<Item = (&'a str, &'a T, &'a T)> {
    old.iter().filter_map(|(name, was)| Some((name.as_str(), was, new.get(name)?)))
}

fn sysctls(old: &BTreeMap<String, Sysctl>, new: &BTreeMap<String, Sysctl>) -> Vec<String> {
    let mut lines = Vec::new();
    for name in only(new, old) {
        let Sysctl { default, range } = &new[name];
        let default = default.as_ref().map(|value| format!("default {}", shown(value)));
        let range = range.as_ref().map(|range| format!("accepts {range}"));
        let more: Vec<String> = default.into_iter().chain(range).collect();
        lines.push(format!("new sysctl `{name}` ({})", more.join(", ")));
    }
    lines.extend(only(old, new).into_iter().map(|name| format!("sysctl `{name}` is gone")));
    for (name, was, is) in both(old, new) {
        if was.default != is.default
            && let (Some(was), Some(is)) = (&was.default, &is.default)
        {
            lines.push(format!("sysctl `{name}`: default {}, was {}", shown(is), shown(was)));
        }
        if was.range != is.range
            && let (Some(was), Some(is)) = (&was.range, &is.range)
        {
            lines.push(format!("sysctl `{name}`: accepts {is}, was {was}"));
        }
    }
    lines
}

fn shown(value: &str) -> String {
    if value.is_empty() { "empty".to_owned() } else { format!("`{value}`") }
}

fn tracepoints(old: &BTreeMap<String, Vec<String>>, new: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut lines = Vec::new();
    for name in only(new, old) {
        lines.push(format!("new tracepoint `{name}`: {}", names(&new[name])));
    }
    lines.extend(only(old, new).into_iter().map(|name| format!("tracepoint `{name}` is gone")));
    for (name, was, is) in both(old, new) {
        let [before, now]: [BTreeSet<&String>; 2] = [was, is].map(|fields| fields.iter().collect());
        let mut changes = Vec::new();
        for (what, fields) in [("new", &now - &before), ("gone", &before - &now)] {
            if !fields.is_empty() {
                changes.push(format!("{what} {}", names(fields)));
            }
        }
        if changes.is_empty() && was != is {
            changes.push("the fields have another order".to_owned());
        }
        if !changes.is_empty() {
            lines.push(format!("tracepoint `{name}`: {}", changes.join("; ")));
        }
    }
    lines
}

fn enumerations(old: &BTreeMap<String, Enumerators>, new: &BTreeMap<String, Enumerators>) -> Vec<String> {
    let mut lines = Vec::new();
    for name in only(new, old) {
        let values = &new[name];
        if values.len() > LISTED {
            lines.push(format!("new enumeration `{name}` with {} values", values.len()));
        } else {
            let values = values.iter().map(|(name, value)| format!("{name} = {value}"));
            lines.push(format!("new enumeration `{name}`: {}", names(values)));
        }
    }
    lines.extend(only(old, new).into_iter().map(|name| format!("enumeration `{name}` is gone")));
    for (name, was, is) in both(old, new) {
        let mut changes = Vec::new();
        for (what, values) in [("new", only(is, was)), ("gone", only(was, is))] {
            if !values.is_empty() {
                changes.push(format!("{what} {}", names(values)));
            }
        }
        let renumbered = both(was, is).filter(|(_, was, is)| was != is).count();
        if renumbered > 0 {
            let plural = if renumbered == 1 { "other value has" } else { "other values have" };
            changes.push(format!("{renumbered} {plural} another number"));
        }
        if !changes.is_empty() {
            lines.push(format!("`{name}`: {}", changes.join("; ")));
        }
    }
    lines
}

fn names<T: Display>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "no fields".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: &str, interface: Option<&str>) -> Profile {
        let text = format!(
            r#"{{"kernel":"{name}.1","backend":"tp_btf","config":{{}},"sysctls":{{}},"behaviours":[]}}"#
        );
        let interface = interface.map(|parts| {
            serde_json::from_str(&format!(r#"{{"kernel":"{name}.1","build":"1",{parts}}}"#)).unwrap()
        });
        Profile { name: name.to_owned(), interface, ..serde_json::from_str(&text).unwrap() }
    }

    #[test]
    fn each_kernel_lists_what_its_predecessor_lacks() {
        let old = r#""sysctls":{"a":{"default":"2","range":"0 to 2"},"b":{"default":""}},
            "tracepoints":{"tcp:x":["int a","int b"],"tcp:y":["int a","int b"]},
            "enumerations":{"skb_drop_reason":{"ONE":1,"TWO":2,"THREE":3}}"#;
        let new = r#""sysctls":{"a":{"default":"3","range":"0 to 5"},"c":{"default":"7","range":"0 to 9"}},
            "tracepoints":{"tcp:x":["int a","u8 b"],"tcp:y":["int b","int a"],"tcp:z":["int a"]},
            "enumerations":{"skb_drop_reason":{"ONE":1,"TWO":3,"FOUR":2},"qdisc_drop_reason":{"FIVE":196608}}"#;
        let profiles = [profile("9.1", Some(old)), profile("9.2", None), profile("9.3", Some(new))];
        let mut page = String::new();
        append(&profiles, &mut page);
        let expected = "
### 9.1 to 9.3

9.1.1 to 9.3.1.

- new sysctl `c` (default `7`, accepts 0 to 9)
- sysctl `b` is gone
- sysctl `a`: default `3`, was `2`
- sysctl `a`: accepts 0 to 5, was 0 to 2
- new tracepoint `tcp:z`: `int a`
- tracepoint `tcp:x`: new `u8 b`; gone `int b`
- tracepoint `tcp:y`: the fields have another order
- new enumeration `qdisc_drop_reason`: `FIVE = 196608`
- `skb_drop_reason`: new `FOUR`; gone `THREE`; 1 other value has another number
";
        assert_eq!(page, expected);
    }

    #[test]
    fn equal_interfaces_do_not_differ() {
        let same = r#""sysctls":{},"tracepoints":{},"enumerations":{}"#;
        let mut page = String::new();
        append(&[profile("9.1", Some(same)), profile("9.2", Some(same))], &mut page);
        assert!(page.ends_with("Nothing differs.\n"), "{page}");
    }
}
