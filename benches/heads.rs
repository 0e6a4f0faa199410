//! Classifier heads, forwards and backwards, against the three products that they consist of, and the products against the
//! fastest one of this adapter: `cargo bench --bench heads [-- [--table] [FILTER]]`. Processor time on software adapters,
//! the device's elsewhere.
//!
//! The summary comes first: heads and their products take turns in rounds, and the median round counts, so that other work
//! on the machine meets all alike: times are medians, and ratios are medians of the rounds' own ratios. In the first table
//! the gradient by logits is what the forward pass has left: no loss is in the times, which are cut into what comes before the
//! chunks (norms of the weights), forwards, backwards, and after them (the weights' normalisation). In the second table a
//! loss is, fused with all logits in the scratch buffer, fused in chunks of 64 rows, and unfused.

#[path = "support/passes.rs"]
mod passes;

use std::time::Duration;

use criterion::{Criterion, Throughput};
use longtail::gpu::head::{
    HeadGradients, HeadLossPlan, HeadLossRequest, HeadLossViews, HeadPlan, HeadRequest, HeadViews,
};
use longtail::gpu::matmul::{Layout, Matmul, MatmulRequest, MatmulViews};
use longtail::gpu::{Context, Inputs, Outputs, Plan, PlanRequest, TargetViews, View};
use longtail::head::{ClassScale, Head, HeadLoss, TargetMargin};
use longtail::{ClassCounts, method};
use passes::{buffer, timed, timed_encoder};

const ROUNDS: usize = 11;
const HELP: &str = "
Prints two tables for the adapter that it names (heads against their three products; a head with its loss, fused, in chunks of
64 rows and unfused), then measures heads and products by criterion.
  --table   the tables alone
";
const HEADS: [&str; 6] =
    ["linear", "linear_bias", "cosine", "arcface", "learnable_weight_scaling", "nearest_class_mean_unit"];

/// A head of the table, or that with a bias.
fn head_of(name: &str) -> Head {
    let plain = name.strip_suffix("_bias");
    let head = (method::find_head(plain.unwrap_or(name)).expect("is in the table").build)();
    if plain.is_some() { head.with_bias() } else { head }
}

/// Batch, dimension, classes.
fn shapes(software: bool) -> &'static [(usize, usize, usize)] {
    match software {
        true => &[(256, 256, 1203), (256, 128, 8142)],
        false => &[(256, 256, 1203), (4096, 512, 8142), (4096, 1024, 32_768)],
    }
}

/// A head of a shape with its buffers, and its three products alone.
struct Problem {
    context: Context,
    plan: HeadPlan,
    products: [Matmul; 3],
    features: wgpu::Buffer,
    weights: wgpu::Buffer,
    to_features: wgpu::Buffer,
    to_weights: wgpu::Buffer,
    scratch: wgpu::Buffer,
    of_classes: [Option<wgpu::Buffer>; 4],
    labels: Option<wgpu::Buffer>,
}

impl Problem {
    fn new(context: &Context, head: &Head, (rows, dim, classes): (usize, usize, usize)) -> Self {
        let kernels = context.kernels();
        let product =
            |layout, m, n, k| kernels.matmul(&MatmulRequest::new(layout, m, n, k)).expect("a legal product");
        let matrix = |rows: usize, columns: usize| buffer(context, rows * columns, 4);
        let scaled = head.class_scale != ClassScale::None;
        let labels = (head.margin != TargetMargin::None).then(|| {
            let labels = buffer(context, rows, 4);
            let classes: Vec<i32> = (0..rows).map(|row| (row * 7919 % classes) as i32).collect();
            kernels.queue().write_buffer(&labels, 0, bytemuck::cast_slice(&classes));
            labels
        });
        Self {
            plan: kernels.head(head, &HeadRequest::new(rows, classes, dim)).expect("a legal head"),
            products: [
                product(Layout::Nt, rows, classes, dim),
                product(Layout::Tn, classes, dim, rows),
                product(Layout::Nn, rows, dim, classes),
            ],
            features: matrix(rows, dim),
            weights: matrix(classes, dim),
            to_features: matrix(rows, dim),
            to_weights: matrix(classes, dim),
            scratch: matrix(rows, classes),
            of_classes: [head.bias, scaled, head.bias, scaled]
                .map(|wanted| wanted.then(|| matrix(classes, 1))),
            labels,
            context: context.clone(),
        }
    }

