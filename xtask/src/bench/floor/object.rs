//! The counter as a hand-assembled object file: ten instructions need no compiler.

use anyhow::Result;
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    elf::R_BPF_64_64,
    write::{Object, Relocation, RelocationFlags, SectionId, Symbol, SymbolSection},
};

/// The tracepoint, which also names the program.
pub const PROGRAM: &str = "inet_sock_set_state";

/// The section from which the loader creates the map.
pub const COUNTS: &str = ".bss";

/// Each CPU's count starts its own cache line, so that CPUs do not contend.
pub type Counts = [[u64; LINE / 8]; CPUS];

/// Beyond this number, CPUs share counts and may lose increments.
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

/// The instruction that loads the address of the counts.
const TAKES_ADDRESS: usize = 3;

/// Opcode, source and destination registers, immediate.
struct Instruction(u8, u8, i32);

impl Instruction {
    const BYTES: usize = 8;

    fn bytes(&self) -> [u8; Self::BYTES] {
        let Self(operation, registers, constant) = *self;
        // Bit-field order follows the byte order.
        let registers = if cfg!(target_endian = "little") { registers } else { registers.rotate_left(4) };
        let [a, b, c, d] = constant.to_ne_bytes();
        [operation, registers, 0, 0, a, b, c, d]
    }
}

/// Assembles the object file for this host.
///
/// # Errors
/// The object file cannot be written.
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
    fn the_loader_relocates_the_address_of_the_counts() {
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
