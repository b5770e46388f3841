//! What it costs all detectors together to look at a transition in which there is nothing to find.

mod stream;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use probe::detect::{self, Options};

fn observe(criterion: &mut Criterion) {
    let (host, given) = stream::tracked();
    stream::assert_ordinary(&host, &given);
    let mut group = criterion.benchmark_group("detect");
    group.throughput(Throughput::Elements(given.len() as u64));
    group.bench_function("transition", |bencher| {
        bencher.iter_batched(
            || detect::all(&host, &Options::default()),
            |mut detectors| {
                for given in &given {
                    detectors.observe(&given.context());
                }
                detectors
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, observe);
criterion_main!(benches);
