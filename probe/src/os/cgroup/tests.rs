//! Cgroups with a process in them, with ordinary and hostile names.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    process::{Child, Command, Stdio},
};

use super::*;

/// A cgroup with a process in it; both are removed when this value is dropped.
struct TestCgroup {
    directory: PathBuf,
    child: Child,
}

impl TestCgroup {
    /// Creates it. Its name starts with the test's process id, to be unique.
    fn named(ending: &[u8]) -> Self {
        let point = mounts::of_type("cgroup2").remove(0).point;
        let mut name = format!("{}-", std::process::id()).into_bytes();
        name.extend_from_slice(ending);
        let directory = point.join(OsString::from_vec(name));
        fs::create_dir(&directory).unwrap();
        // cat(1) exits when its stdin closes.
        let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let cgroup = Self { directory, child };
        fs::write(cgroup.directory.join("cgroup.procs"), cgroup.child.id().to_string()).unwrap();
        cgroup
    }
}

impl Drop for TestCgroup {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
        fs::remove_dir(&self.directory).unwrap();
    }
}

fn check_cgroup_with_name(ending: &[u8]) {
    let cgroup = TestCgroup::named(ending);
    let mut cgroups = Cgroups::new();
    let id = fs::metadata(&cgroup.directory).unwrap().ino();
    let mut path = b"/".to_vec();
    path.extend_from_slice(cgroup.directory.file_name().unwrap().as_bytes());
    let group = Cgroup { id, path: Some(Name::from_bytes(&path)) };

    assert_eq!(Cgroups::new().path_of(id), group.path);
    assert_eq!(cgroups.of_process(cgroup.child.id()), Some(group.clone()));
    assert_eq!(cgroups.members(id), [cgroup.child.id()]);
    assert_eq!(cgroups.id_of(OsStr::from_bytes(&path)).unwrap(), group);
    assert_eq!(cgroups.id_of(cgroup.directory.as_os_str()).unwrap(), group);
    assert_eq!(cgroups.id_of(OsStr::new(&id.to_string())).unwrap(), group);

    let pid = cgroup.child.id();
    drop(cgroup);
    assert_eq!(cgroups.path_of(id), group.path, "a removed cgroup stays known");
    assert_eq!(Cgroups::new().path_of(id), None);
    assert_eq!(cgroups.of_process(pid), None);
    assert!(matches!(cgroups.id_of(OsStr::from_bytes(&path)), Err(CgroupError::NoGroup { .. })));
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_cgroup_is_found_by_id_path_and_process() {
    check_cgroup_with_name(b"probe-test");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_hostile_name_is_unchanged() {
    check_cgroup_with_name(b"0::\t\x1b[31m\xff\\012 (deleted)");
    check_cgroup_with_name("\u{202e} probe".as_bytes());
}

#[test]
fn an_invalid_argument_is_an_error_with_the_reason() {
    let mut cgroups = Cgroups::new();
    let mut error = |argument: &str| cgroups.id_of(OsStr::new(argument)).unwrap_err().to_string();
    if error("/x/../..").starts_with("no cgroup v2 hierarchy") {
        return;
    }
    assert!(error("/no/such\ngroup").starts_with("no cgroup `/no/such\\ngroup`: "));
    assert!(error("/cgroup.procs").contains("no cgroup `/cgroup.procs`"));
    assert!(error("/x/../..").contains("is not in the cgroup v2 hierarchy, which is mounted at /"));
    assert!(error("18446744073709551615").contains("no cgroup has the id"));
}

#[test]
fn a_partial_mount_gives_paths_from_the_hierarchys_root() {
    let by_id = ById::below(Path::new("/")).unwrap();
    let inside = Hierarchy { root: "/docker/1".into(), point: "/sys/fs/cgroup".into(), by_id };
    let path = |directory: &str| inside.path(Path::new(directory)).map(|path| path.to_text().into_owned());
    let directory = |path: &str| inside.directory(Path::new(path)).map(|path| path.display().to_string());
    assert_eq!(path("/sys/fs/cgroup").as_deref(), Some("/docker/1"));
    assert_eq!(path("/sys/fs/cgroup/a/b").as_deref(), Some("/docker/1/a/b"));
    assert_eq!(path("/elsewhere"), None);
    assert_eq!(directory("/docker/1/a").as_deref(), Some("/sys/fs/cgroup/a"));
    assert_eq!(directory("docker/1/a").as_deref(), Some("/sys/fs/cgroup/a"));
    assert_eq!(directory("/docker/2"), None);
    assert_eq!(directory("/docker/1/../2"), None);
}

#[test]
fn the_v2_line_is_found_among_v1_lines() {
    assert_eq!(unified(b"4:memory:/a\n1:cpu:/\n0::/b c\n"), Some(&b"/b c"[..]));
    assert_eq!(unified(b"1:cpu:/\n"), None);
}
