//! The line of an RST that was sent.

use super::{
    super::{
        super::style::Role,
        cell_writer::{Cell, CellWriter},
    },
    column::Column,
    row::{self, Row},
};
use crate::model::{Protocol, Reset};

impl Row for Reset {
    fn cell(&self, column: Column, _width: usize, cell: &mut CellWriter) -> Role {
        match column {
            Column::Socket => row::socket(self.socket, cell),
            Column::Remote | Column::Endpoints => {
                row::endpoints(column, self.identity.endpoints, Protocol::Tcp, cell)
            }
            Column::NewState | Column::States => row::text(Role::Dim, self.state.name(), cell),
            Column::Cause | Column::Closed => reason(self, cell),
            Column::Owner => row::owner(&self.owner, cell),
            Column::Cpu => row::number(self.cpu, cell),
            other => row::environment(other, &self.owner, self.identity.netns, cell),
        }
    }

    fn split(&self, column: Column, cell: &mut CellWriter) -> Option<[Cell; 2]> {
        row::split(column, self.identity.endpoints, Protocol::Tcp, cell, |cell| reason(self, cell))
    }
}

fn reason(reset: &Reset, cell: &mut CellWriter) -> Role {
    cell.escaped("RST sent");
    if let Some(reason) = &reset.reason {
        cell.unescaped(&format!(" ({reason})"));
    }
    Role::Warning
}
