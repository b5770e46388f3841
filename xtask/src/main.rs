//! Development tasks: the command line, and the file behind each task.

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

/// Development tasks of probe.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Find or provide the toolchain that compiles the BPF programs.
    Setup,
    /// Build probe and run its scenarios, with sudo if necessary.
    #[command(disable_help_flag = true)]
    Run {
        /// Passed on to `probe run`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Run all tests, with sudo if necessary.
    Test {
        /// Skip the tests that need root (they count as ignored).
        #[arg(long)]
        unprivileged: bool,
        /// Passed on to the test programs, such as a filter or --nocapture.
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Measure the cost of probe and other tracers, and how it grows.
    Bench(bench::Args),
    /// The load generator process of a measurement.
    #[command(name = bench::LOAD, hide = true)]
    BenchLoad,
    /// The counting process of a measurement.
    #[command(name = bench::FLOOR, hide = true)]
    BenchFloor,
    /// A process that holds connections of the load open.
    #[command(name = bench::HOLD, hide = true)]
    BenchHold {
        /// Number of connections.
        connections: u64,
    },
    /// Run a probe command on Debian's kernels, each in a virtual machine.
    Vm {
        /// Kernels, such as 6.1 or sid [default: all].
        kernels: Vec<String>,
        /// Run the integration tests instead of probe, with the arguments for the test program.
        #[arg(long)]
        tests: bool,
        #[command(flatten)]
        options: vm::machine::Options,
        /// Arguments for `probe` [default: doctor]. Its working directory is copied
        /// from target/vm/KERNEL/files and back.
        #[arg(last = true)]
        command: Vec<OsString>,
    },
    /// Audit Debian's kernels and the host's, and compare them with the profiles in tests/profiles.
    Matrix(matrix::Matrix),
    /// Check format, lints, tests, documentation and one more kernel.
    Ci,
}

fn main() -> ExitCode {
    let success = |()| ExitCode::SUCCESS;
    let done = match Task::parse() {
        Task::Setup => setup::setup().map(success),
        Task::Run { args } => run::run(&args).map(|never| match never {}),
        Task::Test { unprivileged, args } => test::test(unprivileged, &args).map(success),
        Task::Bench(args) => bench::bench(&args).map(success),
        Task::BenchLoad => bench::generate().map(success),
        Task::BenchFloor => bench::count_transitions().map(success),
        Task::BenchHold { connections } => bench::keep(connections).map(success),
        Task::Vm { kernels, tests, options, command } => vm::vm(&kernels, &command, tests, &options),
        Task::Matrix(matrix) => matrix::matrix(&matrix).map(success),
        Task::Ci => ci::ci().map(success),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
