//! What a wire carried, and what it did to the sockets at both ends: time runs down, packets run across.

mod layout;

use maud::{Markup, html};

use self::layout::{PacketArrow, SequenceLayout, StateMark};
use crate::{
    model::{BehaviourResult, Fate, Origin, Packet, Side, escape},
    render::table::words,
};

/// The width of the drawing, and where the two ends' lines are.
const WIDTH: i32 = 860;
const LINES: [i32; 2] = [250, 610];
/// What comes first, and from one thing that happens to the next.
const TOP: i32 = 50;
const STEP: i32 = 19;

/// How long a packet takes at most that nothing held back; that it took longer is told.
const HELD_BACK: std::time::Duration = std::time::Duration::from_millis(10);

fn x(side: Side) -> i32 {
    LINES[side as usize]
}

/// Away from the middle.
fn outwards(side: Side) -> i32 {
    if side == Side::A { -1 } else { 1 }
}

fn y(row: usize) -> i32 {
    TOP + STEP * i32::try_from(row).unwrap_or(i32::MAX / STEP / 2)
}

/// The drawing.
pub fn svg(result: &BehaviourResult) -> Markup {
    let course = SequenceLayout::of(result);
    let height = y(course.height) + 10;
    let anchor = super::behaviour::anchor(&result.id);
    html! {
        figure {
            svg.sequence role="img" aria-labelledby={ (anchor) "-title " (anchor) "-words" }
                viewBox={ "0 0 " (WIDTH) " " (height) } {
                title id={ (anchor) "-title" } { "Packets and states of " (result.id) }
                desc id={ (anchor) "-words" } { (escape(&in_words(&course))) }
                defs {
                    marker id={ "tip-" (anchor) } .tip viewBox="0 0 8 8" refX="7" refY="4"
                        markerWidth="8" markerHeight="8" orient="auto" { path d="M0,0 L8,4 L0,8 z" {} }
                }
                @for side in Side::BOTH {
                    line.life x1=(x(side)) y1="28" x2=(x(side)) y2=(height - 4) {}
                    text.end x=(x(side)) y="18" { (side) " · " (course.names[side as usize]) }
                }
                @for pause in &course.pauses {
                    line.pause x1=(LINES[0] - 40) y1=(y(pause.row)) x2=(LINES[1] + 40) y2=(y(pause.row)) {}
                    text.pause x=((LINES[0] + LINES[1]) / 2) y=(y(pause.row) + 4) { (pause.time) " later" }
                }
                @for crossing in &course.crossings { (packet(result, crossing)) }
                @for crossing in &course.crossings { (lost(crossing)) }
                @for moment in &course.moments { (state(moment)) }
            }
            @if course.left_out > 0 {
                figcaption { (words::count(course.left_out as u64, "packet", "packets")) " more are left out" }
            }
        }
    }
}

/// The packets, one after the other, for those who do not see them.
fn in_words(course: &SequenceLayout<'_>) -> String {
    let packets = course.crossings.iter().map(|crossing| {
        let PacketArrow { packet, .. } = crossing;
        format!("{} to {}: {}", packet.from, packet.from.peer(), words_of(packet))
    });
    packets.collect::<Vec<_>>().join("; ")
}

/// A state that a socket entered.
fn state(moment: &StateMark<'_>) -> Markup {
    let side = moment.side;
    let anchor = if side == Side::A { "end" } else { "start" };
    html! {
        g.entered {
            title { (moment.old) " → " (moment.new) ", " (escape(&moment.cause)) }
            circle cx=(x(side)) cy=(y(moment.row)) r="3.5" {}
            text x=(x(side) + 10 * outwards(side)) y=(y(moment.row) + 4) text-anchor=(anchor) {
                tspan.label { (escape(moment.label)) " " } (moment.new) tspan.time { " " (moment.time) }
            }
        }
    }
}

