//! The system calls that tell why a socket was left, by their numbers on each architecture.

/// A system call that can move a socket on. A descriptor can go away in any other, too (a signal ends
/// the process, io_uring closes it), so that no other says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Closes what it is told to, `dup2` and `close_range` included.
    Close,
    Connect,
    /// Closes what is marked close-on-exec.
    Exec,
    /// Closes everything.
    Exit,
    Listen,
    /// `sendto`, `sendmsg`: MSG_FASTOPEN opens a connection, a netlink message can destroy one.
    Send,
    Shutdown,
}

/// The numbers of one architecture.
#[derive(Clone, Copy, Debug)]
pub struct Calls(&'static [(u32, Call)]);

/// `arch/x86/entry/syscalls/syscall_64.tbl`
const X86_64: &[(u32, Call)] = &[
    (3, Call::Close),
    (33, Call::Close),
    (42, Call::Connect),
    (44, Call::Send),
    (46, Call::Send),
    (48, Call::Shutdown),
    (50, Call::Listen),
    (59, Call::Exec),
    (60, Call::Exit),
    (231, Call::Exit),
    (292, Call::Close),
    (322, Call::Exec),
    (436, Call::Close),
];

/// `include/uapi/asm-generic/unistd.h`
const GENERIC: &[(u32, Call)] = &[
    (24, Call::Close),
    (57, Call::Close),
    (93, Call::Exit),
    (94, Call::Exit),
    (201, Call::Listen),
    (203, Call::Connect),
    (206, Call::Send),
    (210, Call::Shutdown),
    (211, Call::Send),
    (221, Call::Exec),
    (281, Call::Exec),
    (436, Call::Close),
];

impl Calls {
    /// The numbers of the architecture that `uname -m` calls so; of an unknown one, none.
    pub fn of(arch: &str) -> Self {
        match arch {
            "x86_64" => Self(X86_64),
            "aarch64" | "riscv64" | "loongarch64" => Self(GENERIC),
            _ => Self(&[]),
        }
    }

    /// The call of that number; `None` where the number says nothing.
    pub fn by_number(self, number: u32) -> Option<Call> {
        self.0.iter().find(|(known, _)| *known == number).map(|(_, call)| *call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_means_what_its_architecture_says() {
        assert_eq!(Calls::of("x86_64").by_number(3), Some(Call::Close));
        assert_eq!(Calls::of("aarch64").by_number(3), None);
        assert_eq!(Calls::of("aarch64").by_number(57), Some(Call::Close));
        assert_eq!(Calls::of("s390x").by_number(3), None);
    }

    #[test]
    fn a_call_that_only_may_close_says_nothing() {
        let read_and_io_uring_enter = [("x86_64", [0, 426]), ("aarch64", [63, 426])];
        for (arch, numbers) in read_and_io_uring_enter {
            for number in numbers {
                assert_eq!(Calls::of(arch).by_number(number), None, "{arch} {number}");
            }
        }
    }
}
