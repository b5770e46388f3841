//! The `probe` command.

use std::process::ExitCode;

use log::LevelFilter;
use probe::{cli::Cli, cmd, os::open_files};

/// The runtime has one thread: a thread that enters a network namespace must not belong to a pool.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::of_process().unwrap_or_else(|error| error.exit());
    log_to_stderr(cli.common.verbose);
    open_files::raise_limit();
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
    logger(verbose).parse_default_env().init();
}

fn logger(verbose: u8) -> env_logger::Builder {
    let level = match verbose {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        _ => LevelFilter::Debug,
    };
    let mut logger = env_logger::Builder::new();
    logger
        .filter_level(LevelFilter::Warn)
        // aya's only warning there, for each map that it creates: the kernel's version has no patch level, such as Debian's
        // `7.3~rc7`, and aya requires three numbers. It then leaves out the maps' names, as before Linux 4.15, which nothing
        // here reads.
        .filter_module("aya::util", LevelFilter::Error)
        .filter_module("probe", level)
        .filter_module("probe_kernel", level);
    logger
}

#[cfg(test)]
mod tests {
    use log::{Level, Log as _, Metadata};

    use super::*;

    #[test]
    fn a_kernel_version_that_aya_cannot_parse_is_not_logged() {
        for verbose in 0..3 {
            let logger = logger(verbose).build();
            let logs =
                |target, level| logger.enabled(&Metadata::builder().target(target).level(level).build());
            assert!(!logs("aya::util", Level::Warn));
            assert!(
                logs("aya::util", Level::Error) && logs("aya::bpf", Level::Warn),
                "all else of aya is logged"
            );
            assert!(logs("probe::source", Level::Warn));
            assert_eq!(logs("probe::source", Level::Info), verbose > 0);
        }
    }
}
