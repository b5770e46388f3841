//! `probe man`: one page for the whole tool, from the same definition as the parser.

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

/// The page in roff: the tool's own sections, then one for each command.
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
    let mut codes = Vec::new();
    man.render_extra_section(&mut codes)?;
    rename(&codes, |_| ".SH \"EXIT STATUS\"".to_owned(), &mut page)?;
    Ok(page)
}

/// A command: its sections become subsections of one that has its name.
fn section(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let mut text = Vec::new();
    let of_the_tool = |argument: Arg| {
        let everywhere =
            ["help", "version"].contains(&argument.get_id().as_str()) || argument.is_global_set();
        let hide = everywhere || argument.is_hide_set();
        argument.hide(hide)
    };
    let command = command.clone().mut_args(of_the_tool);
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
    rename(&text, |heading| format!(".SS {}", heading.replace("EXTRA", "NOTES")), page)
}

/// Gives the sections of a text new headings.
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
    fn every_command_and_flag_has_its_place() {
        let page = String::from_utf8(page().unwrap()).unwrap();
        for command in Cli::command().get_subcommands() {
            let heading = format!(".SH \"PROBE {}\"", command.get_name().to_uppercase());
            assert!(page.contains(&heading), "no {heading}");
        }
        for flag in ["local\\-port", "fail\\-on", "ring\\-size", "payload"] {
            assert!(page.contains(flag), "no {flag}");
        }
        assert!(!page.contains("sabotage"), "that is for tests");
        assert!(page.starts_with(".ie") || page.starts_with(".TH"), "{}", page.lines().next().unwrap());
    }
}
