//! What is shown, from the flags that `trace` and `replay` share.

use super::{
    exit::{Exit, Failure},
    output::Look,
};
use crate::{
    cli::{ShowArgs, TimeChoice},
    detect,
    render::{TimeFormat, View},
    session::Session,
};

/// Refuses what contradicts itself.
pub fn check(args: &ShowArgs) -> Result<(), Failure> {
    let hidden = args.fail_on.iter().find(|kind| !args.only.is_empty() && !args.only.contains(kind));
    hidden.map_or(Ok(()), |kind| {
        Err(Failure::usage(format!(
            "--only hides what --fail-on {0} asks for: name {0} in both",
            kind.name()
        )))
    })
}

/// The part of the stream that is shown.
pub fn view(args: &ShowArgs) -> View {
    if args.connections {
        View::Connections
    } else if args.only.is_empty() {
        View::Transitions
    } else {
        View::Findings
    }
}

/// How it looks.
pub fn look(args: &ShowArgs) -> Look {
    Look {
        format: args.format,
        view: view(args),
        time: match args.time {
            TimeChoice::Elapsed => TimeFormat::Elapsed,
            TimeChoice::Absolute => TimeFormat::Absolute,
            TimeChoice::Delta => TimeFormat::Delta,
        },
    }
}

/// How the detectors look.
pub fn options(args: &ShowArgs) -> detect::Options {
    let default = detect::Options::default();
    detect::Options { stuck_after: args.stuck_after.unwrap_or(default.stuck_after), ..default }
}

/// The exit code, unless a finding is there that must not be.
pub fn judge(session: &Session, args: &ShowArgs, otherwise: Exit) -> Exit {
    if session.has_found(&args.fail_on) { Exit::Unexpected } else { otherwise }
}
