//! Loss and gradient of every softmax method, prebuilt plans, by criterion: `cargo bench --bench losses [-- FILTER]`.
//!
//! Ids are `method/element/NxK/mode`; throughput counts the minimal bytes (logits read once, gradient written once).
//! On a GPU the time is the device's, on the software adapter the processors'; each problem is checked against the f64
//! reference before it is timed. Cross-entropy and seesaw come with the other element types and passes, and with their
//! unfused baseline, too. What a plan holds on the device is printed: O(N + K).

mod support;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use longtail::{Element, gpu::Context, method};
use std::time::Duration;
use support::unfused::Unfused;
use support::{Data, Pass, Problem, Setup, shapes, software};

const HELP: &str = "
Times loss and gradient of every softmax method on the adapter that it prints, after comparing the gradient with the f64
reference. Ids are method/element/NxK/mode; FILTER selects those that contain it.
";

fn main() {
    if std::env::args().any(|argument| argument == "--help") {
        println!("{HELP}");
    }
    let mut criterion = Criterion::default().configure_from_args();
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let context = Context::new().expect("an adapter");
    let software = software(&context);
    println!("adapter: {} ({})", context.adapter_info().name, context.adapter_info().driver_info);
    for &(rows, classes) in shapes(software) {
        let data = Data::new(rows, classes);
        for method in method::SOFTMAX {
            let mut setups = vec![Setup::default()];
            if ["cross_entropy", "seesaw"].contains(&method.name) {
                setups.extend(
                    [Element::F16, Element::Bf16].map(|element| Setup { element, ..Setup::default() }),
                );
                setups.push(Setup { pass: Pass::ForwardBackward, ..Setup::default() });
            }
            for setup in setups {
                let title = format!("{}/{}/{rows}x{classes}", method.name, setup.element);
                let mode = setup.pass.to_string();
                if !format!("{title}/{mode}").contains(&filter) {
                    continue;
                }
                let problem = Problem::new(&context, method, &data, setup).expect("a plan");
                println!("{title}/{mode}: {} extra bytes on the device", problem.plan.bytes());
                let mut group = group(&mut criterion, &title, problem.minimal_bytes());
                group.bench_function(&mode, |bencher| {
                    bencher.iter_custom(|passes| problem.run(passes).steady(software));
                });
                group.finish();
            }
            let title = format!("{}/f32/{rows}x{classes}", method.name);
            if !format!("{title}/unfused").contains(&filter) {
                continue;
            }
            let width = if software { 8 } else { 256 };
            let Some(pipeline) = Unfused::new(&context, method.name, &data, width).expect("a pipeline")
            else {
                continue;
            };
            let mut group = group(&mut criterion, &title, 8 * (rows * classes) as u64);
            group.bench_function("unfused", |bencher| {
                bencher.iter_custom(|passes| pipeline.run(passes).steady(software));
            });
            group.finish();
        }
    }
    criterion.final_summary();
}

fn group<'a>(criterion: &'a mut Criterion, title: &str, bytes: u64) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(title);
    group
        .throughput(Throughput::Bytes(bytes))
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500));
    group
}
