//! `probe trace` and `probe replay`.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::Args;

use super::{FilterArgs, ShowArgs, value};

const EXAMPLES: &str = "\
Filters can be repeated: those of one kind widen what is shown, those of different kinds narrow it.

Examples:
  probe trace --port 5432
        everything that happens to sockets of that port
  probe trace --connections --cgroup /system.slice/nginx.service
        each finished connection of a service
  probe trace --only connect-failed,bind-failed --time absolute
        what fails on this host, and why
  probe trace --only self-connect --fail-on self-connect -- cargo test
        did anything connect to itself while the tests ran?
  probe trace --output trace.jsonl --format json -- COMMAND
        the trace apart from what the command prints
  probe trace --record FILE --quiet
        for a busy host: first record, then look with `probe replay FILE`";

/// `probe trace`
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TraceArgs {
    /// Which sockets.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// What is shown of them.
    #[command(flatten)]
    pub show: ShowArgs,
    /// Write there instead of to stdout, which a COMMAND writes to as well
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Keep what the kernel reported there, for `probe replay`
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub record: Option<PathBuf>,
    /// Show only when it begins and ends, and what is lost
    ///
    /// Reports then go into the recording as they come, and are not looked at before they are replayed: the trace that
    /// costs the host least.
    #[arg(
        long,
        short,
        requires = "record",
        conflicts_with_all = ["count", "fail_on", "only", "stuck_after", "time_wait"],
        help_heading = "Output"
    )]
    pub quiet: bool,
    /// Stop after so long
    ///
    /// A COMMAND that still runs then is left to end by itself, untraced, and its exit status is passed on.
    #[arg(long, value_name = "DURATION", value_parser = value::span, help_heading = "When to stop")]
    pub duration: Option<Duration>,
    /// Stop after so many lines: transitions, connections with --connections, findings with --only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "When to stop")]
    pub count: Option<u64>,
    /// Run this and trace it with all its descendants; the trace ends with it, and with its exit status
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "pid", help_heading = "Arguments")]
    pub command: Vec<OsString>,
    /// Leave out the sockets that are there already: they are met when something happens to them
    #[arg(long, help_heading = "How to look")]
    pub no_snapshot: bool,
    /// Ask after each connection's end what stayed of it: TIME_WAIT or an orphan's FIN_WAIT2, and until when
    #[arg(long, help_heading = "How to look")]
    pub time_wait: bool,
    /// The room for reports that were not read yet, such as 64KiB or 4MiB; what finds none is counted as lost
    #[arg(long, value_name = "BYTES", value_parser = value::ring_size, help_heading = "How to look")]
    pub ring_size: Option<u32>,
}

/// `probe replay`
#[derive(Args, Debug)]
pub struct ReplayArgs {
    /// A recording, as `--record` makes them
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Which sockets.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// What is shown of them.
    #[command(flatten)]
    pub show: ShowArgs,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::{
        cli::{Cli, Command, TraceArgs},
        model::FindingKind,
    };

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(["probe"].into_iter().chain(line.split_whitespace())).map(|cli| cli.command)
    }

    fn trace(line: &str) -> TraceArgs {
        match parse(&format!("trace {line}")).unwrap() {
            Command::Trace(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    /// Every word that the refusal must have; its exit code is that of wrong usage.
    #[track_caller]
    fn refused(line: &str, words: &[&str]) {
        let refusal = parse(line).unwrap_err();
        assert_eq!(refusal.exit_code(), 2, "{refusal}");
        for word in words {
            assert!(refusal.to_string().contains(word), "no `{word}` in: {refusal}");
        }
    }

    #[test]
    fn everything_has_a_default() {
        let args = trace("");
        assert!(args.command.is_empty() && args.show.only.is_empty() && args.ring_size.is_none());
        assert!(args.filter.port.is_empty() && args.duration.is_none() && !args.show.connections);
    }

    #[test]
    fn lists_and_repetitions_are_the_same() {
        let list = trace("--only self-connect,stuck --port 80,443 --pid 1,2");
        let repeated = trace("--only self-connect --only stuck --port 80 --port 443 --pid 1 --pid 2");
        assert_eq!(list.show.only, [FindingKind::SelfConnect, FindingKind::Stuck]);
        assert_eq!(list.show.only, repeated.show.only);
        assert_eq!(list.filter.port, repeated.filter.port);
        assert_eq!(list.filter.pid, repeated.filter.pid);
    }

    #[test]
    fn a_command_has_flags_of_its_own() {
        let args = trace("--port 80 -- ls --port 90 -l");
        assert_eq!(args.command, ["ls", "--port", "90", "-l"]);
        assert_eq!(args.filter.port, [80..=80]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        refused("trace --count 0", &["--count"]);
        refused("trace --duration 0s", &["no time at all"]);
        refused("trace --pid 1 -- ls", &["--pid", "COMMAND"]);
        refused("trace --connections --only stuck", &["--connections", "--only"]);
        refused("trace --quiet", &["--record"]);
        refused("trace --quiet --record FILE --fail-on stuck", &["--quiet", "--fail-on"]);
        refused("trace ls", &["unexpected argument", "ls"]);
    }

    #[test]
    fn a_kind_that_there_is_not_is_answered_with_those_that_there_are() {
        for flag in ["--only", "--fail-on"] {
            let all = FindingKind::ALL.map(FindingKind::name);
            refused(&format!("trace {flag} self-connected"), &[&all[..], &["self-connected"]].concat());
            refused(&format!("replay FILE {flag} stuck,"), &all);
        }
    }

    #[test]
    fn a_replay_takes_the_flags_of_output_and_filters() {
        assert!(
            parse("replay FILE --only stuck --time delta --stuck-after 5s --port 80 --fail-on stuck").is_ok()
        );
        assert!(parse("replay FILE --connections --format json --netns 4026531840").is_ok());
        refused("replay FILE --ring-size 4096", &["--ring-size"]);
    }
}