/// A packet: an arrow to the other end, as far as it came.
fn packet(result: &BehaviourResult, crossing: &PacketArrow<'_>) -> Markup {
    let packet = crossing.packet;
    let kind = match packet.fate {
        Fate::Delivered { .. } => "delivered",
        Fate::Dropped => "dropped",
        Fate::Refused(_) => "refused",
        Fate::Held | Fate::Travelling => "unfinished",
    };
    let (start, end, label) = (at(crossing, 0.0), at(crossing, reach(crossing)), at(crossing, 0.28));
    let tip = format!("url(#tip-{})", super::behaviour::anchor(&result.id));
    html! {
        g.packet.(kind).made[packet.origin != Origin::Sent] {
            title { (packet) }
            line x1=(start.0) y1=(start.1) x2=(end.0) y2=(end.1) marker-end=[(!is_lost(packet)).then_some(tip)] {}
            text x=(label.0) y=(label.1 - 5) { (words_of(packet)) }
        }
    }
}

/// The end of a packet that nobody got. It lies over what comes after.
fn lost(crossing: &PacketArrow<'_>) -> Markup {
    html! {
        @if is_lost(crossing.packet) { path.cross d=(cross(at(crossing, reach(crossing)))) {} }
    }
}

fn is_lost(packet: &Packet) -> bool {
    matches!(packet.fate, Fate::Dropped | Fate::Refused(_))
}

/// How far across it came.
fn reach(crossing: &PacketArrow<'_>) -> f64 {
    if crossing.has_arrived { 1.0 } else { 0.6 }
}

/// Where on its way a packet is.
fn at(crossing: &PacketArrow<'_>, part: f64) -> (i32, i32) {
    let (from, to) = (x(crossing.packet.from), x(crossing.packet.from.peer()));
    let (y1, y2) = (y(crossing.sent), y(crossing.ended));
    (from + (f64::from(to - from) * part) as i32, y1 + (f64::from(y2 - y1) * part) as i32)
}

fn cross((x, y): (i32, i32)) -> String {
    format!("M{},{} l10,10 m0,-10 l-10,10", x - 5, y - 5)
}

/// What is in a packet, and what is unusual about it.
fn words_of(packet: &Packet) -> String {
    let mut words = match &packet.segment {
        Some(segment) if segment.has_data() => {
            vec![segment.flags.to_string(), format!("{} bytes", segment.payload)]
        }
        Some(segment) => vec![segment.flags.to_string()],
        None => vec![packet.foreign()],
    };
    match packet.origin {
        Origin::Sent => {}
        Origin::Injected => words.push("(made up)".to_owned()),
        Origin::Copy(_) => words.push("(a copy)".to_owned()),
    }
    match packet.fate {
        Fate::Delivered { before, .. } if before.since(packet.sent) > HELD_BACK => {
            words.push(format!("(after {})", words::span(before.since(packet.sent))));
        }
        Fate::Delivered { .. } => {}
        Fate::Refused(errno) => words.push(format!("({errno})")),
        // The steps ended before it came there.
        Fate::Travelling => words.push("(under way)".to_owned()),
        fate @ (Fate::Held | Fate::Dropped) => words.push(format!("({fate})")),
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Errno, testing};

    #[test]
    fn a_simultaneous_open_reads_from_top_to_bottom() {
        let text = svg(&testing::results()[0]).into_string();
        insta::assert_snapshot!("simultaneous", text.replace("><", ">\n<"));
    }

    #[test]
    fn each_fate_and_origin_is_told() {
        let mut packet = testing::results()[0].packets[1].clone();
        assert_eq!(words_of(&packet), "SYN");
        packet.fate = Fate::Held;
        assert_eq!(words_of(&packet), "SYN (held)");
        packet.fate = Fate::Refused(Errno::ECONNRESET);
        packet.origin = Origin::Injected;
        assert_eq!(words_of(&packet), "SYN (made up) (ECONNRESET)");
        packet.fate = Fate::Delivered { before: packet.sent.after(HELD_BACK * 3), after: packet.sent };
        packet.origin = Origin::Copy(0);
        assert_eq!(words_of(&packet), "SYN (a copy) (after 30 ms)");
        packet.segment = None;
        assert!(words_of(&packet).starts_with("4 bytes, not TCP"));
    }
}
