//! Classes of a head shared by shards, each with its own rows of the weights: the loss and every gradient are those of one
//! step over all classes.
//!
//! Both compute the same logits from the same products; sums over classes are put together in another order. A row's
//! probabilities then differ by at most `e (64 + 8 sqrt(K))` relatively, `e = 2^-24` (the bound of `tests/head_loss.rs`
//! for the loss's own kernels), twice, since either side has it; gradients add up `K` or `N` of them.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;

use gpu::{context, floats, read_all};
use inputs::Draws;
use longtail::gpu::head::{HeadGradients, HeadLossPlan, HeadLossRequest, HeadLossViews, HeadViews};
use longtail::gpu::{Kernels, Outputs, Shard, Statistics, TargetViews, View};
use longtail::head::{Head, HeadLoss};
use longtail::softmax::GateSource;
use longtail::{ClassCounts, SoftmaxLoss, wgpu};

const ROWS: usize = 9;
const CLASSES: usize = 50;
const DIM: usize = 12;

struct Data {
    features: Vec<f32>,
    weights: Vec<f32>,
    labels: Vec<i32>,
}

impl Data {
    fn new() -> Self {
        let mut draws = Draws::new(4);
        let features = (0..ROWS * DIM).map(|_| draws.normal()).collect();
        let weights = (0..CLASSES * DIM).map(|_| draws.normal() * 0.3).collect();
        let labels = (0..ROWS).map(|row| if row == 4 { -100 } else { (row * 17 % CLASSES) as i32 }).collect();
        Self { features, weights, labels }
    }
}

fn buffer(kernels: &Kernels, bytes: &[u8], size: u64) -> wgpu::Buffer {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let size = size.max(bytes.len() as u64);
    let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
    let buffer = kernels.device().create_buffer(&descriptor);
    kernels.queue().write_buffer(&buffer, 0, bytes);
    buffer
}

/// A plan with its buffers.
struct Part {
    plan: HeadLossPlan,
    features: wgpu::Buffer,
    weights: wgpu::Buffer,
    labels: wgpu::Buffer,
    scratch: wgpu::Buffer,
    statistics: wgpu::Buffer,
    to_features: wgpu::Buffer,
    to_weights: wgpu::Buffer,
    loss: wgpu::Buffer,
}

impl Part {
    fn new(kernels: &Kernels, spec: &HeadLoss, data: &Data, shard: Option<Shard>) -> Self {
        let mut request = HeadLossRequest::new(ROWS, CLASSES, DIM);
        let classes = shard.as_ref().map_or(0..CLASSES, |shard| shard.classes.clone());
        request.shard = shard;
        let request = request.with_scratch_bytes(4 * 4 * classes.len() as u64);
        let plan = kernels.head_loss(spec, &request).unwrap();
        assert_eq!(plan.chunks(), (4, 3));
        let own = &data.weights[classes.start * DIM..classes.end * DIM];
        Self {
            features: buffer(kernels, bytemuck::cast_slice(&data.features), 0),
            weights: buffer(kernels, bytemuck::cast_slice(own), 0),
            labels: buffer(kernels, bytemuck::cast_slice(&data.labels), 0),
            scratch: buffer(kernels, &[], plan.scratch_bytes()),
            statistics: buffer(kernels, &[], plan.statistics().map_or(4, |statistics| statistics.bytes())),
            to_features: buffer(kernels, &[], 4 * (ROWS * DIM) as u64),
            to_weights: buffer(kernels, &[], 4 * own.len() as u64),
            loss: buffer(kernels, &[], 4),
            plan,
        }
    }

    fn views(&self) -> HeadLossViews<'_> {
        HeadLossViews::new(
            HeadViews::new(View::whole(&self.features), View::whole(&self.weights)),
            TargetViews::Hard(View::whole(&self.labels)),
            View::whole(&self.scratch),
        )
    }

    fn gradients(&self) -> HeadGradients<'_> {
        HeadGradients {
            features: Some(View::whole(&self.to_features)),
            weights: Some(View::whole(&self.to_weights)),
            ..HeadGradients::default()
        }
    }

    fn outputs(&self) -> Outputs<'_> {
        Outputs { loss: Some(View::whole(&self.loss)), ..Outputs::default() }
    }

    fn submit(&self, kernels: &Kernels, record: impl FnOnce(&mut wgpu::CommandEncoder)) {
        let mut encoder = kernels.device().create_command_encoder(&Default::default());
        record(&mut encoder);
        kernels.queue().submit([encoder.finish()]);
    }

    /// Loss, features' gradient, weights' gradient.
    fn read(&self, kernels: &Kernels) -> [Vec<f32>; 3] {
        self.plan.loss().status().unwrap();
        let words = read_all(kernels, &[&self.loss, &self.to_features, &self.to_weights]);
        [0, 1, 2].map(|part: usize| floats(&words[part]))
    }
}

fn whole(kernels: &Kernels, spec: &HeadLoss, data: &Data) -> [Vec<f32>; 3] {
    let part = Part::new(kernels, spec, data, None);
    assert_eq!(part.plan.statistics(), None);
    part.submit(kernels, |encoder| {
        part.plan.encode_loss_and_grad(encoder, &part.views(), &part.gradients(), &part.outputs()).unwrap();
    });
    part.read(kernels)
}

