//! What this host supports, tried out rather than inferred from version numbers, and its port hazards.
//!
//! - `host`: the machine, and the privileges of this process
//! - `kernel`: what the BPF programs need
//! - `user`: what user space needs from the kernel: socket lists, namespaces, devices, cgroups
//! - `sysctls`: the settings that decide what a trace shows
//! - `hazards`: listeners in the ephemeral range, self-connected sockets, port exhaustion
//! - `namespace`, `ports`: the port settings of a network namespace, and port lists

mod hazards;
mod host;
mod kernel;
mod namespace;
mod ports;
mod sysctls;
mod user;

use crate::{
    model::{Diagnosis, Facility, FacilityGroup, FacilityStatus},
    net::{host as machine, namespaces::Namespaces},
    source::live::LiveOptions,
};

/// Tries out every facility and looks for hazards. Changes no setting and leaves nothing behind.
///
/// With a backend in `options`, the other one is not tried. Needs a tokio runtime, as
/// [`Live`](crate::source::live::Live) does.
pub async fn examine(options: &LiveOptions) -> Diagnosis {
    let host = machine::facts();
    let mut facilities = host::facilities(&host);
    let (kernel, refusal) = kernel::facilities(options, &host).await;
    facilities.extend(kernel);
    let namespaces = Namespaces::reachable();
    let (user, sockets) = user::facilities(&namespaces);
    facilities.extend(user);
    facilities.extend(sysctls::facilities());
    Diagnosis { facilities, hazards: hazards::hazards(&sockets, &namespace::ports(&namespaces)), refusal }
}

/// A facility that has not been tried yet.
#[derive(Clone, Copy)]
struct Subject {
    group: FacilityGroup,
    name: &'static str,
    /// What is unavailable without it.
    costs: &'static str,
}

impl Subject {
    /// It works, as observed.
    fn ok(self, observed: impl Into<String>) -> Facility {
        self.found(FacilityStatus::Ok, observed.into(), None)
    }

    /// It does not work, for the observed reason; `remedy` would provide it.
    fn unavailable(self, observed: impl Into<String>, remedy: impl Into<String>) -> Facility {
        self.found(FacilityStatus::Unavailable, observed.into(), Some(remedy.into()))
    }

    /// It does not work; the error includes the remedy, if there is one.
    fn failed(self, error: impl ToString) -> Facility {
        self.found(FacilityStatus::Unavailable, error.to_string(), None)
    }

    /// It could not be tried, for the observed reason.
    fn unknown(self, observed: impl Into<String>) -> Facility {
        self.found(FacilityStatus::Unknown, observed.into(), None)
    }

    fn found(self, status: FacilityStatus, observed: String, remedy: Option<String>) -> Facility {
        Facility {
            group: self.group,
            name: self.name.to_owned(),
            status,
            observed,
            costs: self.costs.to_owned(),
            remedy,
        }
    }
}
