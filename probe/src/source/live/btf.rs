//! Field offsets from the kernel's type information.
//!
//! It reads only what is needed: one pass over the types of `/sys/kernel/btf/vmlinux`, without building a graph of them,
//! takes a few milliseconds. Documentation/bpf/btf.rst in the kernel's sources describes the format.

mod bytes;
pub mod tracepoints;

use std::{fs::File, io, path::Path};

use thiserror::Error;

use self::bytes::Bytes;

const MAGIC: u16 = 0xeb9f;
const KIND_PTR: u32 = 2;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_FUNC_PROTO: u32 = 13;

/// Why type information cannot be used.
#[derive(Debug, Error)]
pub enum BtfError {
    /// The kernel was built without CONFIG_DEBUG_INFO_BTF, or /sys is not mounted.
    #[error("cannot read {path}: {source}; use a kernel with CONFIG_DEBUG_INFO_BTF, and mount sysfs at /sys")]
    Missing {
        /// The file.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// The data violates the format.
    #[error("the kernel's type information is corrupt at byte {0}")]
    Corrupt(usize),
}

/// The raw bytes, and the offset of each type.
pub struct Btf {
    bytes: Bytes,
    strings: usize,
    /// Offsets by type id; id 0 is void.
    types: Vec<usize>,
}

/// The offset of a struct's type.
#[derive(Clone, Copy, Debug)]
pub struct Structure(usize);

/// A member of a struct.
struct Member {
    /// Its offset in bits.
    bits: u32,
    /// The width of a bit field in bits; 0 for any other member.
    width: u32,
    /// The id of its type.
    kind: u32,
}

/// The fixed part of a type (`struct btf_type`).
struct Header {
    name: u32,
    kind: u32,
    count: usize,
    bitfields: bool,
    /// The size in bytes or the id of the referenced type, by kind.
    size_or_type: u32,
}

impl Btf {
    /// Reads the running kernel's type information.
    ///
    /// # Errors
    /// [`BtfError`]: it is missing or corrupt.
    pub fn of_kernel() -> Result<Self, BtfError> {
        let path = Path::new("/sys/kernel/btf/vmlinux");
        let bytes = File::open(path)
            .and_then(Bytes::of)
            .map_err(|source| BtfError::Missing { path: path.display().to_string(), source })?;
        Self::parse(bytes)
    }

    /// Finds the offset of each type.
    fn parse(bytes: Bytes) -> Result<Self, BtfError> {
        let mut btf = Self { bytes, strings: 0, types: vec![0] };
        if btf.u32(0)? & 0xffff != u32::from(MAGIC) {
            return Err(BtfError::Corrupt(0));
        }
        let header = btf.u32(4)? as usize;
        let first = header + btf.u32(8)? as usize;
        let end = first + btf.u32(12)? as usize;
        btf.strings = header + btf.u32(16)? as usize;
        let mut at = first;
        while at < end {
            let next = at + 12 + btf.tail(at)?;
            btf.types.push(at);
            at = next;
        }
        Ok(btf)
    }

    /// The number of bytes that follow a type's fixed part.
    fn tail(&self, at: usize) -> Result<usize, BtfError> {
        let Header { kind, count, .. } = self.header(at)?;
        Ok(match kind {
            1 | 14 | 17 => 4,              // INT, VAR, DECL_TAG
            3 => 12,                       // ARRAY
            4 | 5 | 15 | 19 => count * 12, // STRUCT, UNION, DATASEC, ENUM64
            6 | 13 => count * 8,           // ENUM, FUNC_PROTO
            2 | 7..=12 | 16 | 18 => 0,     // PTR, FWD, TYPEDEF, qualifiers, FUNC, FLOAT, TYPE_TAG
            _ => return Err(BtfError::Corrupt(at)),
        })
    }

    /// The struct of this name.
    pub fn structure(&self, name: &str) -> Option<Structure> {
        self.find(KIND_STRUCT, name).map(Structure)
    }

    /// The offset in bytes of a member such as `__sk_common.skc_family` in a struct, also within anonymous structs and
    /// unions. `None` where this kernel lacks the member, or it is a bit field.
    pub fn offset(&self, Structure(mut at): Structure, member: &str) -> Option<u32> {
        let mut bits = 0;
        for name in member.split('.') {
            let member = self.find_member(at, name).filter(|member| member.width == 0)?;
            bits += member.bits;
            at = self.resolve(member.kind)?;
        }
        bits.is_multiple_of(8).then_some(bits / 8)
    }

