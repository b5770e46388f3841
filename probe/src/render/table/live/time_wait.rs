//! The line of the mini-socket that replaces a closed connection.

use super::{
    super::{
        super::style::Role,
        cell_writer::{Cell, CellWriter},
    },
    column::Column,
    row::{self, Row},
};
use crate::model::{Protocol, State, TimeWaitEntry};

/// The entry, and when it expires in the format of the line's time.
pub struct TimeWaitRow<'a> {
    pub entry: &'a TimeWaitEntry,
    pub expiry: Option<String>,
}

impl TimeWaitRow<'_> {
    fn expiry(&self) -> &str {
        match (self.entry.state, &self.expiry) {
            (None, _) => "no mini-socket",
            (Some(_), Some(expiry)) => expiry,
            (Some(_), None) => "expiry unknown",
        }
    }

    fn state_and_expiry(&self, cell: &mut CellWriter) -> Role {
        if let Some(state) = self.entry.state {
            cell.escaped(state.name());
            cell.escaped(" ");
        }
        row::text(Role::Dim, self.expiry(), cell)
    }
}

impl Row for TimeWaitRow<'_> {
    fn cell(&self, column: Column, _width: usize, cell: &mut CellWriter) -> Role {
        let entry = self.entry;
        match column {
            Column::Socket => row::socket(entry.socket, cell),
            Column::Remote | Column::Endpoints => {
                row::endpoints(column, entry.identity.endpoints, Protocol::Tcp, cell)
            }
            Column::NewState | Column::States => {
                row::text(Role::Dim, entry.state.map_or("–", State::name), cell)
            }
            Column::Cause => row::text(Role::Dim, self.expiry(), cell),
            Column::Closed => self.state_and_expiry(cell),
            Column::Owner => row::owner(&entry.owner, cell),
            other => row::environment(other, &entry.owner, entry.identity.netns, cell),
        }
    }

    fn split(&self, column: Column, cell: &mut CellWriter) -> Option<[Cell; 2]> {
        row::split(column, self.entry.identity.endpoints, Protocol::Tcp, cell, |cell| {
            self.state_and_expiry(cell)
        })
    }
}
