//! Renders an audit as one HTML page: the state diagram of all observed transitions, the behaviours by group, and their
//! sequence diagrams.
//!
//! Pure: results in, text out. The page is self-contained and has no scripts; it can be printed, and follows the reader's
//! preference for light or dark. All text is escaped.

mod behaviour;
mod diagram;
mod sequence;
mod transition_counts;

use std::{fmt, time::Duration};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::transition_counts::TransitionCounts;
use super::table::format;
use crate::model::{
    BehaviourGroup, BehaviourResult, BehaviourStatus, Edge, Host, KernelFacts, TCP_EDGES, escape,
};

const STYLE: &str = include_str!("html/style.css");

/// The report of an audit; its `Display` is the whole document.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The audited host.
    pub host: &'a Host,
    /// Facts about its kernel.
    pub facts: &'a KernelFacts,
    /// The results, in the order of the report.
    pub results: &'a [BehaviourResult],
    /// The duration of the audit.
    pub duration: Duration,
}

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.document().into_string())
    }
}

impl Page<'_> {
    fn document(&self) -> Markup {
        let title = format!("TCP on Linux {}", escape(&self.facts.kernel));
        let counts = TransitionCounts::of(self.results);
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        h1 { (title) }
                        (self.summary())
                        (self.contents())
                    }
                    main {
                        (self.attention())
                        section #states {
                            h2 { "States" }
                            (states(&counts))
                        }
                        @for group in BehaviourGroup::ALL { (self.group(group)) }
                        section #kernel {
                            h2 { "The kernel" }
                            (self.kernel())
                        }
                    }
                }
            }
        }
    }

    fn summary(&self) -> Markup {
        let with = |status| self.results.iter().filter(|result| result.status == status).count();
        let figures = BehaviourStatus::ALL.map(|status| (status, with(status)));
        let variants = self.results.iter().filter(|result| result.variant.is_some()).count();
        html! {
            p.lead {
                (format::count(self.results.len() as u64, "behaviour", "behaviours"))
                " of this kernel's TCP, as the kernel reported them, compared with their references."
            }
            p.figures {
                @for (status, number) in figures {
                    @if number > 0 || status == BehaviourStatus::AsExpected {
                        span.figure.(status.name()) { b { (number) } " " (status.name()) } " "
                    }
                }
                @if variants > 0 { span.figure.variants { b { (variants) } " by a known variant" } " " }
                span.faint {
                    (format::duration(self.duration)) " · " code { (self.facts.backend.name()) } " · "
                    (escape(&self.host.hostname)) " · " (escape(&self.facts.arch))
                }
            }
        }
    }

    fn contents(&self) -> Markup {
        html! {
            nav aria-label="Contents" {
                a href="#states" { "States" }
                @for group in BehaviourGroup::ALL {
                    @let number = self.members(group).count();
                    @if number > 0 { a href={ "#" (group.name()) } { (group.name()) " " span.faint { (number) } } }
                }
                a href="#kernel" { "The kernel" }
            }
        }
    }

    /// The behaviours that need attention, before everything else.
    fn attention(&self) -> Markup {
        let bad: Vec<_> = self.results.iter().filter(|result| behaviour::is_bad(result)).collect();
        html! {
            @if !bad.is_empty() {
                section #attention {
                    h2 { "Not as expected" }
                    ul {
                        @for result in bad {
                            li {
                                a href={ "#" (behaviour::anchor(&result.id)) } { code { (result.id) } } " "
                                span.(result.status.name()) { span.status { (result.status.name()) } } " "
                                (escape(&result.description))
                            }
                        }
                    }
                }
            }
        }
    }

    fn members(&self, group: BehaviourGroup) -> impl Iterator<Item = &BehaviourResult> {
        self.results.iter().filter(move |result| result.group == group)
    }

    fn kernel(&self) -> Markup {
        let value = |value: &Option<String>| {
            html! {
                @match value {
                    Some(value) => code { (escape(value)) },
                    None => span.absent { "absent" },
                }
            }
        };
        let table = |caption: &str, rows: &[(String, Option<String>)]| {
            html! {
                table.facts {
                    caption { (caption) }
                    @for (name, setting) in rows { tr { th scope="row" { (name) } td { (value(setting)) } } }
                }
            }
        };
        html! {
            div.columns {
                (table("Sysctls of a new network namespace", &self.facts.sysctls))
                @match &self.facts.config {
                    Some(config) => (table("Build options", config)),
                    None => p { "This kernel does not publish its build options." },
                }
            }
        }
    }

    fn group(&self, group: BehaviourGroup) -> Markup {
        html! {
            @if self.members(group).next().is_some() {
                section #(group.name()) {
                    h2 { (group.name()) ": " (group.about()) }
                    @for result in self.members(group) { (behaviour::entry(result)) }
                }
            }
        }
    }
}

