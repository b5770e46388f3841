//! The cgroups of owners: their paths, the containers that they name, and removed cgroups.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    thread::panicking,
};

use serde_json::Value;

use crate::{
    actor::Actor,
    support::{Objects, text},
    tracing::{BACKENDS, Stage},
};

/// A cgroup v2 below the root. Dropping it removes it once it is empty.
pub struct Group {
    directory: PathBuf,
    name: String,
}

impl Group {
    /// A new cgroup; its name contains `name` and a suffix of the test's own.
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("probe-{}-{}-{name}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Self::called(name)
    }

    fn called(name: String) -> Self {
        let directory = root().join(&name);
        fs::create_dir(&directory).unwrap();
        Self { directory, name }
    }

    /// A child cgroup.
    pub fn below(&self, name: &str) -> Self {
        Self::called(format!("{}/{name}", self.name))
    }

    /// Its id: the inode number of its directory.
    pub fn id(&self) -> u64 {
        fs::metadata(&self.directory).unwrap().ino()
    }

    /// Its path below the root of the hierarchy.
    pub fn path(&self) -> String {
        format!("/{}", self.name)
    }

    /// Moves a process into it.
    pub fn takes(&self, actor: &Actor) {
        fs::write(self.directory.join("cgroup.procs"), actor.pid().to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let removed = fs::remove_dir(&self.directory);
        // A failed test may have left a process in it.
        assert!(removed.is_ok() || panicking(), "{}: {removed:?}", self.name);
    }
}

/// The mount point of cgroup v2.
fn root() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount_point = mounts.lines().find_map(|mount| {
        let (fields, kind) = mount.split_once(" - ")?;
        kind.starts_with("cgroup2 ").then(|| fields.split(' ').nth(4))?
    });
    Path::new(mount_point.expect("cgroup v2 is mounted")).to_owned()
}

/// A client in a cgroup connects to a server outside; the server closes first, after `before_close`. The cgroup that
/// `before_close` returns exists until the end.
fn connection_from(
    group: Group,
    flags: &str,
    before_close: impl FnOnce(&mut Stage, Actor, Group) -> Option<Group>,
) -> Objects {
    let mut stage = Stage::with(flags);
    let [server, client] = ["server", "client"].map(|name| stage.actor(name));
    group.takes(&client);
    let server_addr = server.at("listen l 127.0.0.1:0");
    client.does(&format!("connect c {server_addr}"));
    server.does("accept s l");
    let _until_end = before_close(&mut stage, client, group);
    server.does("close s");
    stage.wait_for("connection", 2);
    stage.end()
}

fn of<'a>(objects: &'a Objects, comm: &str) -> Vec<&'a Value> {
    let owners = objects.iter().filter_map(|object| object.get("owner"));
    owners.filter(|owner| owner["comm"] == comm).collect()
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_path_outlives_its_cgroup() {
    for backend in BACKENDS {
        let slice = Group::new("slice");
        let group = slice.below("service");
        let (id, path) = (group.id().to_string(), group.path());
        let objects = connection_from(group, &format!("--backend {backend}"), |stage, client, group| {
            // Its path is looked up at the first report.
            stage.running.wait_for_state("SYN_SENT");
            client.exits();
            drop(group);
            None
        });
        let clients = of(&objects, "client");
        assert!(clients.len() > 3, "{clients:?}");
        for owner in clients {
            assert_eq!((text(&owner["cgroup"]), text(&owner["cgroup_path"])), (&*id, &*path), "{backend}");
            assert_eq!(owner["container"], Value::Null, "{backend}");
        }
        assert!(of(&objects, "server").iter().all(|owner| owner["cgroup_path"] != path), "{backend}");
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_container_is_named() {
    let id = "0123456789abcdef".repeat(4);
    let engine = Group::new("engine");
    let group = engine.below(&format!("docker-{id}.scope"));
    let objects = connection_from(group, "--connections", |_, client, group| {
        client.exits();
        Some(group)
    });
    let clients = of(&objects, "client");
    assert_eq!(clients.len(), 1, "{clients:?}");
    assert_eq!(clients[0]["container"], *id);
}
