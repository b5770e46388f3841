//! docs/kernels.md: the profiles of several kernels side by side.

use std::fmt::Write as _;

use super::{
    profile::{AS_EXPECTED, Behaviour, Profile, Values},
    releases,
};

/// What the page begins with.
const HEAD: &str = "# Kernels

This page compares Linux kernels: how their TCP behaves, as `probe audit` observed it, and what their interface for TCP consists of. They
are Debian's kernels, each in a virtual machine, and `host`, the kernel of the machine that made this page. `cargo xtask matrix --bless`
writes this page and the files in [tests/profiles](../tests/profiles). `cargo xtask matrix` audits the kernels again and fails if one of them
no longer behaves as its profile says, if the two backends observe different behaviours, if a scenario fails, or if a trace or a cause
contradicts the kernel's own trace and its stack. `probe diff A B` compares any two profiles ([audit.md](audit.md#compare-two-kernels)).

To run any `probe` command on these kernels:

```sh
cargo xtask vm 5.10 -- doctor
cargo xtask vm 6.1 sid -- audit --group open
cargo xtask vm --tests 7.3 -- trace_truth   # integration tests
```

QEMU and the kernels are Debian's packages, unpacked under `target/`; nothing is installed on the host. A machine boots in some five seconds
without hardware virtualization. Debian keeps one build of an old series for a while. The matrix skips a kernel that can no longer be had,
says so, and keeps its profile: the row `release` is the build that the profile describes.

## Summary
";

/// What the part about the interface begins with.
const INTERFACE: &str = "
## New from kernel to kernel

Sysctls (`net.ipv4.tcp_*`, `net.ipv4.ip_local_*`, `net.mptcp.*`) with their defaults in a machine of 1 GiB and the numbers that they accept
when written; tracepoints of `sock`, `tcp`, `mptcp` and `skb` with their fields; from the type information the drop reasons, RST reasons, TCP
states and counters. A program that stores such numbers must know the kernel that they came from.
";

/// Renders the page of these profiles.
pub fn of(profiles: &[Profile]) -> String {
    let mut page = HEAD.to_owned();
    counts(profiles, &mut page);
    let alike: Vec<Vec<Option<&Behaviour>>> = rows(profiles);
    let (same, differing): (Vec<_>, Vec<_>) = alike.into_iter().partition(|row| is_same(row));
    differences(profiles, &differing, &mut page);
    departures(&same, &mut page);
    facts(profiles, &mut page);
    page += INTERFACE;
    releases::append(profiles, &mut page);
    all(profiles, &mut page);
    page
}

/// Each behaviour on every kernel, ordered by id.
fn rows(profiles: &[Profile]) -> Vec<Vec<Option<&Behaviour>>> {
    let mut ids: Vec<&str> = profiles
        .iter()
        .flat_map(|profile| &profile.behaviours)
        .map(|behaviour| behaviour.id.as_str())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(|id| profiles.iter().map(|profile| profile.behaviour(id)).collect()).collect()
}

fn is_same(row: &[Option<&Behaviour>]) -> bool {
    row.windows(2).all(|pair| match pair {
        [Some(one), Some(next)] => one.is_as(next),
        _ => false,
    })
}

fn counts(profiles: &[Profile], page: &mut String) {
    heading(profiles, "", page);
    row("release", profiles.iter().map(|profile| profile.kernel.clone()), page);
    row("version", profiles.iter().map(version), page);
    row("observed by", profiles.iter().map(|profile| profile.backend.clone()), page);
    row("behaviours", profiles.iter().map(|profile| profile.behaviours.len()), page);
    let count = |is_so: fn(&Behaviour) -> bool| {
        profiles.iter().map(move |profile| profile.behaviours.iter().filter(|one| is_so(one)).count())
    };
    row("as expected", count(|one| one.status == AS_EXPECTED), page);
    row("of these, as a known variant", count(|one| one.variant.is_some()), page);
    row("differ", count(|one| one.status == "differs"), page);
    row("unsupported", count(|one| one.status == "unsupported"), page);
}

