//! `probe completions`: shell completions, generated from the parser's definition.

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::{
    exit::{Exit, Failure},
    output,
};
use crate::cli::Cli;

/// Prints the completion script of a shell.
pub fn completions(shell: Shell) -> Result<Exit, Failure> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(shell, &mut command, name, &mut script);
    output::print(&script)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shells_script_has_commands_and_flags() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            generate(*shell, &mut Cli::command(), "probe", &mut script);
            let script = String::from_utf8(script).unwrap();
            for word in ["rendezvous", "doctor", "fail-on"] {
                assert!(script.contains(word), "no {word} for {shell}");
            }
        }
    }
}
