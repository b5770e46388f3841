//! The cost of rendering one transition or connection, by format.

mod stream;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use probe::{
    model::{Backend, Output},
    render::{Json, Render, Style, Table, TimeFormat, View},
};

/// The size of the blocks that are written to a file, in bytes.
const BUFFER: usize = 1 << 16;

const STYLE: Style = Style { width: 160, colour: true };

/// The `Ready` output, all transitions, and all connections.
fn outputs() -> (Output, Vec<Output>, Vec<Output>) {
    let (host, tracked) = stream::tracked();
    let ready = Output::Ready { host, backend: Backend::TpBtf, unavailable: Vec::new(), existing: None };
    let (mut transitions, mut connections) = (Vec::new(), Vec::new());
    for tracked in tracked {
        transitions.push(Output::Transition(tracked.transition));
        connections.extend(tracked.ended.map(|ended| Output::Connection(*ended)));
    }
    (ready, transitions, connections)
}

fn render(criterion: &mut Criterion) {
    let (ready, transitions, connections) = outputs();
    for (view, outputs, unit) in
        [(View::Transitions, &transitions, "transition"), (View::Connections, &connections, "connection")]
    {
        let mut group = criterion.benchmark_group(format!("render/{unit}"));
        group.throughput(Throughput::Elements(outputs.len() as u64));
        for format in ["json", "table"] {
            let start = || {
                let mut renderer: Box<dyn Render> = match format {
                    "json" => Box::new(Json::new(view)),
                    _ => Box::new(Table::new(STYLE, view, TimeFormat::Elapsed)),
                };
                renderer.render(&ready, &mut Vec::new()).expect("memory takes everything");
                (renderer, Vec::with_capacity(2 * BUFFER))
            };
            group.bench_function(format, |bencher| {
                bencher.iter_batched(
                    start,
                    |(mut renderer, mut out)| {
                        for output in outputs {
                            // Empties the buffer as a write to a file would.
                            if out.len() > BUFFER {
                                out.clear();
                            }
                            renderer.render(output, &mut out).expect("memory takes everything");
                        }
                        (renderer, out)
                    },
                    BatchSize::SmallInput,
                );
            });
        }
    }
}

criterion_group!(benches, render);
criterion_main!(benches);