/// The distribution's version, which tells apart builds whose releases are equal.
fn version(profile: &Profile) -> &str {
    let build = profile.interface.as_ref().map(|interface| interface.build.as_str());
    build.and_then(|build| build.split_once("Debian ")?.1.split(' ').next()).unwrap_or("–")
}

fn differences(profiles: &[Profile], rows: &[Vec<Option<&Behaviour>>], page: &mut String) {
    *page += "\n## Where kernels differ\n";
    for all in rows {
        let Some(first) = all.iter().copied().flatten().next() else { continue };
        let _ = write!(page, "\n### `{}`\n\n{}\n\n", first.id, sentence(&first.description));
        let usual =
            all.iter().copied().flatten().find(|one| one.status == AS_EXPECTED && one.variant.is_none());
        for (kernels, one) in groups(profiles, all) {
            let what = match one {
                None => "not audited".to_owned(),
                Some(one) => description(one, usual),
            };
            let _ = writeln!(page, "- **{}**: {what}", kernels.join(", "));
        }
        for (pair, kernels) in all.windows(2).zip(profiles.windows(2)) {
            if !is_same(pair) {
                let _ =
                    writeln!(page, "- It changes between {} and {}.", kernels[0].kernel, kernels[1].kernel);
            }
        }
    }
}

/// Groups the kernels that behave alike.
fn groups<'a>(
    profiles: &'a [Profile],
    row: &[Option<&'a Behaviour>],
) -> Vec<(Vec<&'a str>, Option<&'a Behaviour>)> {
    let mut groups: Vec<(Vec<&str>, Option<&Behaviour>)> = Vec::new();
    for (profile, one) in profiles.iter().zip(row) {
        let same =
            groups.iter_mut().find(|(_, other)| is_same(&[*one, *other]) || one.is_none() && other.is_none());
        match same {
            Some((kernels, _)) => kernels.push(&profile.name),
            None => groups.push((vec![&profile.name], *one)),
        }
    }
    groups
}

/// What one kernel does, and the observations that differ from the usual ones.
fn description(one: &Behaviour, usual: Option<&Behaviour>) -> String {
    let why = one.variant.as_ref().or(one.reason.as_ref());
    let mut text = match (why, one.status.as_str()) {
        (Some(why), AS_EXPECTED) => why.clone(),
        (Some(why), status) => format!("{status}: {why}"),
        (None, AS_EXPECTED) => "as expected".to_owned(),
        (None, status) => status.to_owned(),
    };
    if let Some(usual) = usual.filter(|_| one.variant.is_some()) {
        let seen: Vec<String> = one.beside(usual).iter().map(|seen| format!("`{seen}`")).collect();
        let _ = write!(text, ". Observed: {}", seen.join(", "));
    }
    text
}

/// The behaviours in which every kernel departs from the reference.
fn departures(rows: &[Vec<Option<&Behaviour>>], page: &mut String) {
    let all = rows.iter().filter_map(|row| row.first().copied().flatten());
    let departing: Vec<_> = all.filter_map(|one| Some((one, one.variant.as_ref()?))).collect();
    if departing.is_empty() {
        return;
    }
    *page += "\n## Where every kernel departs from the reference\n\n";
    for (one, why) in departing {
        let _ = writeln!(page, "- `{}`: {}. {}", one.id, one.description, sentence(why));
    }
}

/// The options and sysctls that differ.
fn facts(profiles: &[Profile], page: &mut String) {
    *page += "\n## Build options and defaults\n\nThe options and sysctls on which TCP's behaviour depends, where they differ.\n";
    heading(profiles, "", page);
    let none = Values::new();
    let kinds: [fn(&Profile) -> Option<&Values>; 2] =
        [|profile| profile.config.as_ref(), |profile| Some(&profile.sysctls)];
    for of in kinds {
        let mut names: Vec<&String> =
            profiles.iter().filter_map(of).flat_map(|values| values.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let values: Vec<&str> = profiles
                .iter()
                .map(|profile| {
                    of(profile).unwrap_or(&none).get(name).and_then(Option::as_deref).unwrap_or("–")
                })
                .collect();
            if values.windows(2).any(|pair| pair[0] != pair[1]) {
                row(&format!("`{name}`"), values.into_iter(), page);
            }
        }
    }
}

