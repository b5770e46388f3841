//! What is shown of a stream and how: the flags that `trace` and `replay` share.

use std::time::Duration;

use clap::{
    Args, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};

use super::{Format, value};
use crate::model::FindingKind;

/// How a table tells the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TimeChoice {
    /// Since the first line
    Elapsed,
    /// Of the day, in UTC
    Absolute,
    /// Since the line before
    Delta,
}

/// What is shown, and how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub struct ShowArgs {
    /// One line for each connection that ended, in place of its transitions
    ///
    /// Traced live, the kernel side keeps each connection's record itself and reports it once, at its end. The
    /// findings port-sharing, illegal-transition and stuck need every transition, and are made beside it only
    /// where --fail-on asks for one of them.
    #[arg(long, conflicts_with = "only")]
    pub connections: bool,
    /// Findings of these kinds and nothing else
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kind())]
    pub only: Vec<FindingKind>,
    /// Exit with 1 if there was a finding of one of these kinds
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kind())]
    pub fail_on: Vec<FindingKind>,
    /// The form of the output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// How a table tells the time; JSON has it all
    #[arg(long, value_enum, default_value_t = TimeChoice::Elapsed)]
    pub time: TimeChoice,
    /// How long in SYN_SENT, CLOSE_WAIT or FIN_WAIT2 is `stuck` [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = value::span)]
    pub stuck_after: Option<Duration>,
}

/// A kind of finding by its name; the parser's complaint lists them all.
fn kind() -> impl TypedValueParser<Value = FindingKind> {
    PossibleValuesParser::new(FindingKind::ALL.map(FindingKind::name))
        .map(|name| FindingKind::from_name(&name).expect("the possible values are the kinds' names"))
}
