//! The sequence diagram of a behaviour: the packets on the emulated link between two endpoints, and the states of the sockets
//! at both; time runs downwards.

mod layout;

use maud::{Markup, html};

use self::layout::{PacketArrow, SequenceLayout, StateMark};
use crate::{
    model::{BehaviourResult, Fate, Origin, Packet, Side, escape},
    render::table::format,
};

/// The width of the diagram.
const WIDTH: i32 = 860;
/// The x coordinates of the two endpoints' lifelines.
const LIFELINES: [i32; 2] = [250, 610];
/// The y coordinate of the first row, and the height of a row.
const TOP: i32 = 50;
const ROW: i32 = 19;

/// A packet that takes longer is labelled with its delay.
const USUAL_DELAY: std::time::Duration = std::time::Duration::from_millis(10);

fn x(side: Side) -> i32 {
    LIFELINES[side as usize]
}

/// The direction away from the middle.
fn outwards(side: Side) -> i32 {
    if side == Side::A { -1 } else { 1 }
}

fn y(row: usize) -> i32 {
    TOP + ROW * i32::try_from(row).unwrap_or(i32::MAX / ROW / 2)
}

/// The diagram.
pub fn svg(result: &BehaviourResult) -> Markup {
    let layout = SequenceLayout::of(result);
    let height = y(layout.height) + 10;
    let anchor = super::behaviour::anchor(&result.id);
    html! {
        figure {
            svg.sequence role="img" aria-labelledby={ (anchor) "-title " (anchor) "-text" }
                viewBox={ "0 0 " (WIDTH) " " (height) } {
                title id={ (anchor) "-title" } { "Packets and states of " (result.id) }
                desc id={ (anchor) "-text" } { (escape(&packets_as_text(&layout))) }
                defs {
                    marker id={ "tip-" (anchor) } .tip viewBox="0 0 8 8" refX="7" refY="4"
                        markerWidth="8" markerHeight="8" orient="auto" { path d="M0,0 L8,4 L0,8 z" {} }
                }
                @for side in Side::BOTH {
                    line.lifeline x1=(x(side)) y1="28" x2=(x(side)) y2=(height - 4) {}
                    text.endpoint x=(x(side)) y="18" { (side) " · " (layout.names[side as usize]) }
                }
                @for pause in &layout.pauses {
                    line.pause x1=(LIFELINES[0] - 40) y1=(y(pause.row)) x2=(LIFELINES[1] + 40) y2=(y(pause.row)) {}
                    text.pause x=((LIFELINES[0] + LIFELINES[1]) / 2) y=(y(pause.row) + 4) { (pause.time) " later" }
                }
                @for arrow in &layout.arrows { (packet(result, arrow)) }
                @for arrow in &layout.arrows { (lost(arrow)) }
                @for mark in &layout.states { (state(mark)) }
            }
            @if layout.omitted > 0 {
                figcaption { (format::count(layout.omitted as u64, "more packet is", "more packets are")) " omitted" }
            }
        }
    }
}

/// The packets in order, as text for a screen reader.
fn packets_as_text(layout: &SequenceLayout<'_>) -> String {
    let packets = layout.arrows.iter().map(|PacketArrow { packet, .. }| {
        format!("{} to {}: {}", packet.from, packet.from.peer(), label(packet))
    });
    packets.collect::<Vec<_>>().join("; ")
}

/// A state that a socket entered.
fn state(mark: &StateMark<'_>) -> Markup {
    let side = mark.side;
    let anchor = if side == Side::A { "end" } else { "start" };
    html! {
        g.entered {
            title { (mark.old) " → " (mark.new) ", " (escape(&mark.cause)) }
            circle cx=(x(side)) cy=(y(mark.row)) r="3.5" {}
            text x=(x(side) + 10 * outwards(side)) y=(y(mark.row) + 4) text-anchor=(anchor) {
                tspan.label { (escape(mark.label)) " " } (mark.new) tspan.time { " " (mark.time) }
            }
        }
    }
}

