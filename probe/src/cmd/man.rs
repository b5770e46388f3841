//! `probe man`: one manual page for all commands, generated from the parser's definition.

use std::io::{self, Write};

use clap::{Arg, Command, CommandFactory as _};
use clap_mangen::Man;

use super::{
    exit::{Exit, Failure},
    output,
};
use crate::cli::Cli;

/// Prints the manual page.
pub fn man() -> Result<Exit, Failure> {
    output::print(&page().map_err(Failure::unexpected)?)
}

/// Renders the page in roff: the sections of probe itself, then one per command.
fn page() -> io::Result<Vec<u8>> {
    let mut tool = Cli::command();
    tool.build();
    let mut page = Vec::new();
    let man = Man::new(tool.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for command in tool.get_subcommands().filter(|command| command.get_name() != "help") {
        section(command, &mut page)?;
    }
    let mut extra = Vec::new();
    man.render_extra_section(&mut extra)?;
    rename(&extra, |_| ".SH \"EXAMPLES AND EXIT STATUS\"".to_owned(), &mut page)?;
    Ok(page)
}

/// Renders a command as one section, with its own sections as subsections.
fn section(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let mut text = Vec::new();
    let hide_global = |argument: Arg| {
        let global = ["help", "version"].contains(&argument.get_id().as_str()) || argument.is_global_set();
        let hide = global || argument.is_hide_set();
        argument.hide(hide)
    };
    let command = command.clone().mut_args(hide_global);
    let man = Man::new(command.clone());
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut text)?;
    }
    if command.get_after_help().is_some() || command.get_after_long_help().is_some() {
        man.render_extra_section(&mut text)?;
    }
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    writeln!(page, ".SH \"{}\"", name.to_uppercase())?;
    rename(&text, |heading| format!(".SS {}", heading.replace("EXTRA", "EXAMPLES")), page)
}

/// Replaces the section headings of a roff text.
fn rename(text: &[u8], heading: impl Fn(&str) -> String, page: &mut Vec<u8>) -> io::Result<()> {
    String::from_utf8_lossy(text).lines().try_for_each(|line| match line.strip_prefix(".SH ") {
        Some(old) => writeln!(page, "{}", heading(old)),
        None => writeln!(page, "{line}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_command_and_flag_but_hidden_ones() {
        let page = String::from_utf8(page().unwrap()).unwrap();
        for command in Cli::command().get_subcommands() {
            let heading = format!(".SH \"PROBE {}\"", command.get_name().to_uppercase());
            assert!(page.contains(&heading), "no {heading}");
        }
        for flag in ["local\\-port", "fail\\-on", "ring\\-size", "payload"] {
            assert!(page.contains(flag), "no {flag}");
        }
        assert!(!page.contains("sabotage"), "a hidden flag is in the page");
        assert!(page.starts_with(".ie") || page.starts_with(".TH"), "{}", page.lines().next().unwrap());
    }
}
