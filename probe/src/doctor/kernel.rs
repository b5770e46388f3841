//! What the programs in the kernel need: type information, tracepoints, and that they attach.

use std::{fs, io, path::Path, time::Duration};

use super::Subject;
use crate::{
    model::{Backend, Facility, FacilityGroup, Host, Input},
    source::{
        Source as _,
        live::{Live, LiveError, LiveOptions, Types},
    },
};

const fn subject(name: &'static str, costs: &'static str) -> Subject {
    Subject { group: FacilityGroup::Kernel, name, costs }
}

/// Everything of the kernel side; and, where neither backend attaches, why.
pub async fn facilities(options: &LiveOptions, host: &Host) -> (Vec<Facility>, Option<String>) {
    let tracefs = Tracefs::look();
    let mut facilities = vec![types(options), tracefs.facility()];
    facilities.extend(TRACEPOINTS.iter().map(|tracepoint| tracefs.tracepoint(tracepoint)));

    let mut attached = Vec::new();
    let mut refused = Vec::new();
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
                facilities.push(refusal(subject, &error));
                refused.push(error);
            }
        }
    }
    facilities.extend(parts(&attached));
    (facilities, attached.is_empty().then(|| because(&refused)))
}

fn types(options: &LiveOptions) -> Facility {
    let subject = subject(
        "type information (BTF)",
        "the BTF tracepoint; with the classic one: counters, causes and namespaces",
    );
    if options.without_btf {
        return subject.unknown("left aside, as was asked for");
    }
    match Types::of_kernel() {
        Ok(types) if !types.suffice => subject.failed("it lacks the fields of struct sock"),
        Ok(types) if types.lacks.is_empty() => subject.ok("every field is there"),
        Ok(types) => subject.ok(format!("not in it: {}", types.lacks.join("; "))),
        Err(error) => subject.failed(error),
    }
}

/// Where tracefs is mounted, by custom.
const MOUNTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// The directory of all tracepoints.
enum Tracefs {
    At(&'static str),
    /// Somewhere out of this user's sight, maybe.
    Closed(&'static str),
    NotMounted,
}

/// A tracepoint, by its directory below `events`.
struct Tracepoint {
    name: &'static str,
    directory: &'static str,
    costs: &'static str,
    /// What this kernel would have to be.
    needs: &'static str,
}

const TRACEPOINTS: [Tracepoint; 5] = [
    Tracepoint {
        name: "sock:inet_sock_set_state",
        directory: "sock/inet_sock_set_state",
        costs: "everything: it is where transitions come from",
        needs: "Linux 4.16",
    },
    Tracepoint {
        name: "tcp:tcp_send_reset",
        directory: "tcp/tcp_send_reset",
        costs: "the objects of type reset; RST sent, as a cause",
        needs: "Linux 4.15",
    },
    Tracepoint {
        name: "tcp:tcp_receive_reset",
        directory: "tcp/tcp_receive_reset",
        costs: "RST received, as a cause that is certain",
        needs: "Linux 4.15",
    },
    Tracepoint {
        name: "syscalls:sys_exit_bind",
        directory: "syscalls/sys_exit_bind",
        costs: "findings of kind bind-failed",
        needs: "a kernel with CONFIG_FTRACE_SYSCALLS",
    },
    Tracepoint {
        name: "sched:sched_process_fork",
        directory: "sched/sched_process_fork",
        costs: "the descendants of the command in probe trace -- COMMAND",
        needs: "a kernel with CONFIG_EVENT_TRACING",
    },
];

impl Tracefs {
    fn look() -> Self {
        let mut closed = None;
        for mount in MOUNTS {
            match fs::read_dir(Path::new(mount).join("events")) {
                Ok(_) => return Self::At(mount),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    closed.get_or_insert(mount);
                }
                Err(_) => {}
            }
        }
        closed.map_or(Self::NotMounted, Self::Closed)
    }

    fn facility(&self) -> Facility {
        let subject =
            subject("tracefs", "the classic tracepoint, and the tracepoints of bind and fork below");
        match self {
            Self::At(mount) => subject.ok(format!("at {mount}")),
            Self::Closed(mount) => Facility {
                remedy: Some("run as root".to_owned()),
                ..subject.unknown(format!("{mount} may not be read"))
            },
            Self::NotMounted => subject.lacking("not mounted", "mount -t tracefs nodev /sys/kernel/tracing"),
        }
    }

    fn tracepoint(&self, tracepoint: &Tracepoint) -> Facility {
        let subject = subject(tracepoint.name, tracepoint.costs);
        match self {
            Self::At(mount) => {
                let format = Path::new(mount).join("events").join(tracepoint.directory).join("format");
                match fs::read(format) {
                    Ok(_) => subject.ok("there"),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        subject.lacking("this kernel has none", tracepoint.needs)
                    }
                    Err(error) => subject.unknown(error.to_string()),
                }
            }
            Self::Closed(_) => subject.unknown("tracefs may not be read"),
            Self::NotMounted => subject.unknown("tracefs is not mounted"),
        }
    }
}

fn backend_subject(backend: Backend) -> Subject {
    match backend {
        Backend::TpBtf => subject(
            "BTF tracepoint",
            "cookies, exact owners of accepted sockets, the call behind a transition, trace --connections",
        ),
        Backend::Tracepoint => subject("classic tracepoint", "what stands in where BTF is missing"),
    }
}

/// What attaching gave.
struct Attached {
    time: Duration,
    unavailable: Vec<String>,
}

/// Attaches, and detaches again.
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
    let took = format!("attached in {} ms", time.as_millis().max(1));
    [took].into_iter().chain(unavailable.iter().cloned()).collect::<Vec<_>>().join("; ")
}

fn refusal(subject: Subject, error: &LiveError) -> Facility {
    match error {
        LiveError::NoPrivilege => subject.lacking(
            "loading BPF programs is not permitted",
            "run as root, or with CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN",
        ),
        LiveError::TooOld(_) => subject.lacking(error.to_string(), "Linux 5.12"),
        other => subject.failed(other),
    }
}

/// What comes with a backend that attached: its programs were accepted with all that they call, and its
/// ring has brought this process's own report (or attaching would have failed).
fn parts(attached: &[Backend]) -> [Facility; 2] {
    let ring = subject("ring buffer", "everything: it is how reports come here");
    let storage =
        subject("socket storage", "exact owners of accepted sockets, generations, trace --connections");
    let untried = "no backend that uses it could be attached";
    [
        match attached {
            [] => ring.unknown(untried),
            _ => ring.ok("a socket opened to see was reported"),
        },
        if attached.contains(&Backend::TpBtf) {
            storage.ok("the BTF tracepoint's program uses it")
        } else {
            storage.unknown(untried)
        },
    ]
}

/// Why nothing attached, in one line with its remedy.
fn because(refused: &[LiveError]) -> String {
    let privilege = refused.iter().find(|error| matches!(error, LiveError::NoPrivilege));
    match (privilege, refused) {
        (Some(error), _) | (None, [error]) => error.to_string(),
        (None, errors) => {
            let all: Vec<_> = errors.iter().map(ToString::to_string).collect();
            LiveError::Backends(all.join("; and the fallback: ")).to_string()
        }
    }
}
