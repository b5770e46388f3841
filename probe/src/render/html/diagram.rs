//! The state diagram: figure 5 of RFC 9293 with the transitions that Linux reports, drawn by how often each was observed.

use maud::{Markup, html};

use super::transition_counts::TransitionCounts;
use crate::model::{
    Edge,
    State::{
        self, Close, CloseWait, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent,
        TimeWait,
    },
};

/// Half the width and half the height of a box.
const HALF: (i32, i32) = (65, 18);

/// The centres of the boxes. CLOSE has two, as in the RFC: where connections open, and where they end. TIME_WAIT is never
/// reported.
const BOXES: &[(State, (i32, i32))] = &[
    (Close, (460, 40)),
    (Listen, (460, 150)),
    (SynRecv, (180, 260)),
    (SynSent, (740, 260)),
    (Established, (460, 350)),
    (FinWait1, (180, 450)),
    (CloseWait, (740, 450)),
    (Closing, (400, 540)),
    (FinWait2, (180, 590)),
    (LastAck, (740, 590)),
    (TimeWait, (180, 710)),
    (Close, (460, 710)),
];

/// The path of each transition, and the position of its number.
const ROUTES: &[(Edge, &str, (i32, i32))] = &[
    ((Close, Listen), "M445,58 L445,130", (445, 98)),
    ((Listen, Close), "M475,132 L475,60", (475, 98)),
    ((Close, SynSent), "M525,46 Q680,80 732,240", (654, 114)),
    ((SynSent, Close), "M700,242 L522,60", (610, 150)),
    ((Close, Close), "M395,28 C345,4 345,56 393,38", (353, 30)),
    ((Listen, SynRecv), "M395,160 L217,240", (305, 201)),
    ((SynRecv, Close), "M165,242 Q200,90 394,52", (240, 118)),
    ((SynSent, SynRecv), "M675,260 L247,260", (460, 260)),
    ((SynSent, Established), "M700,278 L527,339", (612, 309)),
    ((SynRecv, Established), "M220,278 L393,339", (307, 309)),
    ((SynRecv, FinWait1), "M170,278 L170,430", (170, 355)),
    ((SynRecv, CloseWait), "M245,274 Q460,470 688,469", (553, 451)),
    ((Established, FinWait1), "M410,368 L232,431", (320, 400)),
    ((Established, CloseWait), "M510,368 L688,431", (600, 400)),
    ((Established, Close), "M490,368 L490,690", (490, 620)),
    ((FinWait1, FinWait2), "M180,468 L180,570", (180, 520)),
    ((FinWait1, Closing), "M245,462 L335,522", (290, 492)),
    ((FinWait1, Close), "M225,468 L398,690", (296, 560)),
    ((FinWait2, Close), "M245,600 L393,703", (310, 645)),
    ((Closing, Close), "M405,558 L435,690", (420, 626)),
    ((CloseWait, LastAck), "M740,468 L740,570", (740, 520)),
    ((CloseWait, Close), "M700,468 L515,690", (614, 572)),
    ((LastAck, Close), "M675,600 L527,703", (604, 650)),
    ((FinWait1, FinWait1), "M115,442 C65,428 65,474 113,458", (67, 451)),
    ((FinWait2, FinWait2), "M115,582 C65,568 65,614 113,598", (67, 591)),
    ((Closing, Closing), "M350,558 C325,604 385,604 372,560", (350, 598)),
    ((LastAck, LastAck), "M805,582 C855,568 855,614 807,598", (853, 591)),
];

/// The HTML id of a transition.
pub fn anchor((old, new): Edge) -> String {
    format!("{old}-{new}")
}

/// The diagram.
pub fn svg(counts: &TransitionCounts) -> Markup {
    html! {
        svg.diagram role="group" aria-labelledby="diagram-title diagram-text" viewBox="0 0 920 745" {
            title #diagram-title { "TCP state diagram" }
            desc #diagram-text {
                "States as boxes, transitions between them as arrows. The table below has the same as text."
            }
            defs {
                @for kind in ["observed", "unobserved", "illegal"] {
                    marker id={ "head-" (kind) } .(kind) viewBox="0 0 8 8" refX="6" refY="4" markerWidth="9"
                        markerHeight="9" markerUnits="userSpaceOnUse" orient="auto" { path d="M0,0 L8,4 L0,8 z" {} }
                }
            }
            // Unobserved transitions first, so that they are below the others.
            @for (edge, route, label) in ROUTES.iter().filter(|(edge, ..)| counts.number(*edge) == 0) {
                (transition(counts, *edge, route, *label, "unobserved"))
            }
            @for (edge, route, label) in ROUTES.iter().filter(|(edge, ..)| counts.number(*edge) > 0) {
                (transition(counts, *edge, route, *label, "observed"))
            }
            @for edge in counts.illegal() {
                @if let Some((route, label)) = straight(edge) { (transition(counts, edge, &route, label, "illegal")) }
            }
            @for (state, (x, y)) in BOXES {
                g.state.hidden[*state == TimeWait] {
                    rect x=(x - HALF.0) y=(y - HALF.1) width=(2 * HALF.0) height=(2 * HALF.1) rx="6" {}
                    text x=(x) y=(y + 5) { (state) }
                    @if *state == TimeWait { title { "a mini-socket: the kernel reports CLOSE" } }
                }
            }
        }
    }
}