/// A packet: an arrow to the other endpoint, or to where it was lost.
fn packet(result: &BehaviourResult, arrow: &PacketArrow<'_>) -> Markup {
    let packet = arrow.packet;
    let kind = match packet.fate {
        Fate::Delivered { .. } => "delivered",
        Fate::Dropped => "dropped",
        Fate::Refused(_) => "refused",
        Fate::Held | Fate::Travelling => "unfinished",
    };
    let (start, end, text) = (point(arrow, 0.0), point(arrow, length(arrow)), point(arrow, 0.28));
    let tip = format!("url(#tip-{})", super::behaviour::anchor(&result.id));
    html! {
        g.packet.(kind).made[packet.origin != Origin::Sent] {
            title { (packet) }
            line x1=(start.0) y1=(start.1) x2=(end.0) y2=(end.1) marker-end=[(!is_lost(packet)).then_some(tip)] {}
            text x=(text.0) y=(text.1 - 5) { (label(packet)) }
        }
    }
}

/// The cross at the end of a lost packet, drawn above everything else.
fn lost(arrow: &PacketArrow<'_>) -> Markup {
    html! {
        @if is_lost(arrow.packet) { path.cross d=(cross(point(arrow, length(arrow)))) {} }
    }
}

fn is_lost(packet: &Packet) -> bool {
    matches!(packet.fate, Fate::Dropped | Fate::Refused(_))
}

/// The part of the way to the other endpoint that the packet got.
fn length(arrow: &PacketArrow<'_>) -> f64 {
    if arrow.has_arrived { 1.0 } else { 0.6 }
}

/// A point on the arrow of a packet.
fn point(arrow: &PacketArrow<'_>, part: f64) -> (i32, i32) {
    let (from, to) = (x(arrow.packet.from), x(arrow.packet.from.peer()));
    let (y1, y2) = (y(arrow.sent), y(arrow.ended));
    (from + (f64::from(to - from) * part) as i32, y1 + (f64::from(y2 - y1) * part) as i32)
}

fn cross((x, y): (i32, i32)) -> String {
    format!("M{},{} l10,10 m0,-10 l-10,10", x - 5, y - 5)
}

/// The content of a packet, and what is unusual about it.
fn label(packet: &Packet) -> String {
    let mut parts = match &packet.segment {
        Some(segment) if segment.has_data() => {
            vec![segment.flags.to_string(), format!("{} bytes", segment.payload)]
        }
        Some(segment) => vec![segment.flags.to_string()],
        None => vec![packet.foreign()],
    };
    match packet.origin {
        Origin::Sent => {}
        Origin::Injected => parts.push("(injected)".to_owned()),
        Origin::Copy(_) => parts.push("(duplicate)".to_owned()),
    }
    match packet.fate {
        Fate::Delivered { before, .. } if before.since(packet.sent) > USUAL_DELAY => {
            parts.push(format!("(after {})", format::duration(before.since(packet.sent))));
        }
        Fate::Delivered { .. } => {}
        Fate::Refused(errno) => parts.push(format!("({errno})")),
        // The behaviour ended before the packet was delivered.
        Fate::Travelling => parts.push("(in flight)".to_owned()),
        fate @ (Fate::Held | Fate::Dropped) => parts.push(format!("({fate})")),
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Errno, testing};

    #[test]
    fn a_simultaneous_open_is_drawn_from_top_to_bottom() {
        let text = svg(&testing::results()[0]).into_string();
        insta::assert_snapshot!("simultaneous", text.replace("><", ">\n<"));
    }

    #[test]
    fn unusual_fates_and_origins_are_labelled() {
        let mut packet = testing::results()[0].packets[1].clone();
        assert_eq!(label(&packet), "SYN");
        packet.fate = Fate::Held;
        assert_eq!(label(&packet), "SYN (held)");
        packet.fate = Fate::Refused(Errno::ECONNRESET);
        packet.origin = Origin::Injected;
        assert_eq!(label(&packet), "SYN (injected) (ECONNRESET)");
        packet.fate = Fate::Delivered { before: packet.sent.after(USUAL_DELAY * 3), after: packet.sent };
        packet.origin = Origin::Copy(0);
        assert_eq!(label(&packet), "SYN (duplicate) (after 30 ms)");
        packet.segment = None;
        assert!(label(&packet).starts_with("4 bytes, not TCP"));
    }
}
