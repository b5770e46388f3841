//! The floor: what a kernel program costs that counts and does nothing else ([`floor`](crate::bench::floor)).

use std::{env, fs};

use anyhow::{Context as _, Result};

use super::{Place, Ready, Tells, Told, Tracer};
use crate::bench::floor::{CHORE, COUNT, READY};

/// It; this very program has it.
///
/// # Errors
/// Nobody knows where this program is.
pub fn counter() -> Result<Tracer> {
    Ok(Tracer {
        name: "bare counter",
        is_probe: false,
        tells: Tells::Count,
        has_lines: false,
        ready: Ready::Says(READY),
        program: env::current_exe()?,
        args: vec![CHORE.into()],
        libraries: None,
        count: counted,
    })
}

fn counted(_: &Tracer, place: &Place) -> Result<Told> {
    let out = fs::read_to_string(place.out())?;
    let events = count(&out).context("the count was not printed")?;
    Ok(Told { events, ..Told::default() })
}

fn count(out: &str) -> Option<u64> {
    out.lines().find_map(|line| line.strip_prefix(COUNT)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn the_count_stands_behind_its_name() {
        assert_eq!(count("ready\ntransitions: 200002\n"), Some(200_002));
        assert_eq!(count("ready\n"), None);
    }
}
