//! The system calls that tell why a socket was left, by their numbers on each architecture.

/// A system call, as far as it matters to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
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
    /// Any other: a descriptor can be closed by many (`dup2`, `close_range`, or any at all that a
    /// signal ends).
    Other,
}

/// The numbers of one architecture.
#[derive(Clone, Copy, Debug)]
pub struct Calls(&'static [(u32, Call)]);

/// `arch/x86/entry/syscalls/syscall_64.tbl`
const X86_64: &[(u32, Call)] = &[
    (3, Call::Close),
    (42, Call::Connect),
    (44, Call::Send),
    (46, Call::Send),
    (48, Call::Shutdown),
    (50, Call::Listen),
    (59, Call::Exec),
    (60, Call::Exit),
    (231, Call::Exit),
    (322, Call::Exec),
];

/// `include/uapi/asm-generic/unistd.h`
const GENERIC: &[(u32, Call)] = &[
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

    /// The call of that number; `None` where numbers say nothing.
    pub fn by_number(self, number: u32) -> Option<Call> {
        if self.0.is_empty() {
            return None;
        }
        let known = self.0.iter().find(|(known, _)| *known == number);
        Some(known.map_or(Call::Other, |(_, call)| *call))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_means_what_its_architecture_says() {
        assert_eq!(Calls::of("x86_64").by_number(3), Some(Call::Close));
        assert_eq!(Calls::of("aarch64").by_number(3), Some(Call::Other));
        assert_eq!(Calls::of("aarch64").by_number(57), Some(Call::Close));
        assert_eq!(Calls::of("s390x").by_number(3), None);
    }
}
