//! The project's chores: what one types, and which file does it.

mod apt;
mod bench;
mod ci;
mod log;
mod matrix;
mod privilege;
mod run;
mod setup;
mod test;
#[cfg(test)]
mod tidy;
mod toolchain;
mod vm;
mod workspace;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

/// The project's chores.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Chore {
    /// Find or provide the toolchain that compiles the kernel side.
    Setup,
    /// Build probe and run its scenarios, through sudo where one is not root.
    #[command(disable_help_flag = true)]
    Run {
        /// Passed on to `probe run`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Run all tests, through sudo where one is not root.
    Test {
        /// Leave out, as ignored, the tests that need root.
        #[arg(long)]
        unprivileged: bool,
        /// Passed on to the test programs: a filter, --nocapture…
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Measure what probe and other tracers cost the host, and how that grows.
    Bench(bench::Args),
    /// The load of a measurement, in a process of its own.
    #[command(name = bench::LOAD, hide = true)]
    BenchLoad,
    /// A kernel program that counts and does nothing else, in a process of its own.
    #[command(name = bench::FLOOR, hide = true)]
    BenchFloor,
    /// Connections of that load which stay open.
    #[command(name = bench::HOLD, hide = true)]
    BenchHold {
        /// How many.
        connections: u64,
    },
    /// Run a probe command on Debian's kernels, each in a virtual machine.
    Vm {
        /// Which kernels: 5.10, 6.1, 6.12 or sid; all where none is named.
        kernels: Vec<String>,
        #[command(flatten)]
        options: vm::machine::Options,
        /// What follows `probe`; `doctor` where nothing does. Files in its working directory come
        /// from target/vm/KERNEL/files and go back there.
        #[arg(last = true)]
        command: Vec<OsString>,
    },
    /// Audit Debian's kernels and the host's, and hold them against what is written down of them in tests/profiles.
    Matrix(matrix::Matrix),
    /// Check format, lints, tests and documentation.
    Ci,
}

fn main() -> ExitCode {
    let success = |()| ExitCode::SUCCESS;
    let done = match Chore::parse() {
        Chore::Setup => setup::setup().map(success),
        Chore::Run { args } => run::run(&args).map(|never| match never {}),
        Chore::Test { unprivileged, args } => test::test(unprivileged, &args).map(success),
        Chore::Bench(args) => bench::bench(&args).map(success),
        Chore::BenchLoad => bench::generate().map(success),
        Chore::BenchFloor => bench::count_transitions().map(success),
        Chore::BenchHold { connections } => bench::keep(connections).map(success),
        Chore::Vm { kernels, options, command } => vm::vm(&kernels, &command, &options),
        Chore::Matrix(matrix) => matrix::matrix(&matrix).map(success),
        Chore::Ci => ci::ci().map(success),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