    fn views(&self) -> (HeadViews<'_>, HeadGradients<'_>) {
        let [bias, class_scale, to_bias, to_class_scale] =
            self.of_classes.each_ref().map(|buffer| buffer.as_ref().map(View::whole));
        let views = HeadViews {
            bias,
            class_scale,
            ..HeadViews::new(View::whole(&self.features), View::whole(&self.weights))
        };
        let gradients = HeadGradients {
            features: Some(View::whole(&self.to_features)),
            weights: Some(View::whole(&self.to_weights)),
            bias: to_bias,
            class_scale: to_class_scale,
            scale: None,
        };
        (views, gradients)
    }

    /// What comes before the chunks, forwards, backwards, what comes after.
    fn stages(&self) -> [Duration; 4] {
        let (views, gradients) = self.views();
        let views = HeadViews { labels: self.labels.as_ref().map(View::whole), ..views };
        let scratch = View::whole(&self.scratch);
        let stage = |record: &dyn Fn(&mut wgpu::ComputePass<'_>) -> longtail::Result<()>| {
            timed(&self.context, 1, |pass| record(pass).expect("recording"))
        };
        [
            stage(&|pass| self.plan.begin(pass, &views)),
            stage(&|pass| self.plan.forward(pass, 0, &views, scratch)),
            stage(&|pass| self.plan.backward(pass, 0, &views, &gradients, scratch)),
            stage(&|pass| self.plan.finish(pass, &views, &gradients)),
        ]
    }

    /// Forwards and backwards.
    fn head(&self, times: u64) -> Duration {
        let (views, gradients) = self.views();
        let views = HeadViews { labels: self.labels.as_ref().map(View::whole), ..views };
        let scratch = View::whole(&self.scratch);
        timed(&self.context, times, |pass| {
            self.plan.begin(pass, &views).expect("recording");
            self.plan.forward(pass, 0, &views, scratch).expect("recording");
            self.plan.backward(pass, 0, &views, &gradients, scratch).expect("recording");
            self.plan.finish(pass, &views, &gradients).expect("recording");
        })
    }

    /// The products alone.
    fn products(&self, times: u64) -> Duration {
        let view = View::whole;
        let [logits, to_weights, to_features] = &self.products;
        let (x, w, z) = (view(&self.features), view(&self.weights), view(&self.scratch));
        timed(&self.context, times, |pass| {
            logits.encode(pass, &MatmulViews::new(x, w, z)).expect("recording");
            to_weights.encode(pass, &MatmulViews::new(z, x, view(&self.to_weights))).expect("recording");
            to_features.encode(pass, &MatmulViews::new(z, w, view(&self.to_features))).expect("recording");
        })
    }
}

/// A head and its loss in one step, with all logits in the scratch buffer and in chunks of 64 rows; and unfused: all
/// logits, the loss beside them, the way back.
struct Step {
    fused: [HeadLossPlan; 2],
    loss: Plan,
    labels: wgpu::Buffer,
    gradient: wgpu::Buffer,
}

