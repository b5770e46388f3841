//! The summary of the mini-sockets left after CLOSE, by owner and service: who left 4,000 TIME_WAITs, and for which port?

use std::{
    collections::HashMap,
    io::{self, Write},
};

use super::super::{
    super::style::{Role, Style},
    format,
    text_table::TextTable,
};
use crate::model::{Endpoint, Endpoints, Host, Name, Owner, PortRange, State, Task, TimeWaitEntry};

/// The number of groups that get a row of their own.
const MAX_ROWS: usize = 12;

/// The number of groups that are counted separately. A service on a port of the ephemeral range looks like as many groups
/// as it has clients.
const MAX_GROUPS: usize = if cfg!(test) { 64 } else { 1 << 14 };

/// The default of `net.ipv4.ip_local_port_range`.
const EPHEMERAL: PortRange = 32_768..=60_999;

/// Counts mini-sockets by state, owner and service.
#[derive(Debug)]
pub struct TimeWaitSummary {
    ephemeral: PortRange,
    groups: HashMap<Group, Count>,
    /// The number of mini-sockets in no group, because there are too many groups.
    ungrouped: u64,
}

/// What is counted together.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Group {
    state: State,
    comm: Option<Name>,
    service: Service,
}

/// The server's endpoint of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Service {
    Remote(Endpoint),
    Local(Endpoint),
}

#[derive(Debug)]
struct Count {
    number: u64,
    /// The owner of the first one.
    owner: Owner,
    /// Whether several processes with this name are owners.
    several: bool,
}

impl Default for TimeWaitSummary {
    fn default() -> Self {
        Self { ephemeral: EPHEMERAL, groups: HashMap::new(), ungrouped: 0 }
    }
}

impl TimeWaitSummary {
    /// Sets the host of the stream.
    pub fn set_host(&mut self, host: &Host) {
        self.ephemeral = host.ephemeral.clone().unwrap_or(EPHEMERAL);
    }

    pub fn add(&mut self, entry: &TimeWaitEntry) {
        let Some(state) = entry.state else { return };
        let task = entry.owner.task.as_ref();
        let group = Group {
            state,
            comm: task.map(|task| task.comm.clone()),
            service: self.service(entry.identity.endpoints),
        };
        if self.groups.len() >= MAX_GROUPS && !self.groups.contains_key(&group) {
            self.ungrouped += 1;
            return;
        }
        let owner = || entry.owner.clone();
        let count =
            self.groups.entry(group).or_insert_with(|| Count { number: 0, owner: owner(), several: false });
        let pid = |task: &Task| task.pid;
        count.number += 1;
        count.several |= count.owner.task.as_ref().map(pid) != task.map(pid);
    }

    /// The remote endpoint, unless only its port is in the ephemeral range.
    fn service(&self, Endpoints { local, remote }: Endpoints) -> Service {
        let first = *self.ephemeral.start();
        let is_local = local.port_or_zero() < first && remote.port_or_zero() >= first;
        if is_local { Service::Local(local) } else { Service::Remote(remote) }
    }

    /// Writes the groups, largest first, if there are any.
    pub fn write(&self, style: Style, out: &mut dyn Write) -> io::Result<()> {
        let mut groups: Vec<(&Group, &Count)> = self.groups.iter().collect();
        if groups.is_empty() {
            return Ok(());
        }
        groups.sort_by_cached_key(|(group, count)| (u64::MAX - count.number, connections(group.service)));
        let others = groups.split_off(groups.len().min(MAX_ROWS));
        let mut table = TextTable::new(style)
            .flush_left()
            .header(["count", "state", "owner", "connections"])
            .align_right(&[0]);
        for (group, count) in groups {
            table.row([
                (Role::Plain, format::number(count.number)),
                (Role::Plain, group.state.to_string()),
                count.owner(),
                (Role::Plain, connections(group.service)),
            ]);
        }
        if !others.is_empty() {
            let owners = match self.ungrouped {
                0 => format::count(others.len() as u64, "other", "others"),
                _ => "many others".to_owned(),
            };
            let number = others.iter().map(|(_, count)| count.number).sum::<u64>() + self.ungrouped;
            table.row([
                (Role::Dim, format::number(number)),
                (Role::Dim, String::new()),
                (Role::Dim, owners),
                (Role::Dim, String::new()),
            ]);
        }
        writeln!(out)?;
        table.write(out)
    }
}

impl Count {
    /// The process, or the name of several processes.
    fn owner(&self) -> (Role, String) {
        match &self.owner.task {
            Some(task) if self.several => (Role::Plain, format!("{}, several processes", task.comm)),
            _ => format::owner(&self.owner),
        }
    }
}

fn connections(service: Service) -> String {
    match service {
        Service::Remote(remote) => format!("to {remote}"),
        Service::Local(local) => format!("accepted on {local}"),
    }
}
