//! The cost of one report in the tracker, which makes a transition of it, and of the last one a connection.

mod stream;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use probe::track::Tracker;

fn observe(criterion: &mut Criterion) {
    let (host, reports) = stream::reports();
    let mut group = criterion.benchmark_group("track");
    group.throughput(Throughput::Elements(reports.len() as u64));
    group.bench_function("report", |bencher| {
        let fresh = || Tracker::new(&host);
        bencher.iter_batched(
            fresh,
            |mut tracker| {
                reports.iter().for_each(|report| drop(tracker.observe(report)));
                tracker
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, observe);
criterion_main!(benches);
