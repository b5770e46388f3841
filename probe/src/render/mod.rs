//! Renders events for people and programs: a module for each format, behind one trait.
//!
//! A renderer is pure: events in, bytes out. The caller knows whether there is a terminal, its width and its colours
//! ([`Style`]).

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

use crate::model::Output;

/// A format in which a stream is shown.
pub trait Render {
    /// Takes the next event and appends what can be shown so far. After [`Output::End`] nothing is buffered.
    ///
    /// # Errors
    /// Never in practice: the traits for writing require it.
    fn render(&mut self, event: &Output, out: &mut Vec<u8>) -> io::Result<()>;

    /// Appends what is buffered of a stream that ends without [`Output::End`].
    ///
    /// # Errors
    /// As for [`event`](Self::event).
    fn abort(&mut self, out: &mut Vec<u8>) -> io::Result<()>;
}
