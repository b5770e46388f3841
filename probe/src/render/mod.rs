//! Output for people and programs: one file for each format, behind one trait.
//!
//! A renderer is pure: outputs in, bytes out. The caller knows whether there is a terminal, how wide it is and whether it
//! shows colours ([`Style`]).

mod audit;
pub mod catalogue;
mod comparison;
pub mod diff;
pub mod doctor;
pub mod html;
mod json;
mod packet_correlation;
mod pcapng;
mod style;
mod table;
#[cfg(test)]
mod testing;
mod view;

use std::io;

pub use audit::AuditTable;
pub use json::Json;
pub use pcapng::Pcapng;
pub use style::Style;
pub use table::Table;
pub use view::{TimeFormat, View};

use crate::model::{Mono, Output};

/// Renders the output stream in one format.
pub trait Render {
    /// Renders the next output: appends the text that can be shown by now. After [`Output::End`], nothing is held back.
    ///
    /// # Errors
    /// None in practice: writing to memory cannot fail, but the traits for writing return a result.
    fn render(&mut self, output: &Output, out: &mut Vec<u8>) -> io::Result<()>;

    /// Sets the time of the latest event in the stream, which may not be shown. Outputs without a time of their own are
    /// dated no earlier.
    fn advance(&mut self, _latest: Mono) {}

    /// Appends what is held back of a stream that has failed: [`Output::End`] will not come.
    ///
    /// # Errors
    /// The same as [`render`](Self::render).
    fn abort(&mut self, out: &mut Vec<u8>) -> io::Result<()>;
}
