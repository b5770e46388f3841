//! The places in the project's pages where measured tables stand: between `<!-- bench: NAME -->` and `<!-- /bench -->`,
//! each on a line of its own.

use anyhow::{Context as _, Result};

const BEGIN: &str = "<!-- bench: ";
const BEGIN_CLOSES: &str = " -->\n";
const END: &str = "<!-- /bench -->";

/// The page with every place filled for whose name there is content; the others stay as they are.
///
/// # Errors
/// A place does not end.
pub fn fill(page: &str, content: impl Fn(&str) -> Option<String>) -> Result<String> {
    let mut filled = String::new();
    let mut rest = page;
    while let Some(begin) = rest.find(BEGIN) {
        let after = &rest[begin + BEGIN.len()..];
        let (name, body) = after.split_once(BEGIN_CLOSES).context("a `<!-- bench:` has no end of line")?;
        let end = body.find(END).with_context(|| format!("`{name}` has no {END}"))?;
        let head = &rest[..begin + BEGIN.len() + name.len() + BEGIN_CLOSES.len()];
        filled.push_str(head);
        // An empty line around it makes a table of it.
        filled.push_str(&content(name).map_or_else(|| body[..end].to_owned(), |text| format!("\n{text}\n")));
        filled.push_str(END);
        rest = &body[end + END.len()..];
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::fill;

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
    fn a_place_that_does_not_end_is_refused() {
        assert!(filled("<!-- bench: open -->\n| old |\n").is_err());
    }
}