/// The state diagram, and a table with the same data.
fn states(counts: &TransitionCounts) -> Markup {
    html! {
        p {
            "All transitions that " code { "inet_sock_set_state" } " reported, in the layout of figure 5 of RFC 9293. Each \
             number counts the transitions and links to the behaviours that made them; a thicker line means more. "
            span.unobserved { "Dashed grey" } ": Linux has this transition, but no behaviour made it. TIME_WAIT is not \
             reported: the kernel reports CLOSE, and a mini-socket replaces the socket."
        }
        figure { (diagram::svg(counts)) }
        table.edges {
            caption { "All transitions, with the behaviours that made them" }
            thead { tr { th scope="col" { "transition" } th.number scope="col" { "count" } th scope="col" { "behaviours" } } }
            tbody {
                @for edge in TCP_EDGES.iter().copied().chain(counts.illegal()) {
                    tr #(diagram::anchor(edge)) .unobserved[counts.number(edge) == 0] {
                        th scope="row" { (edge.0) " → " (edge.1) }
                        td.number { (counts.number(edge)) }
                        td { (behaviours(counts, edge)) }
                    }
                }
            }
        }
    }
}

/// The number of links that are shown without expanding.
const MAX_LINKS: usize = 4;

/// Links to the behaviours with transitions along an edge.
fn behaviours(counts: &TransitionCounts, edge: Edge) -> Markup {
    let ids: Vec<&str> = counts.behaviours(edge).collect();
    let links = html! {
        @for id in &ids { a href={ "#" (behaviour::anchor(id)) } { code { (id) } } " " }
    };
    html! {
        @if ids.len() <= MAX_LINKS { (links) } @else {
            details { summary { (ids.len()) " behaviours" } (links) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing;

    fn page(results: &[BehaviourResult]) -> String {
        let (host, facts) = (testing::host(), testing::kernel_facts());
        Page { host: &host, facts: &facts, results, duration: Duration::from_millis(1_234) }.to_string()
    }

    #[test]
    fn the_whole_page() {
        let text = page(&testing::results()).replace("><", ">\n<");
        insta::assert_snapshot!("page", text.replace(STYLE, ""));
    }

    #[test]
    fn text_is_never_markup() {
        let mut results = testing::results();
        for result in &mut results {
            result.description = "<script>alert(1)</script>".to_owned();
            result.reference = "\" onload=\"x".to_owned();
            result.reason = Some("</summary><img src=x>".to_owned());
            result.transitions.iter_mut().for_each(|(label, _)| *label = Some("</text><b>".to_owned()));
        }
        let text = page(&results);
        for markup in ["<script", "<img", "<b>bind", "</text><b>", "onload=\"", "\x1b"] {
            assert!(!text.contains(markup), "{markup}");
        }
        assert!(text.contains("&lt;script&gt;"));
    }

    #[test]
    fn the_page_is_self_contained() {
        let text = page(&testing::results());
        for reference in ["http", "src=", "@import", "<link", "<script"] {
            assert!(!text.contains(reference), "{reference}");
        }
        for reference in text.split("url(").skip(1) {
            assert!(reference.starts_with('#'), "{reference:.40}");
        }
    }

    #[test]
    fn every_link_has_a_target_on_the_page() {
        let text = page(&testing::results());
        let links: Vec<&str> =
            text.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(!links.is_empty());
        for link in links {
            assert!(text.contains(&format!("id=\"{link}\"")), "{link}");
        }
    }

    #[test]
    fn an_audit_without_results_is_a_valid_page() {
        assert!(page(&[]).contains("<b>0</b> as-expected"));
    }

    proptest::proptest! {
        /// The page has the same elements whatever its text is.
        #[test]
        fn text_does_not_change_the_elements(text in "[<>&\"'/a-z!\\-\u{0}-\u{1f}]{1,12}") {
            let with_text = |text: &str| {
                let mut results = testing::results();
                for result in &mut results {
                    result.description = text.to_owned();
                    result.reference = text.to_owned();
                    result.reason = Some(text.to_owned());
                    result.needs = vec![text.to_owned()];
                    result.transitions.iter_mut().for_each(|(label, _)| *label = Some(text.to_owned()));
                    for (name, _) in result.expected.facts.iter_mut().chain(&mut result.observed.facts) {
                        *name = text.to_owned();
                    }
                }
                page(&results)
            };
            let (plain, other) = (with_text("plain"), with_text(&text));
            for sign in ['<', '>', '"'] {
                proptest::prop_assert_eq!(plain.matches(sign).count(), other.matches(sign).count(), "{}", sign);
            }
            proptest::prop_assert!(!other.contains(|c: char| c.is_control() && c != '\n'));
        }
    }
}
