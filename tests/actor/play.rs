//! The actor's side: the commands. Sockets are named by one word; every command is answered,
//! most of them with the socket's local address.

use std::{
    collections::HashMap,
    env, fs,
    io::{self, Read as _, Write as _, stderr},
    net::{Shutdown, SocketAddr},
    os::fd::{AsFd as _, OwnedFd},
    os::unix::process::CommandExt as _,
    process::{self, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::socket::{setsockopt, sockopt::IpBindAddressNoPort},
    unistd::{Uid, dup2_stderr, setuid},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{ROLE, message::Message, start};
use crate::{support::PATIENCE, workload};

/// Executes commands until the socket closes. One socket is inherited if `inherits` names it.
pub fn play(commands: &OwnedFd, inherits: &str) {
    let mut sockets = Sockets::default();
    if !inherits.is_empty() {
        let inherited = stderr().as_fd().try_clone_to_owned().unwrap();
        sockets.0.insert(inherits.to_owned(), inherited.into());
        dup2_stderr(fs::File::options().write(true).open("/dev/null").unwrap()).unwrap();
    }
    while let Some(command) = Message::receive(commands) {
        let answer = carry_out(&mut sockets, command).unwrap_or_else(|error| Message::refusal(&why(&error)));
        if answer.send(commands).is_err() {
            return;
        }
    }
}

fn why(error: &io::Error) -> String {
    let number = error.raw_os_error().map(nix::errno::Errno::from_raw);
    number.map_or_else(|| error.to_string(), |number| format!("{number:?}"))
}

fn carry_out(sockets: &mut Sockets, command: Message) -> io::Result<Message> {
    if let Some(name) = command.bytes.strip_prefix(b"comm ") {
        // The process's name: this is not its main thread.
        fs::write("/proc/self/comm", name)?;
        return Ok(Message::of("called"));
    }
    let text = String::from_utf8(command.bytes).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    match (words.as_slice(), command.descriptor) {
        (["exit"], _) => process::exit(0),
        (["exec"], _) => Err(exec(Stdio::inherit(), "")),
        (["exec", name], _) => Err(exec(Stdio::from(OwnedFd::from(sockets.get(name).try_clone()?)), name)),
        (["user", id], _) => {
            setuid(Uid::from_raw(id.parse().unwrap()))?;
            Ok(Message::of(*id))
        }
        (["work", seed, rounds], _) => {
            workload::work(seed.parse().unwrap(), rounds.parse().unwrap());
            Ok(Message::of("worked"))
        }
        (["try", count, address], _) => {
            let address: SocketAddr = address.parse().unwrap();
            for _ in 0..count.parse().unwrap() {
                let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
                socket.connect(&address.into()).unwrap_err();
            }
            Ok(Message::of(*count))
        }
        (["start", name], _) => {
            let inherited = sockets.get(name).try_clone()?;
            let (child, commands) = start(Stdio::from(OwnedFd::from(inherited)), name);
            Ok(Message { descriptor: Some(commands), ..Message::of(child.id().to_string()) })
        }
        (["give", name], _) => {
            let copy = sockets.get(name).try_clone()?;
            Ok(Message { descriptor: Some(copy.into()), ..Message::of(*name) })
        }
        (["take", name], Some(descriptor)) => {
            sockets.0.insert((*name).to_owned(), descriptor.into());
            Ok(Message::of(*name))
        }
        (words, _) => sockets.carry_out(words).map(Message::of),
    }
}

/// Executes this binary again as an actor; only the command socket survives exec, and the one that its stderr is under this
/// name, if any.
fn exec(stderr: Stdio, inherits: &str) -> io::Error {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(env::args_os().skip(1)).env(ROLE, inherits).stderr(stderr).exec()
}

#[derive(Default)]
struct Sockets(HashMap<String, Socket>);

impl Sockets {
    fn get(&self, name: &str) -> &Socket {
        self.0.get(name).unwrap_or_else(|| panic!("no socket named {name}"))
    }

    /// The socket with that name, created in the address's family if necessary.
    fn open(&mut self, name: &str, address: SocketAddr) -> io::Result<&Socket> {
        if !self.0.contains_key(name) {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            self.0.insert(name.to_owned(), socket);
        }
        Ok(self.get(name))
    }

    fn carry_out(&mut self, words: &[&str]) -> io::Result<String> {
        let [what, name, rest @ ..] = words else { panic!("unknown command {words:?}") };
        let name = *name;
        match (*what, rest) {
            ("mptcp", [address]) => {
                let domain = Domain::for_address(address.parse().unwrap());
                let socket = Socket::new(domain, Type::STREAM, Some(Protocol::MPTCP))?;
                self.0.insert(name.to_owned(), socket);
            }
            ("bind", [address, options @ ..]) => {
                let address = address.parse().unwrap();
                let socket = self.open(name, address)?;
                for option in options {
                    match *option {
                        "reuseaddr" => socket.set_reuse_address(true)?,
                        "reuseport" => socket.set_reuse_port(true)?,
                        "noport" => setsockopt(socket, IpBindAddressNoPort, &true)?,
                        "v6only" => socket.set_only_v6(true)?,
                        other => match other.strip_prefix("device=") {
                            Some(device) => socket.bind_device(Some(device.as_bytes()))?,
                            None => panic!("unknown option {other}"),
                        },
                    }
                }
                socket.bind(&address.into())?;
            }
            ("listen", []) => self.get(name).listen(128)?,
            ("listen", [address, options @ ..]) => {
                self.carry_out(&[&["bind", name, address], options].concat())?;
                self.get(name).listen(128)?;
            }
            ("connect", [address]) => {
                let address: SocketAddr = address.parse().unwrap();
                self.open(name, address)?.connect(&address.into())?;
            }
            ("begin-connect", [address]) => {
                let address: SocketAddr = address.parse().unwrap();
                let socket = self.open(name, address)?;
                socket.set_nonblocking(true)?;
                let started = socket.connect(&address.into()).unwrap_err();
                assert_eq!(started.raw_os_error(), Some(nix::libc::EINPROGRESS), "{started}");
            }
            ("accept", [from]) => {
                let (socket, _) = self.get(from).accept()?;
                socket.set_read_timeout(Some(PATIENCE))?;
                self.0.insert(name.to_owned(), socket);
            }
            ("accept-all", []) => return self.accept_all(name),
            ("write", [count]) => {
                let bytes = vec![b'x'; count.parse().unwrap()];
                self.get(name).write_all(&bytes)?;
            }
            ("read", [count]) => {
                let mut bytes = vec![0; count.parse().unwrap()];
                self.get(name).read_exact(&mut bytes)?;
            }
            ("read-to-end", []) => {
                self.get(name).read_to_end(&mut Vec::new())?;
            }
            ("shutdown", []) => self.get(name).shutdown(Shutdown::Write)?,
            ("disconnect", []) => rustix::net::connect_unspec(self.get(name))?,
            ("close", []) => return self.close(name),
            ("abort", []) => {
                self.get(name).set_linger(Some(Duration::ZERO))?;
                return self.close(name);
            }
            _ => panic!("unknown command {words:?}"),
        }
        Ok(self.get(name).local_addr()?.as_socket().map_or_else(String::new, |local| local.to_string()))
    }

    /// Accepts all waiting connections and answers with the number and the peers.
    fn accept_all(&mut self, name: &str) -> io::Result<String> {
        let mut peers = "accepted".to_owned();
        self.get(name).set_nonblocking(true)?;
        while let Ok((socket, peer)) = self.get(name).accept() {
            let peer = peer.as_socket().expect("TCP sockets have IP addresses").to_string();
            peers.extend([" ", &peer]);
            self.0.insert(peer, socket);
        }
        self.get(name).set_nonblocking(false)?;
        Ok(peers)
    }

    fn close(&mut self, name: &str) -> io::Result<String> {
        drop(self.0.remove(name));
        Ok(name.to_owned())
    }
}
