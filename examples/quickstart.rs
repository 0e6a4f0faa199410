//! Logits in a slice, loss and gradient out: balanced softmax on the GPU, and the same in f64 on the CPU.

use longtail::gpu::Context;
use longtail::{Batch, ClassCounts, SoftmaxLoss, Targets, Upstream, reference};

fn main() -> longtail::Result<()> {
    // What the training set holds, and what to compute.
    let counts = ClassCounts::new([900, 90, 10])?;
    let loss = SoftmaxLoss::balanced(&counts);

    // Two rows of logits over three classes; the first row is of the rarest class.
    let logits: [f32; 6] = [0.2, -0.1, 0.4, 1.0, 0.0, -1.0];
    let labels = [2, 0];

    let context = Context::new()?;
    let batch = Batch::new(&logits, counts.classes(), Targets::Hard(&labels));
    let out = context.loss_and_grad(&loss, &batch)?;
    println!("adapter   {}", context.adapter_info().name);
    println!("loss      {:.6}", out.loss);
    for row in out.gradient.chunks(counts.classes()) {
        println!("gradient  {row:+.6?}");
    }

    // The same data through the f64 reference.
    let logits = logits.map(f64::from);
    let exact = reference::softmax(&loss, &Batch::new(&logits, 3, Targets::Hard(&labels)), Upstream::One)?;
    let differences =
        out.gradient.iter().zip(&exact.gradient).map(|(&gpu, cpu)| (f64::from(gpu) - cpu).abs());
    let largest = differences.fold((f64::from(out.loss) - exact.loss).abs(), f64::max);
    println!("largest difference from the f64 reference: {largest:.1e}");
    assert!(largest < 1e-6, "the kernel and the reference disagree");
    Ok(())
}
