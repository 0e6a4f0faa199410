//! Loss and gradient of every softmax method, prebuilt plans, by criterion: `cargo bench --bench losses`.
//!
//! Ids are `method/f32/NxK/loss_and_grad`; throughput counts the minimal bytes (logits read once, gradient written
//! once). On a GPU the time is the device's, on the software adapter the processors'; each problem is checked
//! against the f64 reference before it is timed. What a plan holds on the device is printed: O(N + K).

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use longtail::{gpu::Context, method};
use support::{Data, Problem, SHAPES, Setup, software};

fn losses(criterion: &mut Criterion) {
    let context = Context::new().expect("an adapter");
    let software = software(&context);
    println!("adapter: {} ({})", context.adapter_info().name, context.adapter_info().driver_info);
    for (rows, classes) in SHAPES {
        let data = Data::new(rows, classes);
        for method in method::SOFTMAX {
            let problem = Problem::new(&context, method, &data, Setup::default()).expect("a plan");
            println!("{} {rows}x{classes}: {} extra bytes on the device", method.name, problem.plan.bytes());
            let mut group = criterion.benchmark_group(format!("{}/f32", method.name));
            group
                .throughput(Throughput::Bytes(problem.minimal_bytes()))
                .sample_size(10)
                .warm_up_time(std::time::Duration::from_millis(100))
                .measurement_time(std::time::Duration::from_millis(500))
                .bench_function(format!("{rows}x{classes}/loss_and_grad"), |bencher| {
                    bencher.iter_custom(|passes| problem.run(passes).steady(software));
                });
            group.finish();
        }
    }
}

criterion_group!(benches, losses);
criterion_main!(benches);
