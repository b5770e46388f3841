//! Who left what behind after CLOSE: the answer to "whose are these 4,000 TIME_WAITs?".

use std::{
    collections::HashMap,
    io::{self, Write},
};

use super::super::{
    super::style::{Style, Tone},
    grid::Grid,
    words,
};
use crate::model::{Endpoint, Endpoints, Host, Name, Owner, PortRange, State, Task, TimeWaitEntry};

/// More rows are summed up in one.
const ROWS: usize = 12;

/// More groups are not told apart: a service whose port the kernel could have picked looks like as many as it
/// has clients.
const MOST: usize = if cfg!(test) { 64 } else { 1 << 14 };

/// Where the kernel picks local ports if nobody says otherwise (`net.ipv4.ip_local_port_range`).
const EPHEMERAL: PortRange = 32_768..=60_999;

/// Counts what stayed, by who left it and for which service.
#[derive(Debug)]
pub struct Tally {
    ephemeral: PortRange,
    groups: HashMap<Group, Count>,
    /// What is in no group, for want of room.
    beyond: u64,
}

/// What is counted together.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Group {
    state: State,
    comm: Option<Name>,
    service: Service,
}

/// The end of a connection that many share: the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Service {
    Remote(Endpoint),
    Local(Endpoint),
}

#[derive(Debug)]
struct Count {
    number: u64,
    /// The first one's, for its marks.
    owner: Owner,
    /// Whether there were others of that name.
    others: bool,
}

impl Default for Tally {
    fn default() -> Self {
        Self { ephemeral: EPHEMERAL, groups: HashMap::new(), beyond: 0 }
    }
}

impl Tally {
    /// From now on the host is known.
    pub fn set(&mut self, host: &Host) {
        self.ephemeral = host.ephemeral.clone().unwrap_or(EPHEMERAL);
    }

    pub fn add(&mut self, remains: &TimeWaitEntry) {
        let Some(state) = remains.state else { return };
        let task = remains.owner.task.as_ref();
        let group =
            Group { state, comm: task.map(|task| task.comm.clone()), service: self.service(remains.ends) };
        if self.groups.len() >= MOST && !self.groups.contains_key(&group) {
            self.beyond += 1;
            return;
        }
        let owner = || remains.owner.clone();
        let count =
            self.groups.entry(group).or_insert_with(|| Count { number: 0, owner: owner(), others: false });
        let pid = |task: &Task| task.pid;
        count.number += 1;
        count.others |= count.owner.task.as_ref().map(pid) != task.map(pid);
    }

    /// The remote end, unless it is the one whose port was picked for it.
    fn service(&self, Endpoints { local, remote }: Endpoints) -> Service {
        let first = *self.ephemeral.start();
        let serves = local.port_or_zero() < first && remote.port_or_zero() >= first;
        if serves { Service::Local(local) } else { Service::Remote(remote) }
    }

    /// Writes the groups, the largest first, if there are any.
    pub fn write(&self, style: Style, out: &mut dyn Write) -> io::Result<()> {
        let mut groups: Vec<(&Group, &Count)> = self.groups.iter().collect();
        if groups.is_empty() {
            return Ok(());
        }
        groups.sort_by_cached_key(|(group, count)| (u64::MAX - count.number, place(group.service)));
        let rest = groups.split_off(groups.len().min(ROWS));
        let mut grid = Grid::new(style).flush_left().header(["left", "state", "by", "of connections"]);
        grid = grid.right(&[0]);
        for (group, count) in groups {
            grid.row([
                (Tone::Plain, words::number(count.number)),
                (Tone::Plain, group.state.to_string()),
                count.owner(),
                (Tone::Plain, place(group.service)),
            ]);
        }
        if !rest.is_empty() {
            let others = match self.beyond {
                0 => words::count(rest.len() as u64, "other", "others"),
                _ => "many others".to_owned(),
            };
            let number = rest.iter().map(|(_, count)| count.number).sum::<u64>() + self.beyond;
            grid.row([
                (Tone::Faint, words::number(number)),
                (Tone::Faint, String::new()),
                (Tone::Faint, others),
                (Tone::Faint, String::new()),
            ]);
        }
        writeln!(out)?;
        grid.write(out)
    }
}

impl Count {
    /// The process; of several, the name.
    fn owner(&self) -> (Tone, String) {
        match &self.owner.task {
            Some(task) if self.others => (Tone::Plain, format!("{}, several processes", task.comm)),
            _ => words::owner(&self.owner),
        }
    }
}

fn place(service: Service) -> String {
    match service {
        Service::Remote(remote) => format!("to {remote}"),
        Service::Local(local) => format!("accepted at {local}"),
    }
}
