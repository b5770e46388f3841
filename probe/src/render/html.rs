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
use crate::model::{BehaviourGroup, BehaviourResult, BehaviourStatus, Host, KernelFacts, TCP_EDGES, escape};

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
                    h1 { (title) }
                    (self.summary())
                    (self.kernel())
                    h2 #behaviours { "Behaviours" }
                    @for group in BehaviourGroup::ALL { (self.group(group)) }
                    h2 #states { "States" }
                    (states(&taken))
                }
            }
        }
    }

    fn summary(&self) -> Markup {
        let with = |status| self.results.iter().filter(|result| result.status == status).count();
        let figures = BehaviourStatus::ALL.map(|status| (status, with(status)));
        html! {
            p.lead {
                @for (status, number) in figures {
                    @if number > 0 || status == BehaviourStatus::AsExpected {
                        span.figure.(status.name()) { b { (number) } " " (status.name()) } " "
                    }
                }
                "in " (words::span(self.duration)) ", observed by " code { (self.facts.backend.name()) }
                " on " (escape(&self.host.hostname)) ", " (escape(&self.facts.arch)) "."
            }
        }
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
            details.kernel {
                summary { "How this kernel is built and set" }
                div.beside {
                    (table("Sysctls of a new network namespace", &self.facts.sysctls))
                    @match &self.facts.config {
                        Some(config) => (table("Options", config)),
                        None => p { "This kernel does not show the options that it was built with." },
                    }
                }
            }
        }
    }

    fn group(&self, group: BehaviourGroup) -> Markup {
        let members: Vec<_> = self.results.iter().filter(|result| result.group == group).collect();
        html! {
            @if !members.is_empty() {
                section {
                    h3 { (group.name()) ": " (group.about()) }
                    @for result in members { (behaviour::entry(result)) }
                }
            }
        }
    }
}

/// The diagram, and the same as a list.
fn states(taken: &Taken) -> Markup {
    html! {
        p {
            "What " code { "inet_sock_set_state" } " reported of these behaviours, in the layout of RFC 9293's \
             figure 5. A number says how often a step was taken; the thicker, the oftener. Steps in grey are ones that \
             Linux has and that none of these behaviours took. TIME_WAIT has no socket that could be reported: the \
             kernel says CLOSE, and a mini-socket stays."
        }
        (diagram::svg(taken))
        details {
            summary { "Every step, and which behaviours took it" }
            table.edges {
                thead { tr { th { "step" } th { "times" } th { "behaviours" } } }
                @for edge in TCP_EDGES.iter().copied().chain(taken.strange()) {
                    tr.never[taken.times(edge) == 0] {
                        td { (edge.0) " → " (edge.1) }
                        td.number { (taken.times(edge)) }
                        td { @for id in taken.behaviours(edge) { a href={ "#" (behaviour::anchor(id)) } { (id) } " " } }
                    }
                }
            }
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
            result.says = "<script>alert(1)</script>".to_owned();
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
}
