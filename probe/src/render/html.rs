//! An audit as one page: what was seen by group, the state diagram that came of it, and what the wires carried.
//!
//! Pure: results in, text out. The page needs nothing beside itself, and no scripts; it prints, and follows the
//! reader's choice of light or dark. Whatever text it is given is escaped.

mod behaviour;
mod diagram;
mod sequence;
mod transitions;

use std::{fmt, time::Duration};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::transitions::Taken;
use super::table::words;
use crate::model::{
    BehaviourGroup, BehaviourResult, BehaviourStatus, Edge, Host, KernelFacts, TCP_EDGES, escape,
};

const STYLE: &str = include_str!("html/style.css");

/// The report of an audit; as text, it is the whole document.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The machine.
    pub host: &'a Host,
    /// What is known of its kernel.
    pub facts: &'a KernelFacts,
    /// What came, in the order of the report.
    pub results: &'a [BehaviourResult],
    /// How long it took.
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
        let taken = Taken::by(self.results);
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
                        (self.trouble())
                        section #states {
                            h2 { "States" }
                            (states(&taken))
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
                "What this kernel's TCP did when "
                (words::count(self.results.len() as u64, "behaviour was", "behaviours were"))
                " brought about, by the kernel's own report."
            }
            p.figures {
                @for (status, number) in figures {
                    @if number > 0 || status == BehaviourStatus::AsExpected {
                        span.figure.(status.name()) { b { (number) } " " (status.name()) } " "
                    }
                }
                @if variants > 0 { span.figure.variants { b { (variants) } " by a known variant" } " " }
                span.faint {
                    (words::span(self.duration)) " · " code { (self.facts.backend.name()) } " · "
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

    /// What is not as it should be, before everything else.
    fn trouble(&self) -> Markup {
        let bad: Vec<_> = self.results.iter().filter(|result| behaviour::is_bad(result)).collect();
        html! {
            @if !bad.is_empty() {
                section #trouble {
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
            div.beside {
                (table("Sysctls of a new network namespace", &self.facts.sysctls))
                @match &self.facts.config {
                    Some(config) => (table("Options that it was built with", config)),
                    None => p { "This kernel does not show the options that it was built with." },
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

/// The diagram, and the same as a list.
fn states(taken: &Taken) -> Markup {
    html! {
        p {
            "Every step that " code { "inet_sock_set_state" } " reported, in the layout of RFC 9293's figure 5. A number \
             says how often it was taken, and leads to the behaviours that took it; the thicker the line, the oftener. "
            span.never-seen { "Dashed grey" } " is a step that Linux has and that nothing here took. TIME_WAIT has no \
             socket that could be reported: the kernel says CLOSE, and a mini-socket stays."
        }
        figure { (diagram::svg(taken)) }
        table.edges {
            caption { "Every step, and which behaviours took it" }
            thead { tr { th scope="col" { "step" } th.number scope="col" { "times" } th scope="col" { "behaviours" } } }
            tbody {
                @for edge in TCP_EDGES.iter().copied().chain(taken.strange()) {
                    tr #(diagram::anchor(edge)) .never[taken.times(edge) == 0] {
                        th scope="row" { (edge.0) " → " (edge.1) }
                        td.number { (taken.times(edge)) }
                        td { (by(taken, edge)) }
                    }
                }
            }
        }
    }
}

/// So many behaviours are named at once; the names of more open.
const FEW: usize = 4;

/// Links to the behaviours that took a step.
fn by(taken: &Taken, edge: Edge) -> Markup {
    let ids: Vec<&str> = taken.behaviours(edge).collect();
    let links = html! {
        @for id in &ids { a href={ "#" (behaviour::anchor(id)) } { code { (id) } } " " }
    };
    html! {
        @if ids.len() <= FEW { (links) } @else {
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
    fn no_text_gets_through_as_markup() {
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
    fn it_needs_nothing_beside_itself() {
        let text = page(&testing::results());
        for reference in ["http", "src=", "@import", "<link", "<script"] {
            assert!(!text.contains(reference), "{reference}");
        }
        for reference in text.split("url(").skip(1) {
            assert!(reference.starts_with('#'), "{reference:.40}");
        }
    }

    /// Every link leads to a place on the page.
    #[test]
    fn its_links_lead_somewhere() {
        let text = page(&testing::results());
        let links: Vec<&str> =
            text.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(!links.is_empty());
        for link in links {
            assert!(text.contains(&format!("id=\"{link}\"")), "{link}");
        }
    }

    #[test]
    fn an_audit_of_nothing_is_a_page_too() {
        assert!(page(&[]).contains("<b>0</b> as-expected"));
    }

    proptest::proptest! {
        /// Whatever a text is, the page has the same elements.
        #[test]
        fn a_text_changes_nothing_but_itself(text in "[<>&\"'/a-z!\\-\u{0}-\u{1f}]{1,12}") {
            let told = |text: &str| {
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
            let (plain, other) = (told("plain"), told(&text));
            for sign in ['<', '>', '"'] {
                proptest::prop_assert_eq!(plain.matches(sign).count(), other.matches(sign).count(), "{}", sign);
            }
            proptest::prop_assert!(!other.contains(|c: char| c.is_control() && c != '\n'));
        }
    }
}
