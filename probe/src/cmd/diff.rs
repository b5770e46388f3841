//! `probe diff`: compares two kernels by their profiles.

use std::{
    fmt::Display,
    fs::File,
    io::{self, BufReader},
    path::Path,
    time::SystemTime,
};

use super::{
    exit::{Exit, Failure},
    outcome, output,
};
use crate::{
    cli::{DiffArgs, Format},
    model::{Difference, Profile},
    record::profile,
    render,
    session::SessionError,
};

/// Compares two profiles and prints the differences.
pub fn diff(args: &DiffArgs) -> Result<Exit, Failure> {
    let (a, b) = (read(&args.a)?, read(&args.b)?);
    let mut differences = profile::compare(&a, &b);
    if args.behaviours {
        differences.retain(|difference| matches!(difference, Difference::Behaviour { .. }));
    }
    let mut out = output::stdout();
    let written = match args.format {
        Format::Json => render::diff::json(&differences, SystemTime::now(), &mut out),
        Format::Table => render::diff::table([&a, &b], &differences, output::style(), &mut out),
    };
    let exit =
        if differences.iter().any(Difference::is_significant) { Exit::Unexpected } else { Exit::Expected };
    outcome(written.map_err(SessionError::Output), |()| exit)
}

/// Reads a profile from a file, or from stdin for `-`.
fn read(path: &Path) -> Result<Profile, Failure> {
    let at = |error: &dyn Display| Failure::usage(format!("{}: {error}", path.display()));
    if path == Path::new("-") {
        return profile::read(io::stdin().lock()).map_err(|error| at(&error));
    }
    let file = File::open(path).map_err(|error| at(&error))?;
    profile::read(BufReader::new(file)).map_err(|error| at(&error))
}
