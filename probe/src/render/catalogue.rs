//! The behaviours that an audit knows, for a terminal: what happens in each, and what it asks of the host.

use std::io::{self, Write};

use super::{
    audit::heading,
    style::{Style, Tone},
    table::grid::Grid,
};
use crate::model::BehaviourGroup;

/// A behaviour, before it is played.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The slug.
    pub id: &'static str,
    /// What happens, in one sentence.
    pub description: &'static str,
    /// The part of the catalogue.
    pub group: BehaviourGroup,
    /// What it asks of the host.
    pub needs: Vec<String>,
}

/// Writes them by group, in their order.
///
/// # Errors
/// Whatever `out` returns.
pub fn list(behaviours: &[Listed], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let widest = behaviours.iter().map(|listed| listed.id.len()).max().unwrap_or_default();
    for (place, members) in behaviours.chunk_by(|one, next| one.group == next.group).enumerate() {
        if place > 0 {
            writeln!(out)?;
        }
        heading(members[0].group, style, out)?;
        let mut grid = Grid::new(style).whole(&[0]);
        for Listed { id, description, needs, .. } in members {
            let text = match needs.is_empty() {
                true => (*description).to_owned(),
                false => format!("{description} (needs {})", needs.join(", ")),
            };
            grid.row([(Tone::Plain, format!("{id:widest$}")), (Tone::Plain, text)]);
        }
        grid.write(out)?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(width: usize) -> String {
        let listed = |id, description, group, needs: &[&str]| Listed {
            id,
            description,
            group,
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        };
        let behaviours = [
            listed("open/refused", "a client connects where nobody listens", BehaviourGroup::Open, &[]),
            listed(
                "open/timeout",
                "nobody answers the SYN, which is sent again",
                BehaviourGroup::Open,
                &["wire", "net.ipv4.tcp_syn_retries"],
            ),
            listed("close/simultaneous", "two FINs cross", BehaviourGroup::Close, &["wire"]),
        ];
        let mut out = Vec::new();
        list(&behaviours, Style { width, colour: false }, &mut out).expect("memory takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_is_needed_follows() {
        insta::assert_snapshot!("80", shown(80));
        insta::assert_snapshot!("140", shown(140));
    }
}
