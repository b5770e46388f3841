//! The `probe` command.

use std::process::ExitCode;

use clap::Parser as _;
use log::LevelFilter;
use probe::{cli::Cli, cmd};

/// The runtime has one thread: a thread that enters a network namespace must not belong to a pool.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(cli.common.verbose);
    match cmd::execute(cli).await {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("probe: {}", failure.message);
            failure.exit.into()
        }
    }
}

/// `-v` logs the reader, `-vv` the kernel side too; RUST_LOG overrides both.
fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        _ => LevelFilter::Debug,
    };
    env_logger::Builder::new()
        .filter_level(LevelFilter::Warn)
        .filter_module("probe", level)
        .filter_module("probe_kernel", level)
        .parse_default_env()
        .init();
}
