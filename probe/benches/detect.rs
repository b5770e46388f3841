//! The cost of one transition in all detectors together, if none finds anything.

mod stream;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use probe::detect::{self, Options};

fn observe(criterion: &mut Criterion) {
    let (host, transitions) = stream::tracked();
    stream::assert_ordinary(&host, &transitions);
    let mut group = criterion.benchmark_group("detect");
    group.throughput(Throughput::Elements(transitions.len() as u64));
    group.bench_function("transition", |bencher| {
        bencher.iter_batched(
            || detect::all(&host, &Options::default()),
            |mut detectors| {
                for transition in &transitions {
                    detectors.observe(&transition.context());
                }
                detectors
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, observe);
criterion_main!(benches);
