//! Commands in a page, and the output printed below them.
//!
//! In a `console` block, a command that needs no root is run as it stands, and what follows it is its output. Where the
//! block shows something else, an HTML comment right above it says how to make it:
//!
//! - `<!-- sample: COMMAND -->`: the output is that of COMMAND, which needs no root; a first line `$ …` stays
//! - `<!-- live -->`: the commands need root and a kernel; they run only where DOCS_LIVE is set

use std::{env, path::Path, process::Command};

use super::{
    command,
    page::{Block, Page},
};
use crate::support::PROGRAM;

/// The width of tables in the pages.
const COLUMNS: &str = "118";

/// What needs neither root nor a kernel; of `audit` and `run`, only the lists.
const OFFLINE: &[&str] = &["completions", "diff", "help", "man", "replay", "schema"];

/// Programs that may stand behind a pipe.
const FILTERS: &[&str] = &["grep", "head", "sed", "sort", "tail", "wc"];

/// The page with the output of every sample as it is now; of live ones, where DOCS_LIVE asks for them.
pub fn refreshed(page: &Page) -> String {
    filled(page, env::var_os("DOCS_LIVE").is_some())
}

/// The page with the output of every sample that needs no root as it is now.
pub fn refreshed_offline(page: &Page) -> String {
    filled(page, false)
}

fn filled(page: &Page, live: bool) -> String {
    let mut text = page.text.clone();
    for block in page.blocks.iter().rev() {
        if let Some(current) = current(block, live) {
            text.replace_range(block.range.clone(), &current);
        }
    }
    text
}

/// Blocks that show output which no test makes again.
pub fn unverifiable(page: &Page) -> Vec<String> {
    let shows_output = |block: &&Block| {
        let lines: Vec<&str> = block.text.lines().collect();
        block.language() == "console" && lines.iter().any(|line| !line.starts_with("$ "))
    };
    let unverified = page.blocks.iter().filter(shows_output).filter(|block| {
        how(block) == How::AsItStands && !command::commands(block).iter().all(|line| is_offline(line))
    });
    unverified
        .map(|block| format!("{}: no comment says how this is made", page.at(block.range.start)))
        .collect()
}

/// How a block's output is made.
#[derive(PartialEq)]
enum How<'a> {
    By(&'a str),
    Live,
    AsItStands,
}

fn how(block: &Block) -> How<'_> {
    match block.comment.as_deref() {
        Some("live") => How::Live,
        Some(comment) => comment.strip_prefix("sample: ").map_or(How::AsItStands, How::By),
        None => How::AsItStands,
    }
}

/// The block's lines as they are now, where they can be made.
fn current(block: &Block, live: bool) -> Option<String> {
    match how(block) {
        How::By(command) => {
            assert!(is_offline(command), "a sample needs no root: {command}");
            let prompt = block.text.lines().next().filter(|line| line.starts_with("$ "));
            let prompt = prompt.map(|line| format!("{line}\n")).unwrap_or_default();
            Some(prompt + &run(command, 0).0)
        }
        How::Live => live.then(|| console(block)),
        How::AsItStands => {
            let commands = command::commands(block);
            let is_sample = block.language() == "console" && !commands.is_empty();
            (is_sample && commands.iter().all(|line| is_offline(line))).then(|| console(block))
        }
    }
}

/// Each command of a console with its output.
fn console(block: &Block) -> String {
    let mut text = String::new();
    let mut code = 0;
    for command in block.text.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let output;
        (output, code) = run(command.trim_start_matches("sudo "), code);
        text += &format!("$ {command}\n{output}");
    }
    text
}

/// Whether a command line can be run anywhere, with files of the repository.
fn is_offline(line: &str) -> bool {
    let mut calls = line.split(" | ").map(|call| call.split_whitespace().collect::<Vec<_>>());
    let is_first = match calls.next().as_deref() {
        Some(["echo", "$?"]) => true,
        Some(["probe", arguments @ ..]) => is_offline_call(arguments),
        _ => false,
    };
    is_first && calls.all(|call| call.first().is_some_and(|program| FILTERS.contains(program)))
}

fn is_offline_call(arguments: &[&str]) -> bool {
    let Some((command, rest)) = arguments.split_first() else { return false };
    let asks = |flags: &[&str]| arguments.iter().any(|argument| flags.contains(argument));
    let lists = ["audit", "run"].contains(command) && rest.contains(&"--list");
    let files = rest.iter().filter(|argument| argument.contains('/') && !argument.starts_with('-'));
    let has_files = || files.clone().all(|file| Path::new(&super::root()).join(file).exists());
    let needs_files = ["diff", "replay"].contains(command);
    asks(&["--help", "-h", "--version", "-V"])
        || lists
        || OFFLINE.contains(command) && has_files() && (!needs_files || files.clone().next().is_some())
}

/// What a command line prints, and its exit code. `previous` is that of the line before.
fn run(line: &str, previous: i32) -> (String, i32) {
    let bin = Path::new(PROGRAM).parent().expect("a program lies in a directory");
    let path = env::join_paths(
        [bin.to_owned()].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())),
    );
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1; (exit {previous}); {line}")])
        .current_dir(super::root())
        .env("PATH", path.expect("paths have no colons"))
        .env("COLUMNS", COLUMNS)
        .env("PROBE", PROGRAM)
        .env_remove("NO_COLOR")
        .env_remove("RUST_LOG")
        .output()
        .unwrap_or_else(|error| panic!("{line}: {error}"));
    let text = String::from_utf8(output.stdout).expect("the program writes UTF-8");
    let text: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    (text, output.status.code().unwrap_or(-1))
}