    /// The offset in bytes of the byte that a bit field is in, and the mask of its bits in it. `None` where the field
    /// crosses bytes.
    pub fn bits(&self, Structure(at): Structure, member: &str) -> Option<(u32, u32)> {
        let found = self.find_member(at, member)?;
        let unused = 8_u32.checked_sub(found.bits % 8 + found.width)?;
        let shift = if cfg!(target_endian = "big") { unused } else { found.bits % 8 };
        (found.width > 0).then_some((found.bits / 8, ((1 << found.width) - 1) << shift))
    }

    /// Whether the enumeration has this enumerator.
    pub fn enumerates(&self, enumeration: &str, enumerator: &str) -> bool {
        self.enumerators(enumeration).any(|(label, _)| self.is_named(label, enumerator))
    }

    /// The enumeration's values and names.
    pub fn values(&self, enumeration: &str) -> impl Iterator<Item = (u32, String)> {
        self.enumerators(enumeration).filter_map(|(label, value)| Some((value, self.name(label)?)))
    }

    /// The number of arguments that the tracepoint passes to its programs; `None` where this kernel has no tracepoint of
    /// this name.
    pub fn arguments(&self, tracepoint: &str) -> Option<usize> {
        // typedef void (*btf_trace_NAME)(void *__data, ARGUMENTS)
        let handler = self.header(self.find(KIND_TYPEDEF, &format!("btf_trace_{tracepoint}"))?).ok()?;
        let pointer = self.header(self.resolve(handler.size_or_type)?).ok()?;
        let function = self.header(self.resolve(pointer.size_or_type)?).ok()?;
        let kinds = (pointer.kind, function.kind);
        (kinds == (KIND_PTR, KIND_FUNC_PROTO)).then(|| function.count.checked_sub(1)).flatten()
    }

    /// The enumeration's names, by their offsets, and values.
    fn enumerators(&self, enumeration: &str) -> impl Iterator<Item = (u32, u32)> {
        let found = self.find(KIND_ENUM, enumeration).and_then(|at| Some((at, self.header(at).ok()?.count)));
        let (at, count) = found.unwrap_or_default();
        (0..count).filter_map(move |index| {
            let enumerator = at + 12 + index * 8;
            Some((self.u32(enumerator).ok()?, self.u32(enumerator + 4).ok()?))
        })
    }

    fn find(&self, kind: u32, name: &str) -> Option<usize> {
        self.types[1..].iter().copied().find(|at| {
            self.header(*at).is_ok_and(|header| header.kind == kind && self.is_named(header.name, name))
        })
    }

    /// A member of the struct at `at` or of its anonymous members.
    fn find_member(&self, at: usize, name: &str) -> Option<Member> {
        let header = self.header(at).ok()?;
        if header.kind != KIND_STRUCT && header.kind != KIND_UNION {
            return None;
        }
        (0..header.count).find_map(|index| {
            let member = at + 12 + index * 12;
            let (label, member_type, raw) =
                (self.u32(member).ok()?, self.u32(member + 4).ok()?, self.u32(member + 8).ok()?);
            let (width, offset) = if header.bitfields { (raw >> 24, raw & 0x00ff_ffff) } else { (0, raw) };
            if self.is_named(label, name) {
                return Some(Member { bits: offset, width, kind: member_type });
            }
            if !self.is_named(label, "") {
                return None;
            }
            let inner = self.find_member(self.resolve(member_type)?, name)?;
            Some(Member { bits: offset + inner.bits, ..inner })
        })
    }

    /// The offset of the type behind typedefs and qualifiers.
    fn resolve(&self, id: u32) -> Option<usize> {
        let mut at = *self.types.get(id as usize)?;
        loop {
            let header = self.header(at).ok()?;
            match header.kind {
                8..=11 | 18 => at = *self.types.get(header.size_or_type as usize)?,
                _ => return Some(at),
            }
        }
    }

    fn header(&self, at: usize) -> Result<Header, BtfError> {
        let info = self.u32(at + 4)?;
        Ok(Header {
            name: self.u32(at)?,
            kind: (info >> 24) & 0x1f,
            count: (info & 0xffff) as usize,
            bitfields: info >> 31 == 1,
            size_or_type: self.u32(at + 8)?,
        })
    }

    /// Compares the string at `offset`, without searching for its end first.
    fn is_named(&self, offset: u32, name: &str) -> bool {
        let start = self.strings + offset as usize;
        self.bytes
            .get(start..=start + name.len())
            .is_some_and(|found| found[..name.len()] == *name.as_bytes() && found[name.len()] == 0)
    }

