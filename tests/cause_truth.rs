//! Causes compared with the kernel's own stack at each state change: a table of kernel functions, independent of the
//! tool, says what each stack proves.
//!
//! - `host`: a host whose peers are emulated
//! - `matrix`, `special`, `timers`, `mptcp`: workloads with every state and what can happen in it; `program`: processes
//!   for them
//! - `observer`, `observed`: what the tool reports of a workload, and what the kernel records
//! - `symbols`, `proof`: stacks and what they prove
//! - `told`, `closed_by`: what each text of a cause may mean, and who then closed the connection
//! - `compare`, `report`: finds the stack of each transition, and shows what it contradicts
//! - `reached`: the causes that no workload reaches

mod closed_by;
mod compare;
pub mod host;
mod matrix;
mod mptcp;
mod observed;
mod observer;
mod program;
mod proof;
mod reached;
mod report;
mod special;
mod symbols;
mod timers;
mod told;

use std::collections::BTreeSet;

use probe::model::Cause;

use self::observed::Workload;

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn no_cause_contradicts_the_stack_in_any_state() {
    Workload::States.observed().agrees();
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn no_cause_contradicts_the_stack_of_listeners_orphans_and_failures() {
    Workload::Special.observed().agrees();
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn no_cause_contradicts_the_stack_of_a_timer() {
    Workload::Timers.observed().agrees();
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn no_cause_contradicts_the_stack_where_the_route_has_gone() {
    Workload::WithoutRoute.observed().agrees();
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn no_cause_contradicts_the_stack_where_the_namespace_has_gone() {
    Workload::WithoutNamespace.observed().agrees();
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn causes_of_mptcp_agree_with_the_stack() {
    Workload::Mptcp.observed().agrees();
}

/// Not in CI: in two of fourteen runs beside other tests, one change had the stack of another in the kernel's trace. Why is not
/// known. A wrong cause contradicts in every run.
#[test]
#[ignore = "run it with --ignored, and again where it fails"]
fn causes_of_an_audit_agree_with_the_stack() {
    Workload::Audit.observed().agrees();
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn every_cause_is_reached_or_listed_with_the_reason() {
    let reached = Workload::ALL.into_iter().flat_map(|workload| workload.observed().causes()).collect();
    reached::check(&reached);
}

#[test]
fn every_cause_has_a_row_with_its_proofs() {
    let rows: BTreeSet<&str> = told::TOLD.iter().map(|(text, _)| *text).collect();
    let causes: BTreeSet<&str> = Cause::ALL.iter().map(|cause| cause.detail()).collect();
    assert_eq!(rows, causes, "left: the rows of told.rs, right: the causes");
}
