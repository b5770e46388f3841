//! Processes that hold a socket as their standard input: single threads, and a 32-bit program.

use std::{
    fs,
    io::ErrorKind,
    os::{fd::AsFd as _, unix::fs::PermissionsExt as _},
    process::{Child, Command, Stdio},
};

use probe::net::Tcp;
use tempfile::TempDir;

/// A process with the socket as its standard input. No other process has it afterwards.
pub fn holds(socket: Tcp, command: &[&str]) -> Child {
    let input = socket.as_fd().try_clone_to_owned().unwrap();
    let child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::from(input))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(socket);
    child
}

/// Starts a 32-bit process with this standard input, which calls connect(2) with AF_UNSPEC on it, and waits until it
/// has exited.
///
/// # Panics
/// The call failed, or this kernel runs no such program.
#[cfg(target_arch = "x86_64")]
pub fn disconnects_in_32_bits(socket: &Tcp) {
    /// A program for i386: connect(0, zeroes, 16); exit(the negated result).
    #[rustfmt::skip]
    const CODE: &[u8] = &[
        0xb8, 0x6a, 0x01, 0x00, 0x00, // mov eax, 362
        0x31, 0xdb, // xor ebx, ebx
        0xb9, 0x00, 0x82, 0x04, 0x08, // mov ecx, 0x08048200
        0xba, 0x10, 0x00, 0x00, 0x00, // mov edx, 16
        0xcd, 0x80, // int 0x80
        0x89, 0xc3, // mov ebx, eax
        0xf7, 0xdb, // neg ebx
        0xb8, 0x01, 0x00, 0x00, 0x00, // mov eax, 1
        0xcd, 0x80, // int 0x80
    ];
    let header: [u32; 21] = [
        0x464c_457f,
        0x0001_0101,
        0,
        0, // magic; 32 bits, little-endian, version 1
        0x0003_0002,
        1,
        0x0804_8054,
        52,
        0,
        0,
        0x0020_0034,
        1,
        0, // executable, i386; entry; one program header
        1,
        0,
        0x0804_8000,
        0x0804_8000,
        0x1000,
        0x1000,
        7,
        0x1000, // PT_LOAD of one page
    ];
    let mut program: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    program.extend(CODE);
    program.resize(0x1000, 0);
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("unspec");
    fs::write(&path, program).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    let status = loop {
        let input = Stdio::from(socket.as_fd().try_clone_to_owned().unwrap());
        match Command::new(&path).stdin(input).status() {
            // Another thread's fork still has the file open for writing.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {}
            other => break other.unwrap(),
        }
    };
    assert!(status.success(), "connect(AF_UNSPEC) in 32 bits: {status}");
}
