//! `probe audit`, `probe diff`

use std::path::PathBuf;

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};

use super::Format;
use crate::model::BehaviourGroup;

/// `probe audit`
#[derive(Args, Debug)]
pub struct AuditArgs {
    /// Behaviours by their ids, such as open/simultaneous; none means all
    #[arg(value_name = "BEHAVIOUR")]
    pub behaviours: Vec<String>,
    /// Name the behaviours and what happens in each, and play none
    #[arg(long)]
    pub list: bool,
    /// All behaviours of a group
    #[arg(long, value_name = "GROUP", value_delimiter = ',', value_parser = group())]
    pub group: Vec<BehaviourGroup>,
    /// The form of the output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Keep what this kernel does there, for `probe diff`
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Write the report there as one HTML page, with the state diagram and the packets of each behaviour
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

fn group() -> impl TypedValueParser<Value = BehaviourGroup> {
    PossibleValuesParser::new(BehaviourGroup::ALL.map(BehaviourGroup::name))
        .map(|name| BehaviourGroup::from_name(&name).expect("the possible values are the groups' names"))
}

/// `probe diff`
#[derive(Args, Debug)]
pub struct DiffArgs {
    /// A profile, as `probe audit --save` writes it; `-` is stdin
    pub a: PathBuf,
    /// The one to hold against it
    pub b: PathBuf,
    /// Only what the kernels do, not what is known of them: releases, options, sysctls
    #[arg(long)]
    pub behaviours: bool,
    /// The form of the output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}