fn sharded(kernels: &Kernels, spec: &HeadLoss, data: &Data, cuts: &[usize]) -> [Vec<f32>; 3] {
    let shards = cuts.len() - 1;
    let parts: Vec<Part> = (0..shards)
        .map(|index| {
            let shard = Shard { index, shards, classes: cuts[index]..cuts[index + 1] };
            Part::new(kernels, spec, data, Some(shard))
        })
        .collect();
    let rounds = parts[0].plan.statistics().unwrap().rounds();
    for round in 0..rounds {
        for part in &parts {
            part.submit(kernels, |encoder| {
                let statistics = View::whole(&part.statistics);
                part.plan.encode_partial(encoder, &part.views(), round, statistics).unwrap();
            });
        }
        let buffers: Vec<&wgpu::Buffer> = parts.iter().map(|part| &part.statistics).collect();
        let all = read_all(kernels, &buffers);
        let region = parts[0].plan.statistics().unwrap().region(round);
        let words = region.start as usize / 4..region.end as usize / 4;
        let mut merged = vec![0; words.len()];
        for own in &all {
            Statistics::merge(&mut merged, &own[words.clone()]).unwrap();
        }
        for part in &parts {
            kernels.queue().write_buffer(&part.statistics, region.start, bytemuck::cast_slice(&merged));
        }
    }
    let mut result = [Vec::new(), vec![0.0; ROWS * DIM], Vec::new()];
    for part in &parts {
        part.submit(kernels, |encoder| {
            let statistics = View::whole(&part.statistics);
            let (views, gradients, outputs) = (part.views(), part.gradients(), part.outputs());
            part.plan.encode_shard_loss_and_grad(encoder, &views, statistics, &gradients, &outputs).unwrap();
        });
        let [loss, features, weights] = part.read(kernels);
        // The loss is the same on every shard, the features' gradient is added up.
        assert!(result[0].is_empty() || result[0] == loss);
        result[0] = loss;
        result[1].iter_mut().zip(&features).for_each(|(sum, value)| *sum += value);
        result[2].extend(weights);
    }
    result
}

#[test]
fn every_split_gives_the_whole() {
    let kernels = context().kernels();
    let data = Data::new();
    let counts =
        ClassCounts::new((0..CLASSES as u64).map(|class| 3 + 500 / (class + 1)).collect::<Vec<_>>()).unwrap();
    let losses = [
        ("cross_entropy", SoftmaxLoss::cross_entropy()),
        ("balanced", SoftmaxLoss::balanced(&counts)),
        ("focal", SoftmaxLoss::focal(2.0)),
        ("seesaw", SoftmaxLoss::seesaw(&counts)),
        ("ldam", SoftmaxLoss::ldam(&counts, 0.5, 10.0).unwrap()),
        ("equalization", SoftmaxLoss::equalization(&counts, 0.05, 0.9, 3, GateSource::Element).unwrap()),
    ];
    let mut cases = 0;
    for (name, loss) in losses {
        for head in [Head::cosine(6.0), Head::linear(), Head::cosface(0.2, 6.0)] {
            let spec = HeadLoss::new(head, loss.clone());
            let want = whole(kernels, &spec, &data);
            for cuts in [&[0, 25, 50][..], &[0, 1, 50], &[0, 10, 47, 50]] {
                let got = sharded(kernels, &spec, &data, cuts);
                let e =
                    2.0 * 2f32.powi(-24) * (64.0 + 8.0 * (CLASSES as f32).sqrt()) * (CLASSES as f32).sqrt();
                for (part, (got, want)) in got.iter().zip(&want).enumerate() {
                    let largest = want.iter().fold(0f32, |largest, value| largest.max(value.abs()));
                    assert_eq!(got.len(), want.len());
                    for (got, want) in got.iter().zip(want) {
                        let error = (got - want).abs();
                        assert!(error <= e * largest, "{name} {cuts:?} part {part}: {got} {want}");
                    }
                }
                cases += 1;
            }
        }
    }
    println!("{cases} cases on the GPU");
    assert_eq!(cases, 54);
}

