//! Lists the behaviours of the audit's catalogue, with what each requires of the host.

use std::io::{self, Write};

use super::{
    audit::heading,
    style::{Role, Style},
    table::text_table::TextTable,
};
use crate::model::BehaviourGroup;

/// A behaviour of the catalogue.
#[derive(Clone, Debug)]
pub struct CatalogueEntry {
    /// The identifier.
    pub id: &'static str,
    /// What happens, in one sentence.
    pub description: &'static str,
    /// The group.
    pub group: BehaviourGroup,
    /// The requirements on the host.
    pub needs: Vec<String>,
}

/// Writes the behaviours by group, in their order.
///
/// # Errors
/// Whatever `out` returns.
pub fn list(behaviours: &[CatalogueEntry], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let widest = behaviours.iter().map(|entry| entry.id.len()).max().unwrap_or_default();
    for (index, members) in behaviours.chunk_by(|a, b| a.group == b.group).enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        heading(members[0].group, style, out)?;
        let mut table = TextTable::new(style).no_wrap(&[0]);
        for CatalogueEntry { id, description, needs, .. } in members {
            let text = match needs.is_empty() {
                true => (*description).to_owned(),
                false => format!("{description} (needs {})", needs.join(", ")),
            };
            table.row([(Role::Plain, format!("{id:widest$}")), (Role::Plain, text)]);
        }
        table.write(out)?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(width: usize) -> String {
        let entry = |id, description, group, needs: &[&str]| CatalogueEntry {
            id,
            description,
            group,
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        };
        let behaviours = [
            entry(
                "open/refused",
                "a client connects to a port without a listener",
                BehaviourGroup::Open,
                &[],
            ),
            entry(
                "open/timeout",
                "the SYN is not answered and retransmitted",
                BehaviourGroup::Open,
                &["wire", "net.ipv4.tcp_syn_retries"],
            ),
            entry("close/simultaneous", "two FINs cross", BehaviourGroup::Close, &["wire"]),
        ];
        let mut out = Vec::new();
        list(&behaviours, Style { width, colour: false }, &mut out).expect("a Vec accepts every write");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn requirements_follow_the_description() {
        insta::assert_snapshot!("80", shown(80));
        insta::assert_snapshot!("140", shown(140));
    }
}
