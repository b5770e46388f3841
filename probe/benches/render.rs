//! What it costs each renderer of a stream to write a transition, or a connection.

mod stream;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use probe::{
    model::{Backend, Output},
    render::{Json, Render, Style, Table, TimeFormat, View},
};

/// How much of a file is written at once.
const BUFFER: usize = 1 << 16;

const STYLE: Style = Style { width: 160, colour: true };

/// The stream's beginning, all transitions, and all connections.
fn events() -> (Output, Vec<Output>, Vec<Output>) {
    let (host, given) = stream::tracked();
    let ready = Output::Ready { host, backend: Backend::TpBtf, unavailable: Vec::new(), existing: None };
    let (mut transitions, mut connections) = (Vec::new(), Vec::new());
    for given in given {
        transitions.push(Output::Transition(given.transition));
        connections.extend(given.ended.map(|ended| Output::Connection(*ended)));
    }
    (ready, transitions, connections)
}

fn each(criterion: &mut Criterion) {
    let (ready, transitions, connections) = events();
    for (view, events, unit) in
        [(View::Transitions, &transitions, "transition"), (View::Connections, &connections, "connection")]
    {
        let mut group = criterion.benchmark_group(format!("render/{unit}"));
        group.throughput(Throughput::Elements(events.len() as u64));
        for form in ["json", "table"] {
            let begun = || {
                let mut renderer: Box<dyn Render> = match form {
                    "json" => Box::new(Json::new(view)),
                    _ => Box::new(Table::new(STYLE, view, TimeFormat::Elapsed)),
                };
                renderer.render(&ready, &mut Vec::new()).expect("memory takes everything");
                (renderer, Vec::with_capacity(2 * BUFFER))
            };
            group.bench_function(form, |bencher| {
                bencher.iter_batched(
                    begun,
                    |(mut renderer, mut out)| {
                        for event in events {
                            // As a buffer in front of a file would.
                            if out.len() > BUFFER {
                                out.clear();
                            }
                            renderer.render(event, &mut out).expect("memory takes everything");
                        }
                        (renderer, out)
                    },
                    BatchSize::SmallInput,
                );
            });
        }
    }
}

criterion_group!(benches, each);
criterion_main!(benches);
