//! Which sockets are meant: names of namespaces and cgroups become what the kernel knows them by.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
};

use super::exit::Failure;
use crate::{
    cli::FilterArgs,
    model::{Cgroup, Filter, Name},
    net::namespaces,
    os::cgroup::Cgroups,
};

/// The filter of a trace of this host.
pub fn of_host(args: &FilterArgs) -> Result<Filter, Failure> {
    let netns = |name: &OsString| {
        namespaces::resolve(name).map_err(|error| Failure::usage(format!("--netns: {error}")))
    };
    let mut cgroups = Cgroups::new();
    let cgroup =
        |name: &OsString| cgroups.id_of(name).map_err(|error| Failure::usage(format!("--cgroup: {error}")));
    Ok(Filter {
        netns: args.netns.iter().map(netns).collect::<Result<_, _>>()?,
        cgroups: args.cgroup.iter().map(cgroup).collect::<Result<_, _>>()?,
        ..of_values(args)
    })
}

/// The filter of a recording, for which this host need not be the one that it was made on.
pub fn of_recording(args: &FilterArgs) -> Result<Filter, Failure> {
    Ok(Filter {
        netns: args.netns.iter().map(|name| recorded_netns(name)).collect::<Result<_, _>>()?,
        cgroups: args.cgroup.iter().map(|name| recorded_cgroup(name)).collect(),
        ..of_values(args)
    })
}

/// What means the same everywhere.
fn of_values(args: &FilterArgs) -> Filter {
    Filter {
        pids: args.pid.clone(),
        comms: args.comm.clone(),
        ports: args.port.clone(),
        local_ports: args.local_port.clone(),
        remote_ports: args.remote_port.clone(),
        networks: args.addr.clone(),
        families: args.family.clone(),
        protocols: args.protocol.clone(),
        ..Filter::default()
    }
}

fn recorded_netns(name: &OsStr) -> Result<u32, Failure> {
    name.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
        Failure::usage(format!(
            "--netns {}: a recording knows namespaces by their inode numbers, as its output has them: give one",
            name.display()
        ))
    })
}

/// No cgroup has the id 0.
const NO_ID: u64 = 0;

fn recorded_cgroup(name: &OsStr) -> Cgroup {
    match name.to_str().and_then(|text| text.parse().ok()) {
        Some(id) => Cgroup { id, path: None },
        None => Cgroup { id: NO_ID, path: Some(Name::from_bytes(name.as_bytes())) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(netns: &str, cgroup: &str) -> FilterArgs {
        FilterArgs { netns: vec![netns.into()], cgroup: vec![cgroup.into()], ..FilterArgs::default() }
    }

    #[test]
    fn a_recording_has_numbers_and_paths_of_its_own() {
        let filter = of_recording(&named("4026531840", "/docker/1")).unwrap();
        assert_eq!(filter.netns, [4_026_531_840]);
        assert_eq!(filter.cgroups, [Cgroup { id: NO_ID, path: Some(Name::from_bytes(b"/docker/1")) }]);
        let filter = of_recording(&named("4026531840", "4711")).unwrap();
        assert_eq!(filter.cgroups, [Cgroup { id: 4711, path: None }]);
        let failure = of_recording(&named("/proc/1/ns/net", "/")).unwrap_err();
        assert_eq!(failure.exit, super::super::Exit::Usage);
        assert!(failure.message.contains("inode number"), "{}", failure.message);
    }

    #[test]
    fn what_is_not_there_cannot_be_meant() {
        let none = FilterArgs { netns: vec!["/no/such/file".into()], ..FilterArgs::default() };
        let failure = of_host(&none).unwrap_err();
        assert_eq!(failure.exit, super::super::Exit::Usage);
        assert!(failure.message.starts_with("--netns: "), "{}", failure.message);
    }
}
