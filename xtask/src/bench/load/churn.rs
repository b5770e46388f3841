//! Connections that each thread opens, accepts and closes one after the other.

use std::{
    io::{self, Read as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use socket2::SockRef;

use super::{Churn, Close, Limit, TRANSITIONS, TRANSITIONS_LISTENER, TRANSITIONS_RESET};

/// Returns the numbers of connections and transitions.
pub fn churn(churn: Churn) -> Result<(u64, u64)> {
    let made = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..churn.threads).map(|thread| scope.spawn(move || one_thread(churn, thread))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("the thread does not panic"))
            .sum::<io::Result<u64>>()
    });
    let connections = made.context("could not connect over loopback")?;
    let each = match churn.close {
        Close::Fin => TRANSITIONS,
        Close::Reset => TRANSITIONS_RESET,
    };
    Ok((connections, connections * each + churn.threads * TRANSITIONS_LISTENER))
}

/// One thread's share; returns its number of connections.
fn one_thread(churn: Churn, thread: u64) -> io::Result<u64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let started = Instant::now();
    let interval = churn.rate.map(|rate| Duration::from_secs_f64(churn.threads as f64 / rate as f64));
    let is_enough = |made: u64| match churn.until {
        // The first threads take the remainder of the division.
        Limit::Connections(all) => made >= (all + churn.threads - 1 - thread) / churn.threads,
        Limit::Time(time) => started.elapsed() >= time,
    };
    let mut made = 0;
    while !is_enough(made) {
        if let Some(interval) = interval {
            let due = started + interval.mul_f64(made as f64);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        connection(&listener, address, churn.close)?;
        made += 1;
    }
    Ok(made)
}

/// One connection from SYN to close.
fn connection(listener: &TcpListener, address: SocketAddr, close: Close) -> io::Result<()> {
    let mut client = TcpStream::connect(address)?;
    let (server, _) = listener.accept()?;
    match close {
        // The server keeps its descriptor until the client's FIN has arrived, so that no endpoint is an
        // orphan and no segment finds a closed socket.
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
    fn the_rate_is_respected() {
        let started = Instant::now();
        let paced = made(|churn| Churn { threads: 1, rate: Some(100), ..churn });
        // The first connection is immediate.
        assert!(started.elapsed() >= Duration::from_millis(90));
        assert_eq!(paced.0, 10);
    }
}