impl Step {
    fn new(context: &Context, head: &Head, loss: &str, (rows, dim, classes): (usize, usize, usize)) -> Self {
        let kernels = context.kernels();
        let counts: Vec<u64> = (1..=classes as u64).map(|rank| 1 + 100_000 / rank).collect();
        let counts = ClassCounts::new(counts).expect("counts");
        let loss = (method::find(loss).expect("is in the table").build)(&counts).expect("a legal loss");
        let fused = |chunk: usize| {
            let request = HeadLossRequest::new(rows, classes, dim);
            let request = request.with_scratch_bytes(4 * chunk as u64 * classes as u64);
            kernels.head_loss(&HeadLoss::new(head.clone(), loss.clone()), &request).expect("a legal step")
        };
        let labels = buffer(context, rows, 4);
        let of_rows: Vec<i32> = (0..rows).map(|row| (row * 7919 % classes) as i32).collect();
        kernels.queue().write_buffer(&labels, 0, bytemuck::cast_slice(&of_rows));
        Self {
            fused: [fused(rows), fused(64)],
            loss: kernels.plan(&loss, &PlanRequest::new(rows, classes)).expect("a legal loss"),
            labels,
            gradient: buffer(context, rows * classes, 4),
        }
    }

    fn fused(&self, problem: &Problem, which: usize) -> Duration {
        let targets = TargetViews::Hard(View::whole(&self.labels));
        let (head, gradients) = problem.views();
        let views = HeadLossViews::new(head, targets, View::whole(&problem.scratch));
        timed_encoder(&problem.context, |encoder| {
            self.fused[which]
                .encode_loss_and_grad(encoder, &views, &gradients, &Outputs::default())
                .expect("recording");
        })
    }

    fn unfused(&self, problem: &Problem) -> Duration {
        let targets = TargetViews::Hard(View::whole(&self.labels));
        let (head, gradients) = problem.views();
        let labelled = HeadViews { labels: problem.labels.as_ref().map(View::whole), ..head };
        let (logits, slopes) = (View::whole(&problem.scratch), View::whole(&self.gradient));
        timed_encoder(&problem.context, |encoder| {
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                problem.plan.begin(&mut pass, &labelled).expect("recording");
                problem.plan.forward(&mut pass, 0, &labelled, logits).expect("recording");
            }
            let inputs = Inputs::new(logits, targets);
            self.loss
                .encode_loss_and_grad(encoder, &inputs, Some(slopes.into()), None, &Outputs::default())
                .expect("recording");
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            problem.plan.backward(&mut pass, 0, &labelled, &gradients, slopes).expect("recording");
            problem.plan.finish(&mut pass, &labelled, &gradients).expect("recording");
        })
    }
}

/// The table of steps with a loss.
fn steps(context: &Context, problems: &[(&str, (usize, usize, usize), Problem)]) {
    println!(
        "\n{:<34}{:>14}{:>10}{:>12}{:>14}{:>14}{:>14}",
        "head and loss", "N x D x K", "fused ms", "/ products", "- head alone", "64 rows", "unfused"
    );
    for (name, shape, problem) in problems.iter().filter(|(name, ..)| *name != "nearest_class_mean_unit") {
        let plain = ["linear", "cosine"].contains(name);
        for loss in ["cross_entropy", "seesaw"].into_iter().take(if plain { 2 } else { 1 }) {
            let head = head_of(name);
            let step = Step::new(context, &head, loss, *shape);
            let seconds = |time: Duration| time.as_secs_f64();
            let round = || {
                [
                    seconds(step.fused(problem, 0)),
                    seconds(problem.products(1)),
                    seconds(problem.head(1)),
                    seconds(step.fused(problem, 1)),
                    seconds(step.unfused(problem)),
                ]
            };
            round();
            let rounds: Vec<_> = (0..ROUNDS).map(|_| round()).collect();
            let of = |value: &dyn Fn(&[f64; 5]) -> f64| median(rounds.iter().map(value).collect());
            println!(
                "{:<34}{:>14}{:>10.2}{:>12.3}{:>14.3}{:>14.3}{:>14.3}",
                format!("{name}, {loss}"),
                format!("{}x{}x{}", shape.0, shape.1, shape.2),
                1e3 * of(&|times| times[0]),
                of(&|times| times[0] / times[1]),
                of(&|times| (times[0] - times[2]) / times[1]),
                of(&|times| times[3] / times[1]),
                of(&|times| times[4] / times[1]),
            );
        }
    }
}

