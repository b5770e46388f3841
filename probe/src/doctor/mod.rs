//! What this host gives to the tool, tried rather than guessed from version numbers, and what on it is
//! likely to go wrong.
//!
//! - `host`: the machine, and what this process may do on it
//! - `kernel`: what the programs in the kernel need
//! - `user`: what the tool asks of the kernel besides
//! - `sysctls`: the settings that decide what is seen
//! - `hazards`: what may go wrong with the ports of each network namespace
//! - `namespace`, `ports`: how a namespace deals with ports, and lists of them

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

/// Tries everything. Nothing that it makes is left behind, and no setting is changed.
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

/// A facility before it is tried.
#[derive(Clone, Copy)]
struct Subject {
    group: FacilityGroup,
    name: &'static str,
    /// What depends on it.
    costs: &'static str,
}

impl Subject {
    /// It works; this was seen of it.
    fn ok(self, observed: impl Into<String>) -> Facility {
        self.found(FacilityStatus::Ok, observed.into(), None)
    }

    /// It does not work, for this reason, and that would remedy it.
    fn lacking(self, observed: impl Into<String>, remedy: impl Into<String>) -> Facility {
        self.found(FacilityStatus::Unavailable, observed.into(), Some(remedy.into()))
    }

    /// It does not work, and the reason says what there is to say.
    fn failed(self, error: impl ToString) -> Facility {
        self.found(FacilityStatus::Unavailable, error.to_string(), None)
    }

    /// It could not be tried, for this reason.
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
