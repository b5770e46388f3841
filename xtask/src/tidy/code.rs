//! Just enough Rust lexing to separate code from comments and literals.

/// A source file without comments and the contents of literals; line breaks remain.
pub fn code_of(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => string(rest),
            'r' if !code.ends_with(is_word) => raw_string(rest),
            '\'' => character(rest),
            _ => 0,
        };
        let (left_out, after) = rest.split_at(skipped);
        code.extend(left_out.chars().filter(|c| *c == '\n'));
        rest = after;
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    code
}

/// The words of code with their line numbers, from 1.
pub fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(code.lines()).flat_map(|(line, text)| text.split(|c| !is_word(c)).map(move |word| (line, word)))
}

/// The crate's top-level modules that code uses: what follows `crate::`, including in a `use` group.
pub fn modules_named(code: &str) -> Vec<&str> {
    let mut modules = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        let after = &code[at + path.len()..];
        match after.strip_prefix('{') {
            None => modules.push(leading_word(after)),
            Some(group) => modules.extend(first_words(group)),
        }
    }
    modules
}

/// The first word of each item of a `use` group, given the text after its opening brace.
fn first_words(group: &str) -> Vec<&str> {
    let mut words = vec![leading_word(group.trim_start())];
    let mut depth = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => words.push(leading_word(group[at + 1..].trim_start())),
            _ => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn leading_word(text: &str) -> &str {
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of the (possibly nested) block comment at the start of the text.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    for (at, _) in text.char_indices() {
        if text[at..].starts_with("/*") {
            depth += 1;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            if depth == 0 {
                return at + 2;
            }
        }
    }
    text.len()
}

/// The length of the string literal at the start of the text.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of the raw string at the start of the text; 0 if there is none.
fn raw_string(text: &str) -> usize {
    let hashes = text[1..].len() - text[1..].trim_start_matches('#').len();
    let open = 1 + hashes;
    if !text[open..].starts_with('"') {
        return 0;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    text[open + 1..].find(&close).map_or(text.len(), |at| open + 1 + at + close.len())
}

/// The length of the character literal at the start of the text; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((escaped, _))) => {
            let after = escaped + 1;
            text[after..].find('\'').map_or(text.len(), |at| after + at + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{code_of, modules_named, words};

    #[track_caller]
    fn check(source: &str, expected: &str) {
        assert_eq!(code_of(source), expected);
    }

    #[test]
    fn comments_are_removed() {
        check("a // b\nc", "a \nc");
        check("/// doc\nfn f() {}", "\nfn f() {}");
        check("a /* b /* c */\n d */ e", "a \n e");
    }

    #[test]
    fn literals_are_removed() {
        check(r#"f("unsafe \" x", b"y") + 1"#, "f(, b) + 1");
        check("f(r#\"a \"b\" c\"#, r\"d\")", "f(, )");
        check(r"match c { '\'' => 1, '\u{41}' => 2, '/' => 3 }", "match c {  => 1,  => 2,  => 3 }");
    }

    #[test]
    fn lifetimes_and_names_are_code() {
        check("fn f<'a>(x: &'a str, r: u8) {}", "fn f<'a>(x: &'a str, r: u8) {}");
        check("for r in other {}", "for r in other {}");
    }

    #[test]
    fn words_carry_their_lines() {
        let found: Vec<_> = words("use a::b_c;\n\nlet x").filter(|(_, word)| !word.is_empty()).collect();
        assert_eq!(found, [(1, "use"), (1, "a"), (1, "b_c"), (3, "let"), (3, "x")]);
    }

    #[test]
    fn modules_are_found_in_paths_and_groups() {
        assert_eq!(modules_named("crate::model::Event; x"), ["model"]);
        assert_eq!(modules_named("use crate::{\n    a::{b, c},\n    d,\n};\nuse e;"), ["a", "d"]);
    }
}
