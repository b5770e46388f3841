//! What the BPF programs need: type information, tracepoints, and to be accepted and attached.

use std::{fs, io, iter, path::Path, time::Duration};

use super::Subject;
use crate::{
    model::{Backend, Facility, FacilityGroup, Host, Input},
    source::{
        Source as _,
        live::{
            Live, LiveError, LiveOptions, TypeCheck,
            tracefs::{Tracefs, with_tracefs},
        },
    },
};

const fn subject(name: &'static str, costs: &'static str) -> Subject {
    Subject { group: FacilityGroup::Kernel, name, costs }
}

/// The facilities of the kernel side and, if neither backend attaches, the reason.
pub async fn facilities(options: &LiveOptions, host: &Host) -> (Vec<Facility>, Option<String>) {
    let mut facilities = vec![types(options)];
    facilities.extend(tracepoints());

    let mut attached = Vec::new();
    let mut failures = Vec::new();
    for backend in [Backend::TpBtf, Backend::Tracepoint] {
        if options.backend.is_some_and(|only| only != backend) {
            continue;
        }
        let subject = backend_subject(backend);
        match attach(LiveOptions { backend: Some(backend), ..options.clone() }, host).await {
            Ok(Attached { time, unavailable }) => {
                attached.push(backend);
                facilities.push(subject.ok(observed(time, &unavailable)));
            }
            Err(error) => {
                facilities.push(failure(subject, &error));
                failures.push(error);
            }
        }
    }
    facilities.extend(parts(&attached));
    (facilities, attached.is_empty().then(|| summary(&failures)))
}

fn types(options: &LiveOptions) -> Facility {
    let subject = subject(
        "type information (BTF)",
        "the BTF tracepoint; with the classic tracepoint: segment counters, causes and network namespaces",
    );
    if options.without_btf {
        return subject.unknown("not used, because of --no-btf");
    }
    match TypeCheck::of_kernel() {
        Ok(types) if !types.suffices => subject.failed("it does not describe the fields of struct sock"),
        Ok(types) if types.missing.is_empty() => subject.ok("all fields found"),
        Ok(types) => subject.ok(format!("fields not found: {}", types.missing.join("; "))),
        Err(error) => subject.failed(error),
    }
}

/// A tracepoint, and its directory below `events`.
struct Tracepoint {
    name: &'static str,
    directory: &'static str,
    costs: &'static str,
    /// The remedy where it is missing: the kernel that has it.
    needs: &'static str,
}

const TRACEPOINTS: [Tracepoint; 5] = [
    Tracepoint {
        name: "sock:inet_sock_set_state",
        directory: "sock/inet_sock_set_state",
        costs: "everything: it reports the transitions",
        needs: "run Linux 4.16 or later",
    },
    Tracepoint {
        name: "tcp:tcp_send_reset",
        directory: "tcp/tcp_send_reset",
        costs: "reset objects; `RST sent` as a cause",
        needs: "run Linux 4.15 or later",
    },
    Tracepoint {
        name: "tcp:tcp_receive_reset",
        directory: "tcp/tcp_receive_reset",
        costs: "`RST received` as a certain cause",
        needs: "run Linux 4.15 or later",
    },
    Tracepoint {
        name: "syscalls:sys_exit_bind",
        directory: "syscalls/sys_exit_bind",
        costs: "bind-failed findings",
        needs: "run a kernel built with CONFIG_FTRACE_SYSCALLS",
    },
    Tracepoint {
        name: "sched:sched_process_fork",
        directory: "sched/sched_process_fork",
        costs: "tracing the descendants of COMMAND in probe trace -- COMMAND",
        needs: "run a kernel built with CONFIG_EVENT_TRACING",
    },
];

/// tracefs, and the tracepoints that it describes.
fn tracepoints() -> Vec<Facility> {
    let mounted = Tracefs::find();
    with_tracefs(|| {
        let tracefs = Tracefs::find();
        let tracepoints = TRACEPOINTS.iter().map(|tracepoint| present(tracefs, tracepoint));
        iter::once(facility(mounted, tracefs)).chain(tracepoints).collect()
    })
}