/// Every behaviour, on every kernel.
fn all(profiles: &[Profile], page: &mut String) {
    *page += "\n## Every behaviour\n\n✓ as expected, v as a known variant, – unsupported, ✗ differs.\n";
    heading(profiles, "", page);
    for all in rows(profiles) {
        let Some(first) = all.iter().copied().flatten().next() else { continue };
        let sign = |one: &Option<&Behaviour>| match one {
            None => "",
            Some(Behaviour { variant: Some(_), .. }) => "v",
            Some(one) if one.status == AS_EXPECTED => "✓",
            Some(one) if one.status == "unsupported" => "–",
            Some(_) => "✗",
        };
        row(&format!("`{}`", first.id), all.iter().map(sign), page);
    }
}

fn heading(profiles: &[Profile], what: &str, page: &mut String) {
    page.push('\n');
    row(what, profiles.iter().map(|profile| &profile.name), page);
    row("---", profiles.iter().map(|_| "---"), page);
}

fn row<T: std::fmt::Display>(what: &str, cells: impl Iterator<Item = T>, page: &mut String) {
    let _ = write!(page, "| {what} |");
    for cell in cells {
        let _ = write!(page, " {} |", cell.to_string().replace('|', "\\|"));
    }
    page.push('\n');
}

/// Adds a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: &str, behaviours: &str) -> Profile {
        let text = format!(
            r#"{{"kernel":"{name}.1","backend":"tp_btf","config":{{"CONFIG_TUN":"m"}},
                "sysctls":{{"net.ipv4.tcp_ecn":"{name}"}},"behaviours":[{behaviours}]}}"#
        );
        Profile { name: name.to_owned(), ..serde_json::from_str(&text).unwrap() }
    }

    fn behaviour(id: &str, more: &str, fact: &str) -> String {
        format!(
            r#"{{"id":"{id}","description":"it opens",{more},"paths":{{"a":"CLOSE SYN_SENT"}},"facts":{{"connect":"{fact}"}}}}"#
        )
    }

    #[test]
    fn a_difference_has_its_cause() {
        let plain = r#""status":"as-expected""#;
        let variant = r#""status":"as-expected","variant":"before 9.2: otherwise""#;
        let gated = r#""status":"unsupported","reason":"not before Linux 9.2""#;
        let old = [behaviour("open/a", variant, "EAGAIN"), behaviour("open/b", gated, "")];
        let new = [behaviour("open/a", plain, "success"), behaviour("open/b", plain, "success")];
        let newest =
            [behaviour("open/a", plain, "success"), behaviour("open/b", r#""status":"differs""#, "EIO")];
        let profiles = [("9.1", old), ("9.2", new), ("9.3", newest)];
        let page = of(&profiles.map(|(name, behaviours)| profile(name, &behaviours.join(","))));
        for line in [
            "| as expected | 1 | 2 | 1 |",
            "| of these, as a known variant | 1 | 0 | 0 |",
            "| differ | 0 | 0 | 1 |",
            "### `open/a`\n\nIt opens.",
            "- **9.1**: before 9.2: otherwise. Observed: `connect: EAGAIN`",
            "- **9.2, 9.3**: as expected",
            "- **9.1**: unsupported: not before Linux 9.2",
            "- **9.3**: differs",
            "- It changes between 9.1.1 and 9.2.1.",
            "| `net.ipv4.tcp_ecn` | 9.1 | 9.2 | 9.3 |",
            "| `open/a` | v | ✓ | ✓ |",
            "| `open/b` | – | ✓ | ✗ |",
        ] {
            assert!(page.contains(&format!("{line}\n")), "{line}\nis not in\n{page}");
        }
        assert!(!page.contains("CONFIG_TUN"), "all have it alike:\n{page}");
    }

    #[test]
    fn a_departure_of_every_kernel_is_listed_once() {
        let variant = r#""status":"as-expected","variant":"Linux has its own way""#;
        let profiles = ["9.1", "9.2"].map(|name| profile(name, &behaviour("open/a", variant, "EIO")));
        let page = of(&profiles);
        assert!(page.contains("- `open/a`: it opens. Linux has its own way.\n"), "{page}");
        assert!(!page.contains("### "), "{page}");
    }
}