/// Row losses of plans without a way back, and with them the reduced loss: whole, or by shards.
fn forward(kernels: &Kernels, spec: &HeadLoss, data: &Data, cuts: &[usize]) -> Vec<f32> {
    let shards = cuts.len() - 1;
    let out = buffer(kernels, &[], 4 * (ROWS as u64 + 1));
    let bytes = 4 * ROWS as u64;
    let outputs = Outputs {
        row_loss: Some(View::new(&out, 0, bytes)),
        loss: Some(View::new(&out, bytes, 4)),
        ..Outputs::default()
    };
    let (features, labels) = (
        buffer(kernels, bytemuck::cast_slice(&data.features), 0),
        buffer(kernels, bytemuck::cast_slice(&data.labels), 0),
    );
    let parts: Vec<(HeadLossPlan, wgpu::Buffer, wgpu::Buffer)> = (0..shards)
        .map(|index| {
            let classes = cuts[index]..cuts[index + 1];
            let own = &data.weights[classes.start * DIM..classes.end * DIM];
            let mut request = HeadLossRequest::new(ROWS, CLASSES, DIM).forward_only();
            request.shard = (shards > 1).then_some(Shard { index, shards, classes });
            let plan = kernels.head_loss(spec, &request).unwrap();
            let statistics = plan.statistics().map_or(4, |statistics| statistics.bytes());
            (plan, buffer(kernels, bytemuck::cast_slice(own), 0), buffer(kernels, &[], statistics))
        })
        .collect();
    let views = |weights| {
        let head = HeadViews::new(View::whole(&features), View::whole(weights));
        HeadLossViews::forward(head, TargetViews::Hard(View::whole(&labels)))
    };
    let submit = |record: &dyn Fn(&mut wgpu::CommandEncoder)| {
        let mut encoder = kernels.device().create_command_encoder(&Default::default());
        record(&mut encoder);
        kernels.queue().submit([encoder.finish()]);
    };
    let rounds = parts[0].0.statistics().map_or(0, |statistics| statistics.rounds());
    for round in 0..rounds {
        for (plan, weights, statistics) in &parts {
            submit(&|encoder| {
                plan.encode_partial(encoder, &views(weights), round, View::whole(statistics)).unwrap();
            });
        }
        let all = read_all(kernels, &parts.iter().map(|(.., statistics)| statistics).collect::<Vec<_>>());
        let region = parts[0].0.statistics().unwrap().region(round);
        let words = region.start as usize / 4..region.end as usize / 4;
        let mut merged = vec![0; words.len()];
        for own in &all {
            Statistics::merge(&mut merged, &own[words.clone()]).unwrap();
        }
        for (.., statistics) in &parts {
            kernels.queue().write_buffer(statistics, region.start, bytemuck::cast_slice(&merged));
        }
    }
    let mut result = Vec::new();
    for (plan, weights, statistics) in &parts {
        submit(&|encoder| match shards {
            1 => plan.encode_forward(encoder, &views(weights), &outputs).unwrap(),
            _ => {
                let statistics = View::whole(statistics);
                plan.encode_shard_forward(encoder, &views(weights), statistics, &outputs).unwrap();
            }
        });
        plan.loss().status().unwrap();
        let found = floats(&read_all(kernels, &[&out])[0]);
        // The same on every shard.
        assert!(result.is_empty() || result == found);
        result = found;
    }
    result
}

/// Without a way back, and without storing a logit.
#[test]
fn every_split_gives_the_whole_loss() {
    let kernels = context().kernels();
    let data = Data::new();
    let counts =
        ClassCounts::new((0..CLASSES as u64).map(|class| 3 + 500 / (class + 1)).collect::<Vec<_>>()).unwrap();
    let mut cases = 0;
    for loss in [SoftmaxLoss::balanced(&counts), SoftmaxLoss::seesaw(&counts)] {
        for head in [Head::linear(), Head::cosface(0.2, 6.0)] {
            let spec = HeadLoss::new(head, loss.clone());
            let want = forward(kernels, &spec, &data, &[0, CLASSES]);
            for cuts in [&[0, 25, 50][..], &[0, 1, 50], &[0, 10, 47, 50]] {
                let got = forward(kernels, &spec, &data, cuts);
                let e = 2.0 * 2f32.powi(-24) * (64.0 + 8.0 * (CLASSES as f32).sqrt());
                for (got, want) in got.iter().zip(&want) {
                    assert!((got - want).abs() <= e * (1.0 + want.abs()), "{cuts:?}: {got} {want}");
                }
                cases += 1;
            }
        }
    }
    println!("{cases} cases on the GPU");
    assert_eq!(cases, 12);
}

/// A plan is for all classes or for a shard of them, and says so.
#[test]
fn passes_of_the_other_kind_are_refused() {
    let kernels = context().kernels();
    let data = Data::new();
    let spec = HeadLoss::new(Head::cosine(6.0), SoftmaxLoss::cross_entropy());
    let (all, part) = (
        Part::new(kernels, &spec, &data, None),
        Part::new(kernels, &spec, &data, Some(Shard { index: 0, shards: 2, classes: 0..20 })),
    );
    let mut encoder = kernels.device().create_command_encoder(&Default::default());
    let statistics = View::whole(&part.statistics);
    assert!(all.plan.encode_partial(&mut encoder, &all.views(), 0, statistics).is_err());
    let (views, gradients, outputs) = (part.views(), part.gradients(), part.outputs());
    assert!(part.plan.encode_loss_and_grad(&mut encoder, &views, &gradients, &outputs).is_err());
    assert!(part.plan.encode_partial(&mut encoder, &views, 1, statistics).is_err());
    let short = View::new(&part.statistics, 0, 4);
    assert!(part.plan.encode_partial(&mut encoder, &views, 0, short).is_err());
    let none =
        HeadLossRequest::new(ROWS, CLASSES, DIM).with_shard(Shard { index: 0, shards: 2, classes: 3..3 });
    assert!(kernels.head_loss(&spec, &none).is_err());
}
