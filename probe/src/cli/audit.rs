//! `probe audit` and `probe diff`.

use std::path::PathBuf;

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};

use super::format::Format;
use crate::model::BehaviourGroup;

/// `probe audit`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  sudo probe audit
        run all behaviours
  sudo probe audit --group close
        run one group
  sudo probe audit open/simultaneous
        run one behaviour
  sudo probe audit --save $(uname -r).json --html audit.html
        save a profile for `probe diff`, and a report")]
pub struct AuditArgs {
    /// Behaviours to run, by id, such as open/simultaneous, or by group; all if none is given
    #[arg(value_name = "BEHAVIOUR")]
    pub behaviours: Vec<String>,
    /// List the behaviours with a description, and run none
    #[arg(long)]
    pub list: bool,
    /// Run all behaviours of a group
    #[arg(long, value_name = "GROUP", value_delimiter = ',', value_parser = group())]
    pub group: Vec<BehaviourGroup>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Save what this kernel does as a profile, for `probe diff`
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Write an HTML report with the state diagram and the packets of each behaviour
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

fn group() -> impl TypedValueParser<Value = BehaviourGroup> {
    PossibleValuesParser::new(BehaviourGroup::ALL.map(BehaviourGroup::name))
        .map(|name| BehaviourGroup::from_name(&name).expect("the possible values are the groups' names"))
}

/// `probe diff`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  probe diff 5.15.json 6.8.json
        all differences between the two kernels
  probe diff --behaviours 5.15.json 6.8.json
        only differences in behaviour
  ssh server cat profile.json | probe diff - profile.json
        a remote profile and a local one")]
pub struct DiffArgs {
    /// Profile written by `probe audit --save`, or `-` for stdin
    pub a: PathBuf,
    /// Profile to compare it with, or `-` for stdin
    pub b: PathBuf,
    /// Compare only behaviours, not releases, build options and sysctls
    #[arg(long)]
    pub behaviours: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}
