//! Fills the measured tables of a page: each stands between `<!-- bench: NAME -->` and `<!-- /bench -->`, on lines of
//! their own. NAME is a scenario, or a scenario with some of its columns and rows:
//! `throughput: kept T1, lost; probe json, tcpstates`.

use anyhow::{Context as _, Result};

const BEGIN: &str = "<!-- bench: ";
const BEGIN_CLOSES: &str = " -->\n";
const END: &str = "<!-- /bench -->";

/// Returns the page with new content in every place for which there is some; the others stay unchanged.
///
/// # Errors
/// A place has no end.
pub fn fill(page: &str, content: impl Fn(&str) -> Option<String>) -> Result<String> {
    let mut filled = String::new();
    let mut rest = page;
    while let Some(begin) = rest.find(BEGIN) {
        let after = &rest[begin + BEGIN.len()..];
        let (name, body) = after.split_once(BEGIN_CLOSES).context("a `<!-- bench:` has no end of line")?;
        let end = body.find(END).with_context(|| format!("`{name}` has no {END}"))?;
        let head = &rest[..begin + BEGIN.len() + name.len() + BEGIN_CLOSES.len()];
        filled.push_str(head);
        // Markdown needs an empty line before and after a table.
        filled.push_str(&content(name).map_or_else(|| body[..end].to_owned(), |text| format!("\n{text}\n")));
        filled.push_str(END);
        rest = &body[end + END.len()..];
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Splits a place's name into the scenario, the columns and the rows; none means all.
pub fn parts(name: &str) -> (&str, Vec<&str>, Vec<&str>) {
    let (scenario, selection) = name.split_once(':').unwrap_or((name, ""));
    let (columns, rows) = selection.split_once(';').unwrap_or((selection, ""));
    (scenario, list(columns), list(rows))
}

fn list(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::{fill, parts};

    fn filled(page: &str) -> anyhow::Result<String> {
        fill(page, |name| (name == "open").then(|| "| new |\n".to_owned()))
    }

    #[test]
    fn places_are_filled_and_the_rest_stays() {
        let page = "a\n<!-- bench: open -->\n\n| old |\n\n<!-- /bench -->\nb\n\
                    <!-- bench: other -->\nkept\n<!-- /bench -->\nc\n";
        let expected = "a\n<!-- bench: open -->\n\n| new |\n\n<!-- /bench -->\nb\n\
                        <!-- bench: other -->\nkept\n<!-- /bench -->\nc\n";
        assert_eq!(filled(page).unwrap(), expected);
        assert_eq!(filled(expected).unwrap(), expected);
    }

    #[test]
    fn a_place_without_an_end_is_rejected() {
        assert!(filled("<!-- bench: open -->\n| old |\n").is_err());
    }

    #[test]
    fn a_name_may_select_columns_and_rows() {
        assert_eq!(parts("open"), ("open", vec![], vec![]));
        assert_eq!(
            parts("throughput: kept T1, lost; probe json"),
            ("throughput", vec!["kept T1", "lost"], vec!["probe json"])
        );
    }
}