/// `usable` is where a thread finds it that may have mounted it for itself.
fn facility(mounted: Tracefs, usable: Tracefs) -> Facility {
    let subject = subject("tracefs", "the classic tracepoint, and the tracepoints of bind and fork");
    match (mounted, usable) {
        (Tracefs::At(mount), _) => subject.ok(format!("mounted at {mount}")),
        (_, Tracefs::At(_)) => subject.ok("not mounted; probe mounts it for itself"),
        (_, Tracefs::Unreadable(mount)) => Facility {
            remedy: Some("run as root".to_owned()),
            ..subject.unknown(format!("{mount} is not readable for this user"))
        },
        (_, Tracefs::NotMounted) => {
            subject.unavailable("not mounted", "mount -t tracefs nodev /sys/kernel/tracing")
        }
    }
}

fn present(tracefs: Tracefs, tracepoint: &Tracepoint) -> Facility {
    let subject = subject(tracepoint.name, tracepoint.costs);
    match tracefs {
        Tracefs::At(mount) => {
            let format = Path::new(mount).join("events").join(tracepoint.directory).join("format");
            match fs::read(format) {
                Ok(_) => subject.ok("present"),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    subject.unavailable("this kernel does not have it", tracepoint.needs)
                }
                Err(error) => subject.unknown(error.to_string()),
            }
        }
        Tracefs::Unreadable(_) => subject.unknown("tracefs is not readable for this user"),
        Tracefs::NotMounted => subject.unknown("tracefs is not mounted"),
    }
}

fn backend_subject(backend: Backend) -> Subject {
    match backend {
        Backend::TpBtf => subject(
            "BTF tracepoint",
            "socket cookies, exact owners of accepted sockets, the system call behind a transition, efficient trace --connections",
        ),
        Backend::Tracepoint => {
            subject("classic tracepoint", "the fallback where the BTF tracepoint is unavailable")
        }
    }
}

/// A successful attach.
struct Attached {
    time: Duration,
    unavailable: Vec<String>,
}

/// Attaches, reads what is available at once and detaches.
async fn attach(options: LiveOptions, host: &Host) -> Result<Attached, LiveError> {
    let mut live = Live::attach(&options, host.clone())?;
    let mut events = Vec::new();
    let _ = live.drain(&mut events);
    let unavailable = events.into_iter().find_map(|event| match event {
        Input::Ready { unavailable, .. } => Some(unavailable),
        _ => None,
    });
    Ok(Attached { time: live.attach_time(), unavailable: unavailable.unwrap_or_default() })
}

fn observed(time: Duration, unavailable: &[String]) -> String {
    let time = format!("attached in {} ms", time.as_millis().max(1));
    [time].into_iter().chain(unavailable.iter().cloned()).collect::<Vec<_>>().join("; ")
}

fn failure(subject: Subject, error: &LiveError) -> Facility {
    match error {
        LiveError::NoPrivilege => subject.unavailable(
            "loading BPF programs is not permitted",
            "run as root, or with CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN",
        ),
        LiveError::TooOld(_) => subject.unavailable(error.to_string(), "run Linux 5.12 or later"),
        other => subject.failed(other),
    }
}

/// What an attached backend proves: the verifier accepted its programs with all helpers that they call, and its ring
/// buffer delivered the report of this process's own socket (else attaching would have failed).
fn parts(attached: &[Backend]) -> [Facility; 2] {
    let ring = subject("ring buffer", "everything: it delivers the reports");
    let storage =
        subject("socket storage", "exact owners of accepted sockets, generations, trace --connections");
    let untried = "no backend that uses it attached";
    [
        match attached {
            [] => ring.unknown(untried),
            _ => ring.ok("delivered the report of a test socket"),
        },
        if attached.contains(&Backend::TpBtf) {
            storage.ok("used by the attached BTF programs")
        } else {
            storage.unknown(untried)
        },
    ]
}

/// Why no backend attached, in one line with the remedy.
fn summary(failures: &[LiveError]) -> String {
    let privilege = failures.iter().find(|error| matches!(error, LiveError::NoPrivilege));
    match (privilege, failures) {
        (Some(error), _) | (None, [error]) => error.to_string(),
        (None, errors) => {
            let all: Vec<_> = errors.iter().map(ToString::to_string).collect();
            LiveError::Backends(all.join("; the classic tracepoint fails too: ")).to_string()
        }
    }
}