    /// The string at `offset`.
    fn name(&self, offset: u32) -> Option<String> {
        let bytes = self.bytes.get(self.strings + offset as usize..)?;
        let end = bytes.iter().position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    fn u32(&self, at: usize) -> Result<u32, BtfError> {
        let bytes = self.bytes.get(at..at + 4).ok_or(BtfError::Corrupt(at))?;
        Ok(u32::from_ne_bytes(bytes.try_into().expect("four bytes")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `enum color { c, d };`,
    /// `struct outer { int a; union { int b; struct inner { int c, d; } e; }; int f:3, g:1; }` and
    /// `typedef void (*btf_trace_b)(void *, int);`
    pub fn sample() -> Vec<u8> {
        let strings = b"\0int\0color\0outer\0a\0b\0inner\0c\0d\0e\0f\0g\0btf_trace_b\0";
        let name = |wanted: &str| {
            if wanted.is_empty() {
                return 0;
            }
            let needle = [b"\0", wanted.as_bytes(), b"\0"].concat();
            strings.windows(needle.len()).position(|found| found == needle).expect("in the table") as u32 + 1
        };
        let info = |kind: u32, count: u32| kind << 24 | count;
        let types: Vec<u32> = [
            vec![name("int"), info(1, 0), 4, 32],                                  // 1
            vec![name("inner"), info(4, 2), 8, name("c"), 1, 0, name("d"), 1, 32], // 2
            vec![0, info(5, 2), 8, name("b"), 1, 0, name("e"), 2, 0],              // 3
            vec![
                name("outer"),
                info(4, 4) | 1 << 31,
                16,
                name("a"),
                1,
                0,
                0,
                3,
                32,
                name("f"),
                1,
                3 << 24 | 96,
                name("g"),
                1,
                1 << 24 | 99,
            ],
            vec![name("color"), info(6, 2), 4, name("c"), 0, name("d"), 1],
            vec![0, info(2, 0), 0],                   // 6: void *
            vec![0, info(13, 2), 0, 0, 6, 0, 1],      // 7
            vec![0, info(2, 0), 7],                   // 8
            vec![name("btf_trace_b"), info(8, 0), 8], // 9
        ]
        .concat();
        let size = types.len() as u32 * 4;
        let header = [u32::from(MAGIC) | 1 << 16, 24, 0, size, size, strings.len() as u32];
        let words = header.iter().chain(types.iter());
        words.flat_map(|word| word.to_ne_bytes()).chain(strings.iter().copied()).collect()
    }

    fn parsed() -> Btf {
        Btf::parse(Bytes::Read(sample())).expect("well-formed")
    }

    fn offset(btf: &Btf, structure: &str, member: &str) -> Option<u32> {
        btf.offset(btf.structure(structure)?, member)
    }

    #[test]
    fn members_of_anonymous_members_are_found() {
        let btf = parsed();
        assert_eq!(offset(&btf, "outer", "a"), Some(0));
        assert_eq!(offset(&btf, "outer", "b"), Some(4));
        assert_eq!(offset(&btf, "outer", "e.d"), Some(8));
        assert_eq!(offset(&btf, "outer", "d"), None);
        assert_eq!(offset(&btf, "nowhere", "a"), None);
    }

    #[test]
    fn enumerators_are_found_in_their_own_enumeration_only() {
        let btf = parsed();
        assert!(btf.enumerates("color", "d"));
        assert!(!btf.enumerates("color", "a"));
        assert!(!btf.enumerates("inner", "d"));
        let values: Vec<_> = btf.values("color").collect();
        assert_eq!(values, [(0, "c".to_owned()), (1, "d".to_owned())]);
        assert_eq!(btf.values("inner").count(), 0);
    }

    #[test]
    fn a_tracepoint_has_the_arguments_of_its_handler() {
        let btf = parsed();
        assert_eq!(btf.arguments("b"), Some(1));
        assert_eq!(btf.arguments("a"), None);
    }

    #[test]
    fn a_bit_field_has_no_offset() {
        assert_eq!(offset(&parsed(), "outer", "f"), None);
    }

    #[test]
    fn a_bit_field_has_a_byte_and_a_mask() {
        let btf = parsed();
        let bits = |member| btf.bits(btf.structure("outer").expect("it has this struct"), member);
        assert_eq!(bits("g"), Some((12, if cfg!(target_endian = "big") { 1 << 4 } else { 1 << 3 })));
        assert_eq!(bits("f"), Some((12, if cfg!(target_endian = "big") { 0b1110_0000 } else { 0b111 })));
        assert_eq!((bits("a"), bits("nowhere")), (None, None));
    }

    #[test]
    fn corruption_is_an_error_and_not_a_panic() {
        let whole = sample();
        for cut in 0..whole.len() {
            if let Ok(btf) = Btf::parse(Bytes::Read(whole[..cut].to_vec())) {
                let _ = (offset(&btf, "outer", "e.d"), btf.values("color").count(), btf.arguments("b"));
            }
        }
        assert!(matches!(Btf::parse(Bytes::Read(b"ELF and not BTF".to_vec())), Err(BtfError::Corrupt(0))));
    }
}
