//! The system calls that explain a state change, by their numbers on each architecture.

/// A system call that can change a socket's state. Any other call can close a descriptor too (a signal ends the
/// process, io_uring closes it), and so explains nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syscall {
    /// close(2), dup2(2), dup3(2) and close_range(2).
    Close,
    Connect,
    /// execve(2) and execveat(2) close what is marked close-on-exec.
    Exec,
    /// exit(2) and exit_group(2) close everything.
    Exit,
    Listen,
    /// sendto(2), sendmsg(2): MSG_FASTOPEN opens a connection, a netlink message can destroy one.
    Send,
    Shutdown,
}

/// The numbers of one architecture.
#[derive(Clone, Copy, Debug)]
pub struct SyscallTable(&'static [(u32, Syscall)]);

/// `arch/x86/entry/syscalls/syscall_64.tbl`
const X86_64: &[(u32, Syscall)] = &[
    (3, Syscall::Close),
    (33, Syscall::Close),
    (42, Syscall::Connect),
    (44, Syscall::Send),
    (46, Syscall::Send),
    (48, Syscall::Shutdown),
    (50, Syscall::Listen),
    (59, Syscall::Exec),
    (60, Syscall::Exit),
    (231, Syscall::Exit),
    (292, Syscall::Close),
    (322, Syscall::Exec),
    (436, Syscall::Close),
];

/// `include/uapi/asm-generic/unistd.h`
const GENERIC: &[(u32, Syscall)] = &[
    (24, Syscall::Close),
    (57, Syscall::Close),
    (93, Syscall::Exit),
    (94, Syscall::Exit),
    (201, Syscall::Listen),
    (203, Syscall::Connect),
    (206, Syscall::Send),
    (210, Syscall::Shutdown),
    (211, Syscall::Send),
    (221, Syscall::Exec),
    (281, Syscall::Exec),
    (436, Syscall::Close),
];

impl SyscallTable {
    /// The table of an architecture, by its `uname -m`; empty for an unknown one.
    pub fn of(arch: &str) -> Self {
        match arch {
            "x86_64" => Self(X86_64),
            "aarch64" | "riscv64" | "loongarch64" => Self(GENERIC),
            _ => Self(&[]),
        }
    }

    /// The call with this number; `None` for one that explains nothing.
    pub fn by_number(self, number: u32) -> Option<Syscall> {
        self.0.iter().find(|(known, _)| *known == number).map(|(_, call)| *call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_depend_on_the_architecture() {
        assert_eq!(SyscallTable::of("x86_64").by_number(3), Some(Syscall::Close));
        assert_eq!(SyscallTable::of("aarch64").by_number(3), None);
        assert_eq!(SyscallTable::of("aarch64").by_number(57), Some(Syscall::Close));
        assert_eq!(SyscallTable::of("s390x").by_number(3), None);
    }

    #[test]
    fn a_call_that_only_may_close_a_descriptor_explains_nothing() {
        let read_and_io_uring_enter = [("x86_64", [0, 426]), ("aarch64", [63, 426])];
        for (arch, numbers) in read_and_io_uring_enter {
            for number in numbers {
                assert_eq!(SyscallTable::of(arch).by_number(number), None, "{arch} {number}");
            }
        }
    }
}
