//! The kinds of connections. Each function takes an address with port 0.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr},
    os::fd::OwnedFd,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::net::connect_unspec;
use socket2::{Domain, Protocol, Socket, Type};

use super::Random;
use crate::support::PATIENCE;

type Kind = fn(&mut Random, SocketAddr) -> io::Result<()>;

const KINDS: [Kind; 13] = [
    ordinary,
    ordinary,
    refused,
    reset,
    half_closed,
    crossing,
    inherited,
    shared_port,
    reconnected,
    never_accepted,
    connected_to_itself,
    listening_twice,
    unanswered,
];

/// Runs a random one.
pub fn random(random: &mut Random, any_port: SocketAddr) -> io::Result<()> {
    KINDS[random.below(KINDS.len() as u64) as usize](random, any_port)
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // No call blocks forever, whatever the peer does.
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = socket(address)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listener(address: SocketAddr, backlog: i32) -> io::Result<Socket> {
    let socket = bound(address)?;
    socket.listen(backlog)?;
    Ok(socket)
}

fn local(socket: &Socket) -> SocketAddr {
    socket.local_addr().unwrap().as_socket().unwrap()
}

fn connected(address: SocketAddr) -> io::Result<Socket> {
    let socket = socket(address)?;
    socket.connect(&address.into())?;
    Ok(socket)
}

/// A connected client and its accepted socket.
fn pair(any_port: SocketAddr) -> io::Result<[Socket; 2]> {
    let listener = listener(any_port, 8)?;
    let client = connected(local(&listener))?;
    let (server, _) = listener.accept()?;
    server.set_read_timeout(Some(PATIENCE))?;
    Ok([client, server])
}

/// A pair in either order.
fn pair_in_random_order(random: &mut Random, any_port: SocketAddr) -> io::Result<[Socket; 2]> {
    let mut pair = pair(any_port)?;
    if random.coin() {
        pair.reverse();
    }
    Ok(pair)
}

fn talk(from: &Socket, to: &Socket) -> io::Result<()> {
    let mut heard = [0; 5];
    (&*from).write_all(b"hello")?;
    (&*to).read_exact(&mut heard)
}

fn ordinary(random: &mut Random, any_port: SocketAddr) -> io::Result<()> {
    let [first, second] = pair_in_random_order(random, any_port)?;
    talk(&first, &second)?;
    if random.coin() {
        talk(&second, &first)?;
    }
    drop(first);
    (&second).read_to_end(&mut Vec::new())?;
    Ok(())
}

fn refused(random: &mut Random, any_port: SocketAddr) -> io::Result<()> {
    let mute = bound(any_port)?;
    let client = if random.coin() { bound(any_port)? } else { socket(any_port)? };
    for _ in 0..=random.below(2) {
        let refusal = client.connect(&local(&mute).into()).unwrap_err();
        assert_eq!(refusal.kind(), io::ErrorKind::ConnectionRefused, "{refusal}");
    }
    Ok(())
}

fn reset(random: &mut Random, any_port: SocketAddr) -> io::Result<()> {
    let [first, second] = pair_in_random_order(random, any_port)?;
    match random.below(3) {
        0 => first.set_linger(Some(Duration::ZERO))?,
        // Unread data makes close(2) send an RST.
        1 => (&second).write_all(b"unread")?,
        _ => {
            second.shutdown(Shutdown::Write)?;
            first.set_linger(Some(Duration::ZERO))?;
        }
    }
    drop(first);
    // An RST, or a FIN before it.
    let _ = (&second).read_to_end(&mut Vec::new());
    Ok(())
}

fn half_closed(random: &mut Random, any_port: SocketAddr) -> io::Result<()> {
    let [first, second] = pair_in_random_order(random, any_port)?;
    first.shutdown(Shutdown::Write)?;
    (&second).read_to_end(&mut Vec::new())?;
    talk(&second, &first)?;
    if random.coin() {
        second.shutdown(Shutdown::Write)?;
    }
    if random.coin() {
        drop(first);
    } else {
        drop(second);
    }
    Ok(())
}

/// Both endpoints close concurrently.
fn crossing(random: &mut Random, any_port: SocketAddr) -> io::Result<()> {
    let sockets = pair(any_port)?;
    let shuts_down = random.coin();
    let close = |socket: Socket| {
        if shuts_down {
            // The peer may have reset first.
            let _ = socket.shutdown(Shutdown::Both);
        }
    };
    thread::scope(|scope| {
        for socket in sockets {
            scope.spawn(move || close(socket));
        }
    });
    Ok(())
}

/// The last process to close a socket has inherited it.
fn inherited(random: &mut Random, any_port: SocketAddr) -> io::Result<()> {
    let [first, second] = pair_in_random_order(random, any_port)?;
    let mut holder = Command::new("cat");
    holder.stdin(OwnedFd::from(first.try_clone()?)).stdout(Stdio::null());
    let mut holder = holder.spawn()?;
    drop(first);
    (&second).write_all(b"for the other")?;
    second.shutdown(Shutdown::Write)?;
    assert!(holder.wait()?.success());
    Ok(())
}

/// One local port for two destinations; a third connection would duplicate the first 4-tuple.
fn shared_port(random: &mut Random, any_port: SocketAddr) -> io::Result<()> {
    let servers = [listener(any_port, 8)?, listener(any_port, 8)?];
    let first = socket(any_port)?;
    first.set_reuse_port(true)?;
    first.bind(&any_port.into())?;
    let shared = local(&first);
    let sharing = || {
        let socket = socket(shared)?;
        socket.set_reuse_port(true)?;
        socket.bind(&shared.into())?;
        io::Result::Ok(socket)
    };
    let (second, third) = (sharing()?, sharing()?);
    first.connect(&local(&servers[0]).into())?;
    second.connect(&local(&servers[1]).into())?;
    let refusal = third.connect(&local(&servers[0]).into()).unwrap_err();
    assert_eq!(refusal.kind(), io::ErrorKind::AddrNotAvailable, "{refusal}");
    let accepted = servers[0].accept()?;
    if random.coin() {
        drop(accepted);
        (&first).read_to_end(&mut Vec::new())?;
    }
    Ok(())
}

/// A socket that disconnects (AF_UNSPEC) and connects again.
fn reconnected(random: &mut Random, any_port: SocketAddr) -> io::Result<()> {
    let server = listener(any_port, 8)?;
    let client = if random.coin() { bound(any_port)? } else { socket(any_port)? };
    for _ in 0..=random.below(3) {
        client.connect(&local(&server).into())?;
        let (accepted, _) = server.accept()?;
        if random.coin() {
            drop(accepted);
        }
        connect_unspec(&client)?;
    }
    Ok(())
}

/// A listener that closes before it accepts.
fn never_accepted(random: &mut Random, any_port: SocketAddr) -> io::Result<()> {
    let server = listener(any_port, 8)?;
    let clients = (0..=random.below(3)).map(|_| connected(local(&server))).collect::<io::Result<Vec<_>>>()?;
    if random.coin() {
        drop(server);
    }
    drop(clients);
    Ok(())
}

fn connected_to_itself(random: &mut Random, any_port: SocketAddr) -> io::Result<()> {
    let socket = bound(any_port)?;
    socket.connect(&local(&socket).into())?;
    talk(&socket, &socket)?;
    if random.coin() {
        socket.shutdown(Shutdown::Write)?;
    }
    Ok(())
}

/// A listener that shuts down, then listens again or connects.
fn listening_twice(random: &mut Random, any_port: SocketAddr) -> io::Result<()> {
    let server = listener(any_port, 8)?;
    server.shutdown(Shutdown::Both)?;
    if random.coin() {
        server.listen(1)?;
    }
    Ok(())
}

/// A SYN dropped by a listener with a full queue; the client gives up.
fn unanswered(random: &mut Random, any_port: SocketAddr) -> io::Result<()> {
    let server = listener(any_port, 0)?;
    let in_queue = connected(local(&server))?;
    let clients: Vec<_> = (0..=random.below(2)).map(|_| socket(any_port)).collect::<io::Result<_>>()?;
    for client in &clients {
        client.set_nonblocking(true)?;
        // EINPROGRESS: the connect never completes.
        let _ = client.connect(&local(&server).into());
    }
    if random.coin() {
        drop(clients);
    } else {
        drop(in_queue);
    }
    Ok(())
}
