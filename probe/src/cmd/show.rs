//! Evaluates the output flags that `trace` and `replay` share.

use super::{
    exit::{Exit, Failure},
    output::Layout,
};
use crate::{
    cli::{ShowArgs, TimeChoice},
    detect,
    render::{TimeFormat, View},
    session::Session,
};

/// Rejects contradictory flags.
pub fn check(args: &ShowArgs) -> Result<(), Failure> {
    let hidden = args.fail_on.iter().find(|kind| !args.only.is_empty() && !args.only.contains(kind));
    hidden.map_or(Ok(()), |kind| {
        Err(Failure::usage(format!(
            "--fail-on {0} needs findings that --only hides: add {0} to --only",
            kind.name()
        )))
    })
}

/// The part of the stream to show.
pub fn view(args: &ShowArgs) -> View {
    if args.connections {
        View::Connections
    } else if args.only.is_empty() {
        View::Transitions
    } else {
        View::Findings
    }
}

/// The layout of the output.
pub fn layout(args: &ShowArgs) -> Layout {
    Layout {
        format: args.format,
        view: view(args),
        time: match args.time {
            TimeChoice::Elapsed => TimeFormat::Elapsed,
            TimeChoice::Absolute => TimeFormat::Absolute,
            TimeChoice::Delta => TimeFormat::Delta,
        },
    }
}

/// The detectors' options.
pub fn detection(args: &ShowArgs) -> detect::Options {
    let default = detect::Options::default();
    detect::Options { stuck_after: args.stuck_after.unwrap_or(default.stuck_after), ..default }
}

/// The exit code: 1 if there was a finding that `--fail-on` names, else `otherwise`.
pub fn exit(session: &Session, args: &ShowArgs, otherwise: Exit) -> Exit {
    if session.has_found(&args.fail_on) { Exit::Unexpected } else { otherwise }
}
