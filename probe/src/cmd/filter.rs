//! Makes the filter of a trace or a replay from its flags: resolves names of namespaces and cgroups to the kernel's ids.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
};

use super::exit::Failure;
use crate::{
    cli::FilterArgs,
    model::{Cgroup, Filter, Name},
    net::namespaces,
    os::{cgroup::Cgroups, process},
};

/// The filter of a trace of this host.
pub fn of_host(args: &FilterArgs) -> Result<Filter, Failure> {
    let netns = |name: &OsString| {
        namespaces::resolve(name).map_err(|error| Failure::usage(format!("--netns: {error}")))
    };
    if let Some(pid) = args.pid.iter().find(|pid| process::exists(**pid) == Some(false)) {
        return Err(Failure::usage(format!("--pid: no process {pid}")));
    }
    let mut cgroups = Cgroups::new();
    let cgroup =
        |name: &OsString| cgroups.id_of(name).map_err(|error| Failure::usage(format!("--cgroup: {error}")));
    Ok(Filter {
        netns: args.netns.iter().map(netns).collect::<Result<_, _>>()?,
        cgroups: args.cgroup.iter().map(cgroup).collect::<Result<_, _>>()?,
        ..of_values(args)
    })
}

/// The filter of a recording, which may come from another host: names are not resolved here.
pub fn of_recording(args: &FilterArgs) -> Result<Filter, Failure> {
    Ok(Filter {
        netns: args.netns.iter().map(|name| recorded_netns(name)).collect::<Result<_, _>>()?,
        cgroups: args.cgroup.iter().map(|name| recorded_cgroup(name)).collect(),
        ..of_values(args)
    })
}

/// The values that need no resolving.
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
            "--netns `{}`: recordings identify network namespaces by inode number, as in the JSON field `netns`; \
             give that number, e.g. 4026531840",
            name.display()
        ))
    })
}

/// Stands for an unknown id: no cgroup has the id 0.
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

    fn args(netns: &str, cgroup: &str) -> FilterArgs {
        FilterArgs { netns: vec![netns.into()], cgroup: vec![cgroup.into()], ..FilterArgs::default() }
    }

    #[test]
    fn a_recordings_filter_is_not_resolved_on_this_host() {
        let filter = of_recording(&args("4026531840", "/docker/1")).unwrap();
        assert_eq!(filter.netns, [4_026_531_840]);
        assert_eq!(filter.cgroups, [Cgroup { id: NO_ID, path: Some(Name::from_bytes(b"/docker/1")) }]);
        let filter = of_recording(&args("4026531840", "4711")).unwrap();
        assert_eq!(filter.cgroups, [Cgroup { id: 4711, path: None }]);
        let failure = of_recording(&args("/proc/1/ns/net", "/")).unwrap_err();
        assert_eq!(failure.exit, super::super::Exit::Usage);
        assert!(failure.message.contains("inode number"), "{}", failure.message);
    }

    #[test]
    fn a_namespace_that_does_not_exist_is_a_usage_error() {
        let missing = FilterArgs { netns: vec!["/no/such/file".into()], ..FilterArgs::default() };
        let failure = of_host(&missing).unwrap_err();
        assert_eq!(failure.exit, super::super::Exit::Usage);
        assert!(failure.message.starts_with("--netns: "), "{}", failure.message);
    }
}
