//! The record layouts of classic tracepoints, from tracefs.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::tracefs::Tracefs;

/// A classic tracepoint.
#[derive(Debug)]
pub struct Tracepoint {
    /// Its directory below `events` in tracefs.
    pub category: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The release or the option that a kernel needs to have it.
    pub needs: &'static str,
}

/// A socket's state transition.
pub const TRANSITION: Tracepoint =
    Tracepoint { category: "sock", name: "inet_sock_set_state", needs: "Linux 4.16" };

/// The start of a process or a thread.
pub const FORK: Tracepoint = Tracepoint { category: "sched", name: "sched_process_fork", needs: "Linux 3.0" };

/// The release of the id of a process or a thread.
pub const FREE: Tracepoint = Tracepoint { category: "sched", name: "sched_process_free", needs: "Linux 3.0" };

/// The return of bind(2).
pub const BIND: Tracepoint =
    Tracepoint { category: "syscalls", name: "sys_exit_bind", needs: "CONFIG_FTRACE_SYSCALLS" };

/// Why a classic tracepoint cannot be used.
#[derive(Debug, Error)]
pub enum FormatError {
    /// tracefs is not mounted.
    #[error(
        "classic tracepoints need tracefs, which is not mounted: \
         run `mount -t tracefs nodev /sys/kernel/tracing`"
    )]
    NotMounted,
    /// This process may not read tracefs.
    #[error("reading tracefs is not permitted: run as root")]
    NotPermitted,
    /// tracefs is mounted, and lacks the tracepoint.
    #[error("cannot read {}: {}:{} needs {}", path.display(), tracepoint.category, tracepoint.name, tracepoint.needs)]
    NoTracepoint {
        /// The tracepoint.
        tracepoint: &'static Tracepoint,
        /// The format file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// A field of a tracepoint's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatField {
    /// The offset in bytes from the start of the record, common fields included.
    pub offset: u32,
    /// The size in bytes.
    pub size: u32,
}

/// The fields of one tracepoint's record.
pub struct Format {
    fields: Vec<(String, FormatField)>,
}

impl Format {
    /// Reads the running kernel's format file.
    ///
    /// # Errors
    /// [`FormatError`]: tracefs is not mounted, not readable, or lacks the tracepoint.
    pub fn of_kernel(tracepoint: &'static Tracepoint) -> Result<Self, FormatError> {
        let mount = match Tracefs::find() {
            Tracefs::At(mount) => mount,
            Tracefs::Unreadable(_) => return Err(FormatError::NotPermitted),
            Tracefs::NotMounted => return Err(FormatError::NotMounted),
        };
        let Tracepoint { category, name, .. } = tracepoint;
        let path = Path::new(mount).join(format!("events/{category}/{name}/format"));
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(FormatError::NotPermitted),
            Err(source) => Err(FormatError::NoTracepoint { tracepoint, path, source }),
        }
    }

    /// Parses the lines that describe a field: `field:TYPE NAME;  offset:N;  size:N;  signed:N;`
    fn parse(text: &str) -> Self {
        Self { fields: text.lines().filter_map(field).collect() }
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<FormatField> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, field)| *field)
    }
}

fn field(line: &str) -> Option<(String, FormatField)> {
    let parts: Vec<&str> = line.trim().split(';').map(str::trim).collect();
    let declaration = parts.first()?.strip_prefix("field:")?;
    let value = |key: &str| parts.iter().find_map(|part| part.strip_prefix(key))?.parse().ok();
    let name = declaration.rsplit(' ').next()?.split('[').next()?;
    Some((name.to_owned(), FormatField { offset: value("offset:")?, size: value("size:")? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Linux 6.18, shortened.
    const NEW: &str = "name: inet_sock_set_state\nID: 2287\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
        \tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;\n\
        \tfield:__u16 protocol;\toffset:30;\tsize:2;\tsigned:0;\n\
        \tfield:__u8 saddr[4];\toffset:32;\tsize:4;\tsigned:0;\n\
        print fmt: \"family=%s\", __print_symbolic(REC->family, { 2, \"AF_INET\" })\n";

    /// Before Linux 5.6 the protocol had one byte.
    const OLD: &str = "\tfield:__u8 protocol;\toffset:30;\tsize:1;\tsigned:0;\n";

    #[test]
    fn fields_have_the_offsets_in_the_file() {
        let format = Format::parse(NEW);
        assert_eq!(format.field("skaddr"), Some(FormatField { offset: 8, size: 8 }));
        assert_eq!(format.field("saddr"), Some(FormatField { offset: 32, size: 4 }));
        assert_eq!(format.field("protocol"), Some(FormatField { offset: 30, size: 2 }));
        assert_eq!(format.field("fmt"), None);
    }

    #[test]
    fn the_one_byte_protocol_of_old_kernels_is_recognised() {
        assert_eq!(Format::parse(OLD).field("protocol").map(|field| field.size), Some(1));
    }
}
