//! Error numbers.

use std::fmt;

/// A positive error number, as in errno(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub i32);

#[allow(missing_docs, reason = "errno(3) says what each means")]
impl Errno {
    pub const EACCES: Self = Self(13);
    pub const EADDRINUSE: Self = Self(98);
    pub const EADDRNOTAVAIL: Self = Self(99);
    pub const EAFNOSUPPORT: Self = Self(97);
    pub const EAGAIN: Self = Self(11);
    pub const ECONNABORTED: Self = Self(103);
    pub const ECONNREFUSED: Self = Self(111);
    pub const ECONNRESET: Self = Self(104);
    pub const EHOSTUNREACH: Self = Self(113);
    pub const EINPROGRESS: Self = Self(115);
    pub const EINVAL: Self = Self(22);
    pub const EISCONN: Self = Self(106);
    pub const ENETUNREACH: Self = Self(101);
    pub const ENODEV: Self = Self(19);
    pub const ENOPROTOOPT: Self = Self(92);
    pub const EOPNOTSUPP: Self = Self(95);
    pub const EPERM: Self = Self(1);
    pub const EPIPE: Self = Self(32);
    pub const ETIMEDOUT: Self = Self(110);

    /// The name, such as `ECONNREFUSED`; `errno 4711` for a number without one.
    #[must_use]
    pub fn name(self) -> String {
        match nix::errno::Errno::from_raw(self.0) {
            nix::errno::Errno::UnknownErrno => format!("errno {}", self.0),
            known => format!("{known:?}"),
        }
    }

    /// The error number of an I/O error; `None` where the kernel did not return it.
    #[must_use]
    pub fn of(error: &std::io::Error) -> Option<Self> {
        error.raw_os_error().map(Self)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_names_of_errno_3() {
        assert_eq!(Errno::EISCONN.to_string(), "EISCONN");
        assert_eq!(Errno::EADDRNOTAVAIL.to_string(), "EADDRNOTAVAIL");
        assert_eq!(Errno(4711).to_string(), "errno 4711");
    }
}
