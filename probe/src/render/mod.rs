//! Events for people and programs: one file per form, all behind one trait.
//!
//! A renderer is pure: events in, bytes out. Whether there is a terminal, how wide it is and
//! whether it shows colours is the caller's to know ([`Style`]).

mod audit;
pub mod catalogue;
pub mod diff;
pub mod doctor;
pub mod html;
mod json;
mod observation;
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

/// A form in which the stream can be shown.
pub trait Render {
    /// Takes the next event, and appends what can be shown by now. After [`Output::End`] nothing is
    /// held back.
    ///
    /// # Errors
    /// None that is known of, since memory takes everything: the traits for writing have it so.
    fn render(&mut self, event: &Output, out: &mut Vec<u8>) -> io::Result<()>;

    /// Appends what was held back of a stream that broke off: no [`Output::End`] will come.
    ///
    /// # Errors
    /// As for [`event`](Self::event).
    fn abort(&mut self, out: &mut Vec<u8>) -> io::Result<()>;
}
