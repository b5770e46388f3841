//! What the host and the guest's init share: paths in the initramfs, and the virtio ports.
//!
//! Compiled into two programs: xtask, which packs the initramfs and starts the machine, and `init/main.rs`.

/// Directory of the commands, which run in name order. Each is a file of NUL-terminated words, the program first.
pub const COMMANDS: &str = "/commands";

/// The program that init itself provides: it copies what the kernel says about its interface into the directory that it
/// is given.
pub const COLLECT: &str = "collect";

/// In that directory: the build (`uname -v`).
pub const VERSION: &str = "version";

/// The sysctls, as `name = value` lines.
pub const SYSCTLS: &str = "sysctls";

/// The least and the greatest number that they accept, as `name = least greatest` lines.
pub const RANGES: &str = "ranges";

/// The type information.
pub const TYPES: &str = "btf";

/// The tracepoints' formats, as `SUBSYSTEM/NAME`.
pub const EVENTS: &str = "events";

/// The kernel modules, named in load order.
pub const MODULES: &str = "/modules";

/// The commands' working directory, which is copied back to the host.
pub const FILES: &str = "/files";

/// Port for the commands' standard output.
pub const STDOUT: &str = "stdout";

/// Port for its standard error.
pub const STDERR: &str = "stderr";

/// Port for a tar archive of [`FILES`].
pub const ARCHIVE: &str = "archive";

/// Port for lines: [`STARTED`], the exit code and milliseconds of each command, and [`ARCHIVED`].
pub const STATUS: &str = "status";

/// The first command is about to start.
pub const STARTED: &str = "started";

/// The archive is complete.
pub const ARCHIVED: &str = "archived";
