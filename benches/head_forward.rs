//! The loss of a head without a way back, whose logits are never stored, against all logits into a matrix and the loss's
//! forward pass over it: `cargo bench --bench head_forward`. Processor time on software adapters, the device's elsewhere.
//!
//! Both take turns in rounds, and the median round counts, so that other work on the machine meets all alike.

#[path = "support/passes.rs"]
mod passes;

use std::time::Duration;

use longtail::gpu::head::{HeadLossPlan, HeadLossRequest, HeadLossViews, HeadPlan, HeadRequest, HeadViews};
use longtail::gpu::{Context, Inputs, Mode, Outputs, Plan, PlanRequest, TargetViews, View};
use longtail::head::HeadLoss;
use longtail::{ClassCounts, method};
use passes::{buffer, timed_encoder};

const ROUNDS: usize = 9;
const HEADS: [&str; 3] = ["linear", "cosine", "arcface"];
const LOSSES: [&str; 2] = ["cross_entropy", "seesaw"];

/// Batch, dimension, classes.
fn shapes(software: bool) -> &'static [(usize, usize, usize)] {
    match software {
        true => &[(256, 256, 1203), (256, 128, 8142)],
        false => &[(256, 256, 1203), (4096, 512, 8142), (4096, 1024, 32_768)],
    }
}

/// A head and a loss, in one step and in two.
struct Problem<'a> {
    context: &'a Context,
    fused: HeadLossPlan,
    head: HeadPlan,
    loss: Plan,
    features: wgpu::Buffer,
    weights: wgpu::Buffer,
    labels: wgpu::Buffer,
    logits: wgpu::Buffer,
    margin: bool,
}

impl<'a> Problem<'a> {
    fn new(
        context: &'a Context,
        head: &str,
        loss: &str,
        (rows, dim, classes): (usize, usize, usize),
    ) -> Self {
        let kernels = context.kernels();
        let head = (method::find_head(head).expect("is in the table").build)();
        let counts: Vec<u64> = (1..=classes as u64).map(|rank| 1 + 100_000 / rank).collect();
        let counts = ClassCounts::new(counts).expect("counts");
        let loss = (method::find(loss).expect("is in the table").build)(&counts).expect("a legal loss");
        let labels = buffer(context, rows, 4);
        let of_rows: Vec<i32> = (0..rows).map(|row| (row * 7919 % classes) as i32).collect();
        kernels.queue().write_buffer(&labels, 0, bytemuck::cast_slice(&of_rows));
        let spec = HeadLoss::new(head.clone(), loss.clone());
        let request = HeadLossRequest::new(rows, classes, dim).forward_only();
        let of_loss = PlanRequest::new(rows, classes).with_mode(Mode::ForwardBackward);
        Self {
            context,
            fused: kernels.head_loss(&spec, &request).expect("a legal step"),
            head: kernels
                .head(&head, &HeadRequest::new(rows, classes, dim).forward_only())
                .expect("a legal head"),
            loss: kernels.plan(&loss, &of_loss).expect("a legal loss"),
            features: buffer(context, rows * dim, 4),
            weights: buffer(context, classes * dim, 4),
            labels,
            logits: buffer(context, rows * classes, 4),
            margin: head.margin != longtail::head::TargetMargin::None,
        }
    }

    fn views(&self) -> HeadViews<'_> {
        HeadViews::new(View::whole(&self.features), View::whole(&self.weights))
    }

    fn targets(&self) -> TargetViews<'_> {
        TargetViews::Hard(View::whole(&self.labels))
    }

    fn fused(&self) -> Duration {
        let views = HeadLossViews::forward(self.views(), self.targets());
        timed_encoder(self.context, |encoder| {
            self.fused.encode_forward(encoder, &views, &Outputs::default()).expect("recording");
        })
    }

    /// Both steps, or the first alone.
    fn stored(&self, loss: bool) -> Duration {
        let labels = self.margin.then(|| View::whole(&self.labels));
        let views = HeadViews { labels, ..self.views() };
        let logits = View::whole(&self.logits);
        timed_encoder(self.context, |encoder| {
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                self.head.begin(&mut pass, &views).expect("recording");
                self.head.forward(&mut pass, 0, &views, logits).expect("recording");
            }
            if loss {
                let inputs = Inputs::new(logits, self.targets());
                self.loss.encode_forward(encoder, &inputs, &Outputs::default()).expect("recording");
            }
        })
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() {
    let context = Context::new().expect("an adapter");
    println!("adapter: {} ({})", context.adapter_info().name, context.adapter_info().driver_info);
    println!(
        "{:<28}{:>16}{:>12}{:>12}{:>12}{:>14}{:>16}",
        "head and loss", "N x D x K", "fused ms", "stored ms", "head ms", "fused/stored", "bytes stored"
    );
    let software = context.adapter_info().device_type == wgpu::DeviceType::Cpu;
    for &(rows, dim, classes) in shapes(software) {
        for head in HEADS {
            for loss in LOSSES {
                let problem = Problem::new(&context, head, loss, (rows, dim, classes));
                problem.fused();
                problem.stored(true);
                let (mut fused, mut stored, mut alone) = (Vec::new(), Vec::new(), Vec::new());
                for _ in 0..ROUNDS {
                    fused.push(problem.fused().as_secs_f64());
                    stored.push(problem.stored(true).as_secs_f64());
                    alone.push(problem.stored(false).as_secs_f64());
                }
                let (fused, stored, alone) = (median(fused), median(stored), median(alone));
                println!(
                    "{:<28}{:>16}{:>12.2}{:>12.2}{:>12.2}{:>14.3}{:>16}",
                    format!("{head}, {loss}"),
                    format!("{rows}x{dim}x{classes}"),
                    1e3 * fused,
                    1e3 * stored,
                    1e3 * alone,
                    fused / stored,
                    problem.logits.size(),
                );
            }
        }
    }
}
