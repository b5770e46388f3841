//! The kernel's type information reduced to what attaching needs: the ids of the tracepoints' types.

use super::{Btf, Header, KIND_PTR, KIND_TYPEDEF, MAGIC};

/// The prefix of the name of a tracepoint's handler type.
const PREFIX: &[u8] = b"btf_trace_";

/// The size in bytes of a header of version 1 (`struct btf_header`).
const HEADER: u32 = 24;

/// Type information with the same ids that contains only the names of the tracepoints; every other type is a pointer to
/// void. aya looks up a tracepoint by its name, and parses all types for that: with the kernel's own, this takes as long
/// as everything else together, and some thirty megabytes.
pub fn tracepoints(btf: &Btf) -> Vec<u8> {
    let mut strings = vec![0];
    let mut words: Vec<u32> = Vec::new();
    let mut used = 0;
    for at in &btf.types[1..] {
        let named = btf.header(*at).ok().and_then(|header| handler(btf, &header));
        let name = named.map_or(0, |_| strings.len() as u32);
        strings.extend(named.unwrap_or_default());
        let kind = if named.is_some() { KIND_TYPEDEF } else { KIND_PTR };
        words.extend([name, kind << 24, 0]);
        if named.is_some() {
            used = words.len();
        }
    }
    words.truncate(used);
    let types = words.len() as u32 * 4;
    let header = [u32::from(MAGIC) | 1 << 16, HEADER, 0, types, types, strings.len() as u32];
    let words = header.iter().chain(&words).flat_map(|word| word.to_ne_bytes());
    words.chain(strings.iter().copied()).collect()
}

/// The name of a tracepoint's handler type, with its final NUL.
fn handler<'a>(btf: &'a Btf, header: &Header) -> Option<&'a [u8]> {
    let name = btf.bytes.get(btf.strings + header.name as usize..)?;
    (header.kind == KIND_TYPEDEF && name.starts_with(PREFIX)).then_some(())?;
    let end = name.iter().position(|byte| *byte == 0)?;
    Some(&name[..=end])
}

#[cfg(test)]
mod tests {
    use super::{
        super::{bytes::Bytes, tests::sample},
        *,
    };

    fn parsed(bytes: Vec<u8>) -> Btf {
        Btf::parse(Bytes::Read(bytes)).expect("well-formed")
    }

    #[test]
    fn a_tracepoint_keeps_its_id() {
        let cut = parsed(tracepoints(&parsed(sample())));
        assert_eq!(cut.types.len(), 10);
        assert_eq!(cut.find(KIND_TYPEDEF, "btf_trace_b"), cut.types.last().copied());
        assert_eq!(cut.find(KIND_PTR, ""), Some(cut.types[1]));
    }

    #[test]
    fn the_kernels_tracepoints_keep_their_ids() {
        let all = Btf::of_kernel().unwrap();
        let cut = parsed(tracepoints(&all));
        let number = |btf: &Btf| {
            let found = btf.find(KIND_TYPEDEF, "btf_trace_inet_sock_set_state").unwrap();
            btf.types.iter().position(|at| *at == found).unwrap()
        };
        assert_eq!(number(&cut), number(&all));
    }
}
