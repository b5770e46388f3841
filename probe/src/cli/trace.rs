//! `probe trace` and `probe replay`.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::Args;

use super::{filter::FilterArgs, show::ShowArgs, value};

const TRACE_EXAMPLES: &str = "\
Examples:
  sudo probe trace --port 5432
        every transition of the sockets on port 5432
  sudo probe trace --connections --cgroup /system.slice/nginx.service
        one line per closed connection of a service
  sudo probe trace --only connect-failed,bind-failed --time absolute
        connects and binds that fail on this host, and why
  sudo probe trace --only self-connect --fail-on self-connect -- cargo test
        fail if a socket connects to itself during the tests
  sudo probe trace --output trace.jsonl --format json -- COMMAND
        keep the trace apart from what COMMAND prints
  sudo probe trace --record FILE --quiet
        on a busy host: record first, then use `probe replay FILE`";

const REPLAY_EXAMPLES: &str = "\
Examples:
  probe replay FILE
        show the whole recording
  probe replay FILE --only stuck --stuck-after 5s
        look for sockets stuck for 5 seconds or more
  probe replay FILE --connections --format json --port 443
        closed connections on port 443 as JSON";

/// `probe trace`
#[derive(Args, Debug)]
#[command(after_long_help = TRACE_EXAMPLES)]
pub struct TraceArgs {
    /// Which sockets to trace.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// What to print.
    #[command(flatten)]
    pub show: ShowArgs,
    /// Write to this file instead of stdout, which COMMAND also writes to
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Record the kernel's reports, for `probe replay`
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub record: Option<PathBuf>,
    /// Print only the start, the end and the losses of the trace
    ///
    /// Reports go into the recording unprocessed, which costs the traced host the least; `probe replay` processes them.
    #[arg(
        long,
        short,
        requires = "record",
        conflicts_with_all = ["count", "fail_on", "only", "stuck_after", "time_wait"],
        help_heading = "Output"
    )]
    pub quiet: bool,
    /// Stop after this time
    ///
    /// If COMMAND still runs then, probe stops tracing, waits for it and exits with its exit status.
    #[arg(long, value_name = "DURATION", value_parser = value::positive_duration, help_heading = "Limits")]
    pub duration: Option<Duration>,
    /// Stop after N lines: transitions, connections with --connections, or findings with --only
    #[arg(long, value_name = "N", value_parser = value::positive::<u64>, help_heading = "Limits")]
    pub count: Option<u64>,
    /// Run this command and trace it and its descendants; exit with its exit status
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "pid", help_heading = "Arguments")]
    pub command: Vec<OsString>,
    /// Do not list the existing sockets at the start; each then appears with its next transition
    #[arg(long, help_heading = "Collection")]
    pub no_snapshot: bool,
    /// Look up, after each connection closes, how long its TIME_WAIT or FIN_WAIT2 mini-socket lasts
    #[arg(long, help_heading = "Collection")]
    pub time_wait: bool,
    /// Total size of the per-CPU ring buffers, such as 64KiB; reports that do not fit are lost and counted [default: 4MiB]
    #[arg(long, value_name = "BYTES", value_parser = value::ring_size, help_heading = "Collection")]
    pub ring_size: Option<u32>,
}

/// `probe replay`
#[derive(Args, Debug)]
#[command(after_long_help = REPLAY_EXAMPLES)]
pub struct ReplayArgs {
    /// Recording to show, made with --record, or `-` for stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Which sockets to show.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// What to print.
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

    /// Expects an error with exit code 2 that contains each of `words`.
    #[track_caller]
    fn rejected(line: &str, words: &[&str]) {
        let error = parse(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        for word in words {
            assert!(error.to_string().contains(word), "no `{word}` in: {error}");
        }
    }

    #[test]
    fn every_flag_is_optional() {
        let args = trace("");
        assert!(args.command.is_empty() && args.show.only.is_empty() && args.ring_size.is_none());
        assert!(args.filter.port.is_empty() && args.duration.is_none() && !args.show.connections);
    }

    #[test]
    fn a_list_equals_repeated_flags() {
        let list = trace("--only self-connect,stuck --port 80,443 --pid 1,2");
        let repeated = trace("--only self-connect --only stuck --port 80 --port 443 --pid 1 --pid 2");
        assert_eq!(list.show.only, [FindingKind::SelfConnect, FindingKind::Stuck]);
        assert_eq!(list.show.only, repeated.show.only);
        assert_eq!(list.filter.port, repeated.filter.port);
        assert_eq!(list.filter.pid, repeated.filter.pid);
    }

    #[test]
    fn flags_after_two_dashes_belong_to_the_command() {
        let args = trace("--port 80 -- ls --port 90 -l");
        assert_eq!(args.command, ["ls", "--port", "90", "-l"]);
        assert_eq!(args.filter.port, [80..=80]);
    }

    #[test]
    fn invalid_and_conflicting_flags_are_errors() {
        rejected("trace --count 0", &["--count"]);
        rejected("trace --duration 0s", &["longer than 0s"]);
        rejected("trace --pid 1 -- ls", &["--pid", "COMMAND"]);
        rejected("trace --connections --only stuck", &["--connections", "--only"]);
        rejected("trace --quiet", &["--record"]);
        rejected("trace --quiet --record FILE --fail-on stuck", &["--quiet", "--fail-on"]);
        rejected("trace ls", &["unexpected argument", "ls"]);
    }

    #[test]
    fn an_unknown_finding_kind_lists_the_known_ones() {
        for flag in ["--only", "--fail-on"] {
            let all = FindingKind::ALL.map(FindingKind::name);
            rejected(&format!("trace {flag} self-connected"), &[&all[..], &["self-connected"]].concat());
            rejected(&format!("replay FILE {flag} stuck,"), &all);
        }
    }

    #[test]
    fn replay_accepts_filter_and_output_flags() {
        assert!(
            parse("replay FILE --only stuck --time delta --stuck-after 5s --port 80 --fail-on stuck").is_ok()
        );
        assert!(parse("replay FILE --connections --format json --netns 4026531840").is_ok());
        rejected("replay FILE --ring-size 4096", &["--ring-size"]);
    }
}
