//! The line of a transition.

use super::{
    super::{
        super::style::Role,
        cell_writer::{Cell, CellWriter},
    },
    column::Column,
    row::{self, Row},
};
use crate::model::Transition;

/// The longest name of a state that is shown before an arrow.
const OLD_STATE_WIDTH: usize = 11;

impl Row for Transition {
    fn cell(&self, column: Column, width: usize, cell: &mut CellWriter) -> Role {
        match column {
            Column::Socket => row::socket(self.socket, cell),
            Column::Remote | Column::Endpoints => {
                row::endpoints(column, self.identity.endpoints, self.identity.protocol, cell)
            }
            Column::NewState => row::text(Role::Plain, self.new.name(), cell),
            Column::States => states(self, cell),
            Column::Cause => row::cause(self.cause, width, cell),
            Column::Owner => row::owner(&self.owner, cell),
            Column::StateDuration => match self.state_duration {
                Some(duration) => {
                    cell.duration(duration);
                    Role::Dim
                }
                None => row::unknown(cell),
            },
            Column::Cpu => row::number(self.cpu, cell),
            other => row::environment(other, &self.owner, self.identity.netns, cell),
        }
    }

    fn split(&self, column: Column, cell: &mut CellWriter) -> Option<[Cell; 2]> {
        row::split(column, self.identity.endpoints, self.identity.protocol, cell, |cell| {
            row::cause(self.cause, usize::MAX, cell)
        })
    }
}

fn states(transition: &Transition, cell: &mut CellWriter) -> Role {
    let old = transition.old.name();
    cell.ascii(old);
    cell.spaces(OLD_STATE_WIDTH.saturating_sub(old.len()));
    cell.escaped(" → ");
    cell.ascii(transition.new.name());
    Role::Plain
}
