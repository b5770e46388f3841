//! What the host and the guest's init share: paths in the initramfs, and the virtio ports.
//!
//! Compiled into two programs: xtask, which packs the initramfs and starts the machine, and `init/main.rs`.

/// The command line: NUL-terminated words, the program first.
pub const COMMAND: &str = "/command";

/// The kernel modules, named in load order.
pub const MODULES: &str = "/modules";

/// The command's working directory, which is copied back to the host.
pub const FILES: &str = "/files";

/// Port for the command's standard output.
pub const STDOUT: &str = "stdout";

/// Port for its standard error.
pub const STDERR: &str = "stderr";

/// Port for a tar archive of [`FILES`].
pub const ARCHIVE: &str = "archive";

/// Port for two lines: [`STARTED`] before the command, and its exit code after the archive.
pub const STATUS: &str = "status";

/// The command is about to start.
pub const STARTED: &str = "started";