fn transition(counts: &TransitionCounts, edge: Edge, route: &str, (x, y): (i32, i32), kind: &str) -> Markup {
    let number = counts.number(edge);
    let by: Vec<&str> = counts.behaviours(edge).collect();
    let title = match number {
        0 => "not observed".to_owned(),
        number => format!("{number}×, by {}", by.join(", ")),
    };
    // 1 for one transition, and 0.5 more each time that the number doubles.
    let width = 1.0 + f64::from(number.checked_ilog2().unwrap_or_default().min(8)) / 2.0;
    html! {
        g.transition.(kind) {
            title { (edge.0) " → " (edge.1) ": " (title) }
            path d=(route) stroke-width=(width) marker-end={ "url(#head-" (kind) ")" } {}
            @if number > 0 { a href={ "#" (anchor(edge)) } { text x=(x) y=(y + 4) { (number) } } }
        }
    }
}

/// A straight line between two boxes, for an illegal transition, which has no route.
fn straight((old, new): Edge) -> Option<(String, (i32, i32))> {
    let centre = |state| BOXES.iter().find(|(other, _)| *other == state).map(|(_, centre)| *centre);
    let ((x1, y1), (x2, y2)) = (centre(old)?, centre(new)?);
    let (from, to) = (border((x1, y1), (x2, y2)), border((x2, y2), (x1, y1)));
    let middle = ((x1 + x2) / 2, (y1 + y2) / 2);
    Some((format!("M{},{} L{},{}", from.0, from.1, to.0, to.1), middle))
}

/// The point where the line from a box's centre to another point leaves the box.
fn border((x, y): (i32, i32), (to_x, to_y): (i32, i32)) -> (i32, i32) {
    let (dx, dy) = (f64::from(to_x - x), f64::from(to_y - y));
    let ratio = |half: i32, distance: f64| {
        if distance == 0.0 { f64::INFINITY } else { f64::from(half) / distance.abs() }
    };
    let ratio = ratio(HALF.0, dx).min(ratio(HALF.1, dy)).min(1.0);
    (x + (dx * ratio) as i32, y + (dy * ratio) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{TCP_EDGES, testing};

    #[test]
    fn every_legal_transition_has_one_route() {
        for edge in TCP_EDGES {
            assert_eq!(ROUTES.iter().filter(|(other, ..)| other == edge).count(), 1, "{edge:?}");
        }
        assert_eq!(ROUTES.len(), TCP_EDGES.len());
    }

    #[test]
    fn every_reported_state_has_a_box() {
        for (old, new) in TCP_EDGES {
            assert!([old, new].into_iter().all(|state| BOXES.iter().any(|(other, _)| other == state)));
        }
    }

    #[test]
    fn unobserved_and_illegal_transitions_are_marked() {
        let mut results = testing::results();
        let text = svg(&TransitionCounts::of(&results)).into_string();
        assert!(text.contains("CLOSE → SYN_SENT: 2×, by open/simultaneous"), "{text}");
        assert!(text.contains("CLOSE → LISTEN: not observed"), "{text}");
        assert!(!text.contains("transition illegal"), "{text}");
        results[0].transitions[0].1.new = Established;
        let text = svg(&TransitionCounts::of(&results)).into_string();
        assert!(text.contains("transition illegal") && text.contains("CLOSE → ESTABLISHED: 1×"), "{text}");
    }

    #[test]
    fn lines_end_at_the_borders_of_boxes() {
        assert_eq!(border((100, 100), (100, 300)), (100, 118));
        assert_eq!(border((100, 100), (300, 100)), (165, 100));
        assert_eq!(border((100, 100), (101, 100)), (101, 100));
    }
}
