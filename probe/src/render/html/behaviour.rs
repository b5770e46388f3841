//! One behaviour on the page: a line that opens into everything that is known of it.

use maud::{Markup, html};

use super::sequence;
use crate::{
    model::{BehaviourResult, BehaviourStatus, Observation, escape},
    render::{
        audit,
        observation::{ABSENT, ARROW, Run, gaps, lines},
        table::words,
    },
};

/// What a link to a behaviour names.
pub fn anchor(id: &str) -> String {
    id.replace('/', "-")
}

/// Whether it stands out: the kernel's trouble, or the audit's.
pub fn is_bad(result: &BehaviourResult) -> bool {
    matches!(result.status, BehaviourStatus::Differs | BehaviourStatus::Failed)
}

/// The behaviour. What is not as expected stands open.
pub fn entry(result: &BehaviourResult) -> Markup {
    let (_, mark) = audit::mark(result.status);
    let is_plain = result.status == BehaviourStatus::AsExpected;
    html! {
        details.behaviour.(result.status.name()) #(anchor(&result.id)) open[is_bad(result)] {
            summary {
                span.mark role="img" aria-label=(result.status.name()) { (mark) } " "
                code { (result.id) } " "
                span.says { (escape(&result.description)) } " "
                span.tags {
                    @if !result.packets.is_empty() { span.tag.wire { "packets" } " " }
                    @if result.variant.is_some() { span.tag { "variant" } " " }
                    @if !is_plain { span.status { (result.status.name()) } }
                }
            }
            @if let Some(reason) = &result.reason { p.reason { (escape(reason)) } }
            @if let Some(cause) = &result.variant { p.variant { "A known variant: " (escape(cause)) } }
            @match result.status {
                BehaviourStatus::Differs => (difference(result)),
                BehaviourStatus::AsExpected => (sight("observed, as expected", &result.observed)),
                BehaviourStatus::Unsupported => (sight("expected", &result.expected)),
                BehaviourStatus::Failed => {
                    (sight("expected", &result.expected))
                    (sight("observed, as far as it came", &result.observed))
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

fn sight(caption: &str, sight: &Observation) -> Markup {
    html! {
        table.sight {
            caption { (caption) }
            @for (name, text) in lines(sight) { tr { th scope="row" { (escape(name)) } td { (escape(&text)) } } }
            @if *sight == Observation::default() { tr { td { "nothing" } } }
        }
    }
}

/// Where it differs, both one above the other.
fn difference(result: &BehaviourResult) -> Markup {
    let side = |runs: &Option<Vec<Run>>| {
        html! {
            @match runs {
                None => span.absent { (ABSENT) },
                Some(runs) => @for (place, run) in runs.iter().enumerate() {
                    @if place > 0 { (ARROW) }
                    @if run.alone { mark { (escape(&run.text)) } } @else { (escape(&run.text)) }
                },
            }
        }
    };
    html! {
        table.sight.difference {
            @for gap in gaps(&result.expected, &result.observed) {
                @let [expected, observed] = &gap.sides;
                tr { th scope="row" rowspan="2" { (escape(gap.name)) } th { "expected" } td { (side(expected)) } }
                tr.observed { th { "observed" } td { (side(observed)) } }
            }
        }
    }
}

/// What the kernel reported, in its order.
fn transitions(result: &BehaviourResult) -> Markup {
    let first = result.transitions.iter().map(|(_, transition)| transition.at).min().unwrap_or_default();
    html! {
        details.reports {
            summary { (words::count(result.transitions.len() as u64, "transition", "transitions")) }
            table {
                thead {
                    tr { @for name in ["ms", "socket", "ends", "step", "cause"] { th scope="col" { (name) } } }
                }
                @for (label, transition) in &result.transitions {
                    tr {
                        td.number { (words::milliseconds(first, transition.at)) }
                        td { (escape(label.as_deref().unwrap_or("–"))) }
                        td { (words::ends(transition.ends)) }
                        td { (transition.old) " → " (transition.new) }
                        td { (escape(&words::cause(transition.cause).1)) }
                    }
                }
            }
        }
    }
}
