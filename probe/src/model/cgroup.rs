//! Control groups.

use super::Name;

/// A cgroup v2 group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Its id (`bpf_get_current_cgroup_id`): the inode number of its directory.
    pub id: u64,
    /// Its path below the root of the hierarchy, with a leading `/`; `None` where it was removed before the lookup.
    pub path: Option<Name>,
}

impl Cgroup {
    /// The container id in the path: the 64 hexadecimal digits that Docker, containerd, CRI-O and Podman use, alone
    /// (`/docker/<id>`) or in a systemd scope (`docker-<id>.scope`).
    #[must_use]
    pub fn container(&self) -> Option<&str> {
        self.path.as_ref()?.as_bytes().rsplit(|byte| *byte == b'/').find_map(container_id)
    }
}

/// Digits of a container id.
const CONTAINER_ID_LENGTH: usize = 64;

fn container_id(group: &[u8]) -> Option<&str> {
    let name = group.strip_suffix(b".scope").unwrap_or(group);
    if name.len() < CONTAINER_ID_LENGTH {
        return None;
    }
    let id = name.rsplit(|byte| matches!(byte, b'-' | b':')).next()?;
    let hexadecimal = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    let is_container_id = id.len() == CONTAINER_ID_LENGTH && id.iter().all(hexadecimal);
    str::from_utf8(id).ok().filter(|_| is_container_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(path: &str) -> Option<String> {
        Cgroup { id: 1, path: Some(Name::from_bytes(path.as_bytes())) }.container().map(str::to_owned)
    }

    #[test]
    fn each_runtimes_path_contains_the_container_id() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("/docker/{id}"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope"),
            format!("/kubepods/burstable/pod1/{id}/inner"),
            format!("/machine.slice/libpod-{id}.scope/container"),
            format!("/kubelet/kubepods/pod1/cri-containerd:{id}"),
        ] {
            assert_eq!(container(&path), Some(id.clone()), "{path}");
        }
    }

    #[test]
    fn a_path_without_a_container_has_no_container_id() {
        for path in ["/", "/system.slice/ssh.service", "/docker/0123", "/user.slice/\u{fffd}"] {
            assert_eq!(container(path), None, "{path}");
        }
        assert_eq!(Cgroup { id: 1, path: None }.container(), None);
    }
}