/// Floating-point operations of the three products.
fn operations((rows, dim, classes): (usize, usize, usize)) -> f64 {
    6.0 * rows as f64 * dim as f64 * classes as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Operations in a second of the product that this adapter is best at: square, and all of it near.
fn peak(context: &Context, size: usize) -> f64 {
    let product = context.kernels().matmul(&MatmulRequest::new(Layout::Nt, size, size, size)).expect("legal");
    let [a, b, c] = [(); 3].map(|()| buffer(context, size * size, 4));
    let views = MatmulViews::new(View::whole(&a), View::whole(&b), View::whole(&c));
    let once = || timed(context, 1, |pass| product.encode(pass, &views).expect("recording")).as_secs_f64();
    once();
    let fastest = (0..ROUNDS).map(|_| once()).fold(f64::INFINITY, f64::min);
    2.0 * (size as f64).powi(3) / fastest
}

/// The table, before criterion measures the same.
fn summary(context: &Context, problems: &[(&str, (usize, usize, usize), Problem)]) {
    let software = context.adapter_info().device_type == wgpu::DeviceType::Cpu;
    let size = if software { 512 } else { 4096 };
    let peak = peak(context, size);
    println!("fastest product: {:.2} GFLOP/s ({size} x {size} x {size})", peak / 1e9);
    println!(
        "{:<26}{:>14}{:>10}{:>12}{:>10}{:>26}",
        "head", "N x D x K", "head ms", "/ products", "of peak", "before, forth, back, after"
    );
    for (name, shape, problem) in problems {
        let round = || (problem.head(1).as_secs_f64(), problem.products(1).as_secs_f64(), problem.stages());
        round();
        let rounds: Vec<_> = (0..ROUNDS).map(|_| round()).collect();
        let head = median(rounds.iter().map(|(head, ..)| *head).collect());
        let stages = [0, 1, 2, 3].map(|stage| {
            let shares = rounds.iter().map(|(_, products, stages)| stages[stage].as_secs_f64() / products);
            format!("{:.3}", median(shares.collect()))
        });
        println!(
            "{name:<26}{:>14}{:>10.2}{:>12.3}{:>10.3}{:>26}",
            format!("{}x{}x{}", shape.0, shape.1, shape.2),
            1e3 * head,
            median(rounds.iter().map(|(head, products, _)| head / products).collect()),
            operations(*shape) / head / peak,
            stages.join(" "),
        );
    }
}

fn main() {
    let asked = |name: &str| std::env::args().any(|argument| argument == name);
    if asked("--help") {
        println!("{HELP}");
    }
    let mut criterion =
        if asked("--table") { Criterion::default() } else { Criterion::default().configure_from_args() };
    let context = Context::new().expect("an adapter");
    println!("adapter: {} ({})", context.adapter_info().name, context.adapter_info().driver_info);
    let software = context.adapter_info().device_type == wgpu::DeviceType::Cpu;
    let mut problems = Vec::new();
    for &shape in shapes(software) {
        for name in HEADS {
            problems.push((name, shape, Problem::new(&context, &head_of(name), shape)));
        }
    }
    summary(&context, &problems);
    steps(&context, &problems);
    if asked("--table") {
        return;
    }
    let mut group = criterion.benchmark_group("heads");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500));
    for (name, shape, problem) in &problems {
        let label = format!("{}x{}x{}", shape.0, shape.1, shape.2);
        group.throughput(Throughput::Elements((operations(*shape) / 2.0) as u64));
        group.bench_function(format!("{name}/{label}/forward_backward"), |bencher| {
            bencher.iter_custom(|times| problem.head(times));
        });
        if *name == "linear" {
            group.bench_function(format!("products/{label}"), |bencher| {
                bencher.iter_custom(|times| problem.products(times));
            });
        }
    }
    group.finish();
    criterion.final_summary();
}
