//! `probe audit`

use clap::Args;

use super::Format;

/// `probe audit`
#[derive(Args, Debug)]
pub struct AuditArgs {
    /// Behaviours by their ids, such as open/simultaneous; none means all
    #[arg(value_name = "BEHAVIOUR")]
    pub behaviours: Vec<String>,
    /// Name the behaviours, and play none
    #[arg(long)]
    pub list: bool,
    /// The form of the output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}
