//! The counter as an object file, put together by hand: ten instructions need no compiler.

use anyhow::Result;
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    elf::R_BPF_64_64,
    write::{Object, Relocation, RelocationFlags, SectionId, Symbol, SymbolSection},
};

/// The tracepoint, and the program's name.
pub const PROGRAM: &str = "inet_sock_set_state";

/// The map that the loader makes of the section of this name.
pub const COUNTS: &str = ".bss";

/// A CPU's count stands first in a cache line of its own, so that no CPU waits for another.
pub type Counts = [[u64; LINE / 8]; CPUS];

/// Of more CPUs, some share a count, and may lose some of it.
const CPUS: usize = 256;
const LINE: usize = 64;

/// `counts[cpu % CPUS] += 1`, in the kernel's own numbers (Documentation/bpf/standardization/instruction-set.rst).
const CODE: [Instruction; 11] = [
    Instruction(0x85, 0x00, 8),               // call bpf_get_smp_processor_id
    Instruction(0x57, 0x00, CPUS as i32 - 1), // r0 &= CPUS - 1
    Instruction(0x27, 0x00, LINE as i32),     // r0 *= LINE
    Instruction(0x18, 0x01, 0),               // r1 = counts
    Instruction(0x00, 0x00, 0),               // (the address's other half)
    Instruction(0x0f, 0x01, 0),               // r1 += r0
    Instruction(0x79, 0x12, 0),               // r2 = *r1
    Instruction(0x07, 0x02, 1),               // r2 += 1
    Instruction(0x7b, 0x21, 0),               // *r1 = r2
    Instruction(0xb7, 0x00, 0),               // r0 = 0
    Instruction(0x95, 0x00, 0),               // exit
];

/// Where in the code the address of the counts is taken.
const TAKES_ADDRESS: usize = 3;

/// The operation, the source's and the destination's register, and a constant.
struct Instruction(u8, u8, i32);

impl Instruction {
    const BYTES: usize = 8;

    fn bytes(&self) -> [u8; Self::BYTES] {
        let Self(operation, registers, constant) = *self;
        // Bit-fields begin at the other end, as do numbers.
        let registers = if cfg!(target_endian = "little") { registers } else { registers.rotate_left(4) };
        let [a, b, c, d] = constant.to_ne_bytes();
        [operation, registers, 0, 0, a, b, c, d]
    }
}

/// The object file, for this host.
///
/// # Errors
/// It cannot be put together.
pub fn counter() -> Result<Vec<u8>> {
    let endianness = if cfg!(target_endian = "little") { Endianness::Little } else { Endianness::Big };
    let mut elf = Object::new(BinaryFormat::Elf, Architecture::Bpf, endianness);
    let mut section = |name: &str, kind| elf.add_section(Vec::new(), name.into(), kind);
    let code = section(&format!("raw_tp/{PROGRAM}"), SectionKind::Text);
    let counts = section(COUNTS, SectionKind::UninitializedData);
    let license = section("license", SectionKind::Data);
    let bytes: Vec<u8> = CODE.iter().flat_map(Instruction::bytes).collect();
    elf.append_section_data(code, &bytes, 8);
    elf.append_section_bss(counts, size_of::<Counts>() as u64, LINE as u64);
    elf.append_section_data(license, b"GPL\0", 1);
    elf.add_symbol(symbol(PROGRAM, SymbolKind::Text, code, bytes.len()));
    let symbol = elf.add_symbol(symbol("counts", SymbolKind::Data, counts, size_of::<Counts>()));
    let flags = RelocationFlags::Elf { r_type: R_BPF_64_64 };
    let offset = (TAKES_ADDRESS * Instruction::BYTES) as u64;
    elf.add_relocation(code, Relocation { offset, symbol, addend: 0, flags })?;
    Ok(elf.write()?)
}

fn symbol(name: &str, kind: SymbolKind, section: SectionId, size: usize) -> Symbol {
    Symbol {
        name: name.into(),
        value: 0,
        size: size as u64,
        kind,
        scope: SymbolScope::Linkage,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    }
}

#[cfg(test)]
mod tests {
    use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget};

    use super::*;

    #[test]
    fn the_address_of_the_counts_is_filled_in_by_the_loader() {
        let bytes = counter().unwrap();
        let elf = object::File::parse(&bytes[..]).unwrap();
        let code = elf.section_by_name("raw_tp/inet_sock_set_state").unwrap();
        assert_eq!(code.size(), 88);
        let (offset, relocation) = code.relocations().next().unwrap();
        assert_eq!(code.data().unwrap()[offset as usize], 0x18);
        let RelocationTarget::Symbol(symbol) = relocation.target() else { panic!("{relocation:?}") };
        let symbol = elf.symbol_by_index(symbol).unwrap();
        assert_eq!((symbol.name(), symbol.size()), (Ok("counts"), 16_384));
        assert_eq!(elf.section_by_name(COUNTS).unwrap().size(), symbol.size());
    }
}
