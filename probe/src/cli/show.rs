//! The output flags that `trace` and `replay` share.

use std::time::Duration;

use clap::{
    Args, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};

use super::{format::Format, value};
use crate::model::FindingKind;

/// How a table shows times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TimeChoice {
    /// Time since the first line
    Elapsed,
    /// Time of day in UTC
    Absolute,
    /// Time since the previous line
    Delta,
}

/// What to print, and how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub struct ShowArgs {
    /// Print one line per closed connection instead of its transitions
    ///
    /// In a live trace the BPF programs then keep each connection's history and report it once, when it closes. The
    /// findings port-sharing, illegal-transition and stuck need every transition; they are made in addition only if
    /// --fail-on names one of them.
    #[arg(long, conflicts_with = "only")]
    pub connections: bool,
    /// Print only findings of these kinds
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kind())]
    pub only: Vec<FindingKind>,
    /// Exit with 1 if there was a finding of these kinds
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kind())]
    pub fail_on: Vec<FindingKind>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// How tables show times; JSON always has wall-clock and monotonic time
    #[arg(long, value_enum, default_value_t = TimeChoice::Elapsed)]
    pub time: TimeChoice,
    /// Report a socket as stuck after this time in SYN_SENT, CLOSE_WAIT or FIN_WAIT2 [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = value::positive_duration)]
    pub stuck_after: Option<Duration>,
}

/// Parses a kind of finding; clap's error lists all kinds.
fn kind() -> impl TypedValueParser<Value = FindingKind> {
    PossibleValuesParser::new(FindingKind::ALL.map(FindingKind::name))
        .map(|name| FindingKind::from_name(&name).expect("the possible values are the kinds' names"))
}
