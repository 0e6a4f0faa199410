//! Every sigmoid loss against plain binary cross-entropy: `cargo bench --bench sigmoid [-- FILTER]`.
//!
//! Loss and gradient in f32 at the sizes of LVIS (1,203 classes, version 0.5's 1,230, and a background column). Methods
//! take turns in rounds and the fastest round counts, by the device's clock, or the processors' on a software adapter.
//! Methods of multi-hot targets are set against cross-entropy of multi-hot targets, which reads twice as much. The softmax
//! link, whose one method has labels, is a row of its own there.

mod support;

use longtail::gpu::{Context, Inputs, Outputs, Plan, PlanRequest, TargetViews, View};
use longtail::sigmoid::Link;
use longtail::{Batch, ClassCounts, SigmoidLoss, TargetKind, Targets, Upstream, method, reference};
use rand::{RngExt as _, SeedableRng as _};
use support::clock::warm;
use support::{software, timed};

const SHAPES: [(usize, usize); 2] = [(512, 1203), (1024, 1230)];
const ROUNDS: usize = 21;

/// A loss with its buffers, ready to be recorded.
struct Problem {
    name: String,
    kind: TargetKind,
    plan: Plan,
    logits: wgpu::Buffer,
    gradient: wgpu::Buffer,
    targets: wgpu::Buffer,
}

impl Problem {
    fn new(
        context: &Context,
        name: &str,
        kind: TargetKind,
        spec: &SigmoidLoss,
        (rows, columns): (usize, usize),
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let mut random = rand::rngs::SmallRng::seed_from_u64(7);
        let mut normal = || 2.0 * ((0..12).map(|_| random.random::<f32>()).sum::<f32>() - 6.0);
        // Of a loss with a scale, u is what has this deviation: its logits are cosines.
        let scale = spec.scale as f32;
        let logits: Vec<f32> = (0..rows * columns).map(|_| normal() / scale).collect();
        // Three rows of four show nothing: the last column where background has one.
        let label = |row: usize| if row.is_multiple_of(4) { row * 7919 % columns } else { columns - 1 };
        let labels: Vec<i32> = (0..rows).map(|row| label(row) as i32).collect();
        let hot: Vec<f32> = (0..rows * columns).map(|i| if i % 211 == 0 { 1.0 } else { 0.0 }).collect();
        let kernels = context.kernels();
        let upload = |bytes: &[u8]| {
            let usages =
                wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
            let buffer = kernels.device().create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: bytes.len() as u64,
                usage: usages,
                mapped_at_creation: false,
            });
            kernels.queue().write_buffer(&buffer, 0, bytes);
            buffer
        };
        let multi_hot = kind == TargetKind::MultiHot;
        let targets = if multi_hot { bytemuck::cast_slice(&hot) } else { bytemuck::cast_slice(&labels[..]) };
        let request = PlanRequest::new(rows, columns).with_targets(kind);
        let problem = Self {
            name: name.to_owned(),
            kind,
            plan: kernels.plan(spec, &request)?,
            logits: upload(bytemuck::cast_slice(&logits)),
            gradient: upload(bytemuck::cast_slice(&logits)),
            targets: upload(targets),
        };
        // The first pass against the reference.
        let session = context.session(spec, rows, columns, kind);
        let batch = if multi_hot { Targets::MultiHot(&hot) } else { Targets::Hard(&labels) };
        let got = session?.loss_and_grad(&Batch::new(&logits, columns, batch))?.gradient;
        let wide: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
        let want = reference::sigmoid(spec, &Batch::new(&wide, columns, batch), Upstream::One)?.gradient;
        let top = want.iter().fold(0.0f64, |top, g| top.max(g.abs()));
        // NaN is no close number.
        let close = |(want, got): (&f64, &f32)| (want - f64::from(*got)).abs() <= 1e-4 * top;
        if !want.iter().zip(&got).all(close) {
            return Err(format!("{name}: the gradient is not the reference's").into());
        }
        Ok(problem)
    }

    fn seconds(&self, context: &Context, passes: u64, software: bool) -> f64 {
        let targets = match self.kind {
            TargetKind::MultiHot => TargetViews::MultiHot(View::whole(&self.targets).into()),
            _ => TargetViews::Hard(View::whole(&self.targets)),
        };
        let inputs = Inputs::new(View::whole(&self.logits), targets);
        let gradient = View::whole(&self.gradient);
        let took = timed(context, |encoder| {
            for _ in 0..passes {
                let outputs = Outputs::default();
                self.plan
                    .encode_loss_and_grad(encoder, &inputs, Some(gradient.into()), None, &outputs)
                    .expect("encoding");
            }
        });
        took.steady(software).as_secs_f64() / passes as f64
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let context = Context::new()?;
    let software = software(&context);
    println!("adapter: {} ({})", context.adapter_info().name, context.adapter_info().driver_info);
    for (rows, classes) in SHAPES {
        let counts =
            ClassCounts::new((1..=classes as u64).map(|rank| 1 + 100_000 / rank).collect::<Vec<_>>())?;
        let columns = classes + 1;
        let full = ClassCounts::new((1..=columns as u64).map(|rank| 1 + 100_000 / rank).collect::<Vec<_>>())?;
        let mut problems = Vec::new();
        for kind in [TargetKind::Hard, TargetKind::MultiHot] {
            problems.push(Problem::new(&context, "bce", kind, &SigmoidLoss::bce(), (rows, columns))?);
            for method in method::SIGMOID {
                if method.targets != kind || method.name == "bce" || !method.name.contains(&filter) {
                    continue;
                }
                // A background column makes one more of the classes.
                let spec = (method.build)(&full)?;
                let spec = if spec.check(columns, kind).is_ok() { spec } else { (method.build)(&counts)? };
                problems.push(Problem::new(&context, method.name, kind, &spec, (rows, columns))?);
            }
        }
        let name = "bce_on_softmax";
        if name.contains(&filter) {
            let mut spec = SigmoidLoss::bce();
            spec.link = Link::Softmax;
            problems.push(Problem::new(&context, name, TargetKind::MultiHot, &spec, (rows, columns))?);
        }
        if let Some(first) = problems.first() {
            warm(software, || _ = first.seconds(&context, 100, software));
        }
        let mut times = vec![Vec::new(); problems.len()];
        for _ in 0..ROUNDS {
            for (problem, times) in problems.iter().zip(&mut times) {
                // A GPU is done with one before its clock has ticked much.
                times.push(problem.seconds(&context, if software { 4 } else { 200 }, software));
            }
        }
        println!(
            "\n{rows} x {columns}\n{:<34} {:>9} {:>10} {:>10} {:>8}",
            "method", "targets", "us", "ns/logit", "of BCE"
        );
        let fastest: Vec<f64> =
            times.into_iter().map(|times| times.into_iter().fold(f64::INFINITY, f64::min)).collect();
        for (problem, time) in problems.iter().zip(&fastest) {
            let plain = problems.iter().zip(&fastest).find(|(other, _)| other.kind == problem.kind);
            let ratio = time / plain.map_or(f64::NAN, |(_, time)| *time);
            let kind = if problem.kind == TargetKind::Hard { "labels" } else { "multi-hot" };
            let each = time * 1e9 / (rows * columns) as f64;
            println!("{:<34} {kind:>9} {:>10.1} {each:>10.3} {ratio:>8.2}", problem.name, time * 1e6);
        }
    }
    Ok(())
}
