//! A behaviour on the page: one line that expands to all details.

use maud::{Markup, html};

use super::sequence;
use crate::{
    model::{BehaviourResult, BehaviourStatus, Observation, escape},
    render::{
        audit,
        comparison::{ABSENT, ARROW, Chunk, entries, mismatches},
        table::format,
    },
};

/// The HTML id of a behaviour.
pub fn anchor(id: &str) -> String {
    id.replace('/', "-")
}

/// Whether the behaviour needs attention: the kernel differs, or the audit failed.
pub fn is_bad(result: &BehaviourResult) -> bool {
    matches!(result.status, BehaviourStatus::Differs | BehaviourStatus::Failed)
}

/// The behaviour, expanded if it needs attention.
pub fn entry(result: &BehaviourResult) -> Markup {
    let (_, mark) = audit::mark(result.status);
    let is_as_expected = result.status == BehaviourStatus::AsExpected;
    html! {
        details.behaviour.(result.status.name()) #(anchor(&result.id)) open[is_bad(result)] {
            summary {
                span.mark role="img" aria-label=(result.status.name()) { (mark) } " "
                code { (result.id) } " "
                span.description { (escape(&result.description)) } " "
                span.tags {
                    @if !result.packets.is_empty() { span.tag.wire { "packets" } " " }
                    @if result.variant.is_some() { span.tag { "variant" } " " }
                    @if !is_as_expected { span.status { (result.status.name()) } }
                }
            }
            @if let Some(reason) = &result.reason { p.reason { (escape(reason)) } }
            @if let Some(cause) = &result.variant { p.variant { "Known variant: " (escape(cause)) } }
            @match result.status {
                BehaviourStatus::Differs => (difference(result)),
                BehaviourStatus::AsExpected => (observation("observed, as expected", &result.observed)),
                BehaviourStatus::Unsupported => (observation("expected", &result.expected)),
                BehaviourStatus::Failed => {
                    (observation("expected", &result.expected))
                    (observation("observed before the failure", &result.observed))
                },
            }
            dl {
                dt { "Reference" } dd { (escape(&result.reference)) }
                @if !result.needs.is_empty() { dt { "Needs" } dd { (escape(&result.needs.join(", "))) } }
            }
            @if !result.packets.is_empty() { (sequence::svg(result)) }
            @if !result.transitions.is_empty() { (transitions(result)) }
        }
    }
}

fn observation(caption: &str, observation: &Observation) -> Markup {
    html! {
        table.observation {
            caption { (caption) }
            @for (name, text) in entries(observation) { tr { th scope="row" { (escape(name)) } td { (escape(&text)) } } }
            @if *observation == Observation::default() { tr { td { "nothing" } } }
        }
    }
}

/// The mismatches, expected above observed.
fn difference(result: &BehaviourResult) -> Markup {
    let value = |chunks: &Option<Vec<Chunk>>| {
        html! {
            @match chunks {
                None => span.absent { (ABSENT) },
                Some(chunks) => @for (index, chunk) in chunks.iter().enumerate() {
                    @if index > 0 { (ARROW) }
                    @if chunk.is_unique { mark { (escape(&chunk.text)) } } @else { (escape(&chunk.text)) }
                },
            }
        }
    };
    html! {
        table.observation.difference {
            @for mismatch in mismatches(&result.expected, &result.observed) {
                @let [expected, observed] = &mismatch.values;
                tr { th scope="row" rowspan="2" { (escape(mismatch.name)) } th { "expected" } td { (value(expected)) } }
                tr.observed { th { "observed" } td { (value(observed)) } }
            }
        }
    }
}

/// The reported transitions, in order.
fn transitions(result: &BehaviourResult) -> Markup {
    let first = result.transitions.iter().map(|(_, transition)| transition.at).min().unwrap_or_default();
    html! {
        details.reports {
            summary { (format::count(result.transitions.len() as u64, "transition", "transitions")) }
            table {
                thead {
                    tr { @for name in ["ms", "socket", "local → remote", "old → new", "cause"] { th scope="col" { (name) } } }
                }
                @for (label, transition) in &result.transitions {
                    tr {
                        td.number { (format::milliseconds(first, transition.at)) }
                        td { (escape(label.as_deref().unwrap_or("–"))) }
                        td { (format::endpoints(transition.identity.endpoints)) }
                        td { (transition.old) " → " (transition.new) }
                        td { (escape(&format::cause(transition.cause).1)) }
                    }
                }
            }
        }
    }
}
