//! The `probe` commands in a page.
//!
//! A command in a code block is one that can be typed: the parser must accept it. In running text a command may have
//! placeholders, so its subcommand, its flags and the values of flags that have a fixed set are looked up instead.

use clap::{Arg, Command, CommandFactory as _, Parser as _, error::ErrorKind};
use probe::cli::Cli;

use super::page::{Block, Page};

/// Flags in the pages that belong to other programs: cargo, `cargo xtask`, Debian's tools.
const FOREIGN: &[&str] = &[
    "--all-targets",
    "--bless",
    "--group-add",
    "--kvm",
    "--only",
    "--peers",
    "--probe",
    "--publish",
    "--rounds",
    "--scenario",
    "--unprivileged",
];

/// The languages of blocks that hold commands.
const SHELLS: &[&str] = &["console", "sh"];

/// The commands and flags that the program does not have.
pub fn violations(page: &Page) -> Vec<String> {
    let mut cli = Cli::command();
    cli.build();
    let mut violations = Vec::new();
    for block in page.blocks.iter().filter(|block| SHELLS.contains(&block.language())) {
        for command in commands(block) {
            for error in probes(&command).filter_map(|words| rejected(&words)) {
                violations.push(format!("{}: {command}\n  {error}", page.at(block.range.start)));
            }
        }
    }
    for code in &page.code {
        let mut words = code.text.split_whitespace();
        let error = match words.next() {
            Some("probe") => unknown(&cli, &words.collect::<Vec<_>>()),
            Some(flag) if flag.starts_with("--") && flag.len() > 2 => {
                let known = cli.get_subcommands().any(|command| argument(command, flag).is_some());
                let known = known || FOREIGN.contains(&flag) || argument(&cli, flag).is_some();
                (!known).then(|| format!("no command has {flag}"))
            }
            _ => None,
        };
        violations.extend(error.map(|error| format!("{}: `{}`: {error}", page.at(code.at), code.text)));
    }
    violations
}

/// The commands of a block: in a console those behind a prompt, else every line.
pub fn commands(block: &Block) -> Vec<String> {
    let lines = block.text.replace("\\\n", " ");
    let is_console = block.language() == "console";
    let commands = lines.lines().filter_map(|line| match is_console {
        true => line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")),
        false => Some(line).filter(|line| !line.starts_with('#')),
    });
    commands.map(str::to_owned).collect()
}

/// The calls of `probe` in a command line, as words.
fn probes(line: &str) -> impl Iterator<Item = Vec<String>> {
    let calls = line.split(['|', ';', '&']).map(words).collect::<Vec<_>>();
    calls.into_iter().filter_map(|mut words| {
        let named = |word: &String| word == "probe" || word.ends_with("/probe") && !word.contains('=');
        let at = words.iter().position(named)?;
        let before = words.drain(..at).all(|word| word == "sudo" || word.contains('='));
        before.then_some(words)
    })
}

/// The words of a call, without redirections. Quotes keep blanks.
fn words(call: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut quote = None;
    let mut word: Option<String> = None;
    for c in call.chars() {
        match (c, quote) {
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            ('>' | '#', None) => break,
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Why the parser does not accept this call.
fn rejected(words: &[String]) -> Option<String> {
    let error = Cli::try_parse_from(words).err()?;
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    (!is_help).then(|| error.to_string())
}

/// What of a call in running text does not exist.
fn unknown(cli: &Command, words: &[&str]) -> Option<String> {
    let (name, rest) = words.split_first()?;
    if name.starts_with('-') {
        return argument(cli, name).is_none().then(|| format!("no flag {name}"));
    }
    if name.contains(['…', '[']) || name.chars().all(char::is_uppercase) {
        return None;
    }
    let Some(command) = cli.find_subcommand(name) else { return Some(format!("no command {name}")) };
    let mut words = rest.iter().take_while(|word| **word != "--").peekable();
    while let Some(word) = words.next() {
        let word = word.trim_matches(['[', ']', '(', ')', '…']);
        if !word.starts_with('-') || word == "-" {
            continue;
        }
        let (flag, value) = word.split_once('=').map_or((word, None), |(flag, value)| (flag, Some(value)));
        let Some(argument) = argument(command, flag) else { return Some(format!("{name} has no {flag}")) };
        let value = value.or_else(|| words.peek().copied().copied());
        let known = argument.get_possible_values();
        let wrong =
            value.filter(|_| argument.get_action().takes_values() && !known.is_empty()).and_then(|value| {
                let mut each = value
                    .split([',', '|'])
                    .filter(|one| one.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
                each.find(|one| !known.iter().any(|known| known.matches(one, false)))
            });
        if let Some(wrong) = wrong {
            return Some(format!("{flag} does not take {wrong}"));
        }
    }
    None
}

fn argument<'a>(command: &'a Command, flag: &str) -> Option<&'a Arg> {
    let short =
        flag.strip_prefix('-').filter(|short| short.len() == 1).and_then(|short| short.chars().next());
    let long = flag.strip_prefix("--");
    command.get_arguments().find(|argument| {
        long.is_some() && argument.get_long() == long || short.is_some() && argument.get_short() == short
    })
}
