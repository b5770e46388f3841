//! Connections that are opened, accepted and closed, one after the other on each thread.

use std::{
    io::{self, Read as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use socket2::SockRef;

use super::{Churn, Close, TRANSITIONS, TRANSITIONS_LISTENER, TRANSITIONS_RESET, Until};

/// Gives the numbers of connections and of transitions that were made.
pub fn churn(churn: Churn) -> Result<(u64, u64)> {
    let made = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..churn.threads).map(|thread| scope.spawn(move || one_thread(churn, thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).sum::<io::Result<u64>>()
    });
    let connections = made.context("a connection over loopback could not be made")?;
    let each = match churn.close {
        Close::Fin => TRANSITIONS,
        Close::Reset => TRANSITIONS_RESET,
    };
    Ok((connections, connections * each + churn.threads * TRANSITIONS_LISTENER))
}

/// One thread's share; gives its number of connections.
fn one_thread(churn: Churn, thread: u64) -> io::Result<u64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let begun = Instant::now();
    let interval = churn.rate.map(|rate| Duration::from_secs_f64(churn.threads as f64 / rate as f64));
    let is_enough = |made: u64| match churn.until {
        // The first threads make those that are left over by a division.
        Until::Connections(all) => made >= (all + churn.threads - 1 - thread) / churn.threads,
        Until::Time(time) => begun.elapsed() >= time,
    };
    let mut made = 0;
    while !is_enough(made) {
        if let Some(interval) = interval {
            let due = begun + interval.mul_f64(made as f64);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        connection(&listener, address, churn.close)?;
        made += 1;
    }
    Ok(made)
}

/// One connection, from its SYN to its end.
fn connection(listener: &TcpListener, address: SocketAddr, close: Close) -> io::Result<()> {
    let mut client = TcpStream::connect(address)?;
    let (server, _) = listener.accept()?;
    match close {
        // The server's end stays in user space's hands until the client's FIN has come, so that no end is an
        // orphan and no segment meets a socket that is gone.
        Close::Fin => {
            server.shutdown(Shutdown::Write)?;
            while client.read(&mut [0])? > 0 {}
            drop(client);
        }
        Close::Reset => {
            SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
            drop(client);
        }
    }
    drop(server);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(change: impl FnOnce(Churn) -> Churn) -> (u64, u64) {
        churn(change(Churn::of(3, 10))).unwrap()
    }

    #[test]
    fn threads_share_the_connections() {
        assert_eq!(made(|churn| churn), (10, 106));
        assert_eq!(made(|churn| Churn { close: Close::Reset, ..churn }), (10, 66));
    }

    #[test]
    fn a_pace_is_kept() {
        let begun = Instant::now();
        let paced = made(|churn| Churn { threads: 1, rate: Some(100), ..churn });
        // The first comes at once.
        assert!(begun.elapsed() >= Duration::from_millis(90));
        assert_eq!(paced.0, 10);
    }
}
