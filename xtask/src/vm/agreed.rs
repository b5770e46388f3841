//! What the host and the init of a test kernel agree on: where things lie in the initramfs, and the ports between them.
//!
//! Two programs hold this file: xtask, which packs the initramfs and starts the machine, and `init/main.rs`.

/// The command: its words, a NUL behind each. The first one is the program.
pub const COMMAND: &str = "/command";

/// The modules, in the order in which they are loaded.
pub const MODULES: &str = "/modules";

/// The command's working directory. What lies in it goes back to the host.
pub const FILES: &str = "/files";

/// What the command writes to its standard output.
pub const STDOUT: &str = "stdout";

/// What it writes to its standard error.
pub const STDERR: &str = "stderr";

/// An archive of [`FILES`], in tar's format.
pub const ARCHIVE: &str = "archive";

/// Two lines: [`BEGUN`] before the command, and its exit code when all else has been handed back.
pub const STATUS: &str = "status";

/// The command is about to begin.
pub const BEGUN: &str = "begun";
