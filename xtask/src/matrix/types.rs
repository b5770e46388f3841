//! Enumerations in a kernel's type information (BTF, Documentation/bpf/btf.rst in the kernel's sources).

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};

const MAGIC: u16 = 0xeb9f;
const KIND_ENUM: u32 = 6;

/// An enumeration's values by name. Kernels up to 6.19 count unsigned ones as signed.
pub type Enumerators = BTreeMap<String, u32>;

/// Every enumeration of up to 32 bits with its name, which is empty for anonymous ones.
pub fn enumerations(btf: &[u8]) -> Result<Vec<(String, Enumerators)>> {
    let word = |at: usize| -> Result<u32> {
        let bytes = btf.get(at..at + 4).context("the type information ends early")?;
        Ok(u32::from_le_bytes(bytes.try_into()?))
    };
    ensure!(word(0)? & 0xffff == u32::from(MAGIC), "this is no type information");
    let header = word(4)? as usize;
    let [mut at, length, strings] = [word(8)?, word(12)?, word(16)?].map(|value| value as usize);
    at += header;
    let end = at + length;
    let name = |offset: u32| -> Result<String> {
        let bytes = btf.get(header + strings + offset as usize..).context("a name lies outside")?;
        let length = bytes.iter().position(|byte| *byte == 0).context("a name does not end")?;
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    };
    let mut all = Vec::new();
    while at < end {
        let info = word(at + 4)?;
        let (kind, count) = ((info >> 24) & 0x1f, (info & 0xffff) as usize);
        let entries = at + 12;
        at = entries
            + match kind {
                1 | 14 | 17 => 4,              // INT, VAR, DECL_TAG
                3 => 12,                       // ARRAY
                4 | 5 | 15 | 19 => count * 12, // STRUCT, UNION, DATASEC, ENUM64
                KIND_ENUM | 13 => count * 8,   // ENUM, FUNC_PROTO
                _ => 0,
            };
        if kind == KIND_ENUM {
            let one = |index: usize| -> Result<(String, u32)> {
                let entry = entries + index * 8;
                Ok((name(word(entry)?)?, word(entry + 4)?))
            };
            all.push((name(word(entries - 12)?)?, (0..count).map(one).collect::<Result<_>>()?));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `int`, `enum color { red, green = 7 }` and `enum { blue = 3 }`.
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0color\0red\0green\0blue\0";
        let at = |name: &str| {
            let needle = [b"\0", name.as_bytes(), b"\0"].concat();
            strings.windows(needle.len()).position(|found| found == needle).expect("in the table") as u32 + 1
        };
        let types = [
            [at("int"), 1 << 24, 4, 32].as_slice(),
            &[at("color"), 6 << 24 | 2, 4, at("red"), 0, at("green"), 7],
            &[0, 6 << 24 | 1, 4, at("blue"), 3],
        ]
        .concat();
        let size = types.len() as u32 * 4;
        let header = [u32::from(MAGIC) | 1 << 16, 24, 0, size, size, strings.len() as u32];
        let words = header.iter().chain(&types).flat_map(|word| word.to_le_bytes());
        words.chain(strings.iter().copied()).collect()
    }

    #[test]
    fn every_enumeration_has_its_values() {
        let all = enumerations(&sample()).unwrap();
        let of = |pairs: &[(&str, u32)]| -> Enumerators {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
        };
        let expected =
            [("color".to_owned(), of(&[("red", 0), ("green", 7)])), (String::new(), of(&[("blue", 3)]))];
        assert_eq!(all, expected);
    }

    #[test]
    fn incomplete_information_is_an_error() {
        let whole = sample();
        for cut in 0..whole.len() {
            assert!(enumerations(&whole[..cut]).is_err(), "cut at {cut}");
        }
    }
}
