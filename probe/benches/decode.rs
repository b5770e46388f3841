//! The cost of decoding a record of the ring buffer, by the kind of record.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use probe::{
    model::{Backend, Input},
    record::peek,
    source::decode::{DecodeError, ResetReasons, decode},
};
use probe_ebpf::{
    BindRecord, ClosedRecord, KIND_BIND, KIND_CLOSED, KIND_OPENED, KIND_RESET, KIND_SUMMARY, KIND_TRANSITION,
    OpenedRecord, RecordHeader, ResetRecord, SummaryRecord, TransitionRecord,
};
use zerocopy::{FromZeros, Immutable, IntoBytes};

const TCP: u16 = 6;
const IPV4: u16 = 2;
const ESTABLISHED: u8 = 1;

/// A record of this kind in which every field is known.
fn record<R: FromZeros + IntoBytes + Immutable>(kind: u16, fill: impl FnOnce(&mut R)) -> Vec<u8> {
    let mut record = R::new_zeroed();
    fill(&mut record);
    let mut bytes = record.as_bytes().to_vec();
    // A record begins with its header, and a header with the kind.
    bytes[..size_of_val(&kind)].copy_from_slice(&kind.to_ne_bytes());
    assert!(bytes.len() > size_of::<RecordHeader>());
    bytes
}

fn transition(record: &mut TransitionRecord) {
    record.cookie = 4711;
    record.netns = 4_026_531_840;
    (record.protocol, record.family) = (TCP, IPV4 as u8);
    (record.local_port, record.remote_port) = (40_000, 80);
    (record.old, record.new) = (ESTABLISHED, ESTABLISHED);
}

fn records() -> [(&'static str, Vec<u8>); 6] {
    [
        ("transition", record(KIND_TRANSITION, transition)),
        ("opened", record::<OpenedRecord>(KIND_OPENED, |opened| transition(&mut opened.transition))),
        ("closed", record::<ClosedRecord>(KIND_CLOSED, |closed| transition(&mut closed.transition))),
        (
            "summary",
            record::<SummaryRecord>(KIND_SUMMARY, |summary| {
                transition(&mut summary.closed.transition);
                // CLOSE, SYN_SENT, ESTABLISHED, CLOSE_WAIT, LAST_ACK.
                (summary.path, summary.path_length) = (0x9_8127, 5);
            }),
        ),
        (
            "bind",
            record::<BindRecord>(KIND_BIND, |bind| {
                (bind.protocol, bind.family, bind.address_family) = (TCP, IPV4, IPV4);
                bind.error = 98;
            }),
        ),
        (
            "reset",
            record::<ResetRecord>(KIND_RESET, |reset| {
                (reset.protocol, reset.family) = (TCP, IPV4);
                reset.state = ESTABLISHED.into();
            }),
        ),
    ]
}

fn by_kind(criterion: &mut Criterion) {
    let reasons = ResetReasons::default();
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    for (kind, bytes) in records() {
        let decode = |bytes: &[u8]| -> Result<Input, DecodeError> {
            let header = peek::header(bytes).expect("a header");
            decode(&header, bytes, Backend::TpBtf, &reasons)
        };
        decode(&bytes).expect("a well-formed record");
        group.bench_function(kind, |bencher| {
            bencher.iter(|| decode(black_box(&bytes)));
        });
    }
}

criterion_group!(benches, by_kind);
criterion_main!(benches);
