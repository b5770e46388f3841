//! Calls of the kernel's own functions, put into the programs when they are loaded.

use nix::sys::utsname::uname;
use probe_ebpf::kfuncs::{IRQ_RESTORE, IRQ_SAVE, Kfunc};

use super::btf::Btf;

/// How long an instruction is.
const INSTRUCTION: usize = 8;

/// `BPF_ALU64 | BPF_MOV | BPF_K` into r0, up to its number.
const LOAD: [u8; 4] = [0xb7, 0, 0, 0];

/// `BPF_JMP | BPF_CALL` of a function in the kernel's type information (`BPF_PSEUDO_KFUNC_CALL`), up to its number there.
const CALL: [u8; 4] = [0x85, if cfg!(target_endian = "little") { 0x20 } else { 0x02 }, 0, 0];

/// What the kernel calls itself where an interrupt's work is a thread's.
const REALTIME: &str = "PREEMPT_RT";

/// The functions that hold interrupts off, and their numbers in this kernel's type information.
#[derive(Clone, Copy, Debug)]
pub struct Kfuncs([(Kfunc, u32); 2]);

impl Kfuncs {
    /// Of this kernel; `None` where it has none, or where they cannot be used: with PREEMPT_RT, memory is not allocated
    /// while interrupts are off, not even atomically, and a socket's storage is.
    pub fn of(btf: &Btf) -> Option<Self> {
        let is_realtime = uname().is_ok_and(|name| name.version().to_string_lossy().contains(REALTIME));
        if is_realtime {
            return None;
        }
        let number = |kfunc: Kfunc| Some((kfunc, btf.function(kfunc.name)?));
        Some(Self([number(IRQ_SAVE)?, number(IRQ_RESTORE)?]))
    }

    /// The object with the calls in their places.
    pub fn put_into(self, object: &[u8]) -> Vec<u8> {
        let mut object = object.to_vec();
        for instruction in object.as_chunks_mut::<INSTRUCTION>().0 {
            let number =
                self.0.iter().find(|(kfunc, _)| *instruction == encoded(LOAD, kfunc.place.to_ne_bytes()));
            if let Some((_, number)) = number {
                *instruction = encoded(CALL, number.to_ne_bytes());
            }
        }
        object
    }
}

fn encoded(operation: [u8; 4], number: [u8; 4]) -> [u8; INSTRUCTION] {
    let mut instruction = [0; INSTRUCTION];
    instruction[..4].copy_from_slice(&operation);
    instruction[4..].copy_from_slice(&number);
    instruction
}

#[cfg(test)]
mod tests {
    use super::{super::load::OBJECT, *};

    fn count(object: &[u8], wanted: [u8; INSTRUCTION]) -> usize {
        object.as_chunks().0.iter().filter(|instruction| **instruction == wanted).count()
    }

    #[test]
    fn each_call_has_its_place() {
        let kfuncs = Kfuncs([(IRQ_SAVE, 77), (IRQ_RESTORE, 78)]);
        let object = kfuncs.put_into(OBJECT);
        for (kfunc, number) in kfuncs.0 {
            let (load, call) =
                (encoded(LOAD, kfunc.place.to_ne_bytes()), encoded(CALL, number.to_ne_bytes()));
            assert_eq!((count(OBJECT, load), count(OBJECT, call)), (1, 0), "{kfunc:?}");
            assert_eq!((count(&object, load), count(&object, call)), (0, 1), "{kfunc:?}");
        }
        let others = object.iter().zip(OBJECT).filter(|(new, old)| new != old).count();
        assert!(others <= kfuncs.0.len() * INSTRUCTION, "{others} bytes are other ones");
    }
}
