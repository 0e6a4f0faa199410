//! Classes sharded over devices: the statistics of all shards, put together in any order, give every method's loss and
//! each shard's gradient.

#[path = "support/cases.rs"]
mod cases;
#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/keys.rs"]
mod keys;
#[path = "support/tally.rs"]
mod tally;
#[path = "support/tolerance.rs"]
mod tolerance;

use cases::{mix, named, subjects};
use gpu::{Got, Manner, Up, bits, context, floats, kernels_with, read_all};
use inputs::{Data, counts};
use longtail::gpu::{
    Inputs, Kernels, Mode, Outputs, Plan, PlanRequest, RowChoice, Shard, Statistics, Storage, TargetViews,
    View,
};
use longtail::{Element, Error, SoftmaxLoss, TargetKind, Upstream, reference};
use std::ops::Range;

const USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

fn buffer(kernels: &Kernels, bytes: &[u8]) -> wgpu::Buffer {
    let buffer = kernels.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("test"),
        size: (bytes.len() as u64).next_multiple_of(4).max(4),
        usage: USAGE,
        mapped_at_creation: false,
    });
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(4), 0);
    if !padded.is_empty() {
        kernels.queue().write_buffer(&buffer, 0, &padded);
    }
    buffer
}

/// The columns of a range of classes.
fn columns<T: Copy>(values: &[T], classes: usize, range: &Range<usize>) -> Vec<T> {
    values.chunks_exact(classes).flat_map(|row| row[range.clone()].to_vec()).collect()
}

/// One shard with its buffers.
struct Part {
    plan: Plan,
    range: Range<usize>,
    kernels: Kernels,
    logits: wgpu::Buffer,
    gradient: wgpu::Buffer,
    dense: wgpu::Buffer,
    per_row: Vec<wgpu::Buffer>,
    statistics: wgpu::Buffer,
    scales: wgpu::Buffer,
    outputs: Vec<wgpu::Buffer>,
}

/// How a batch is sharded.
#[derive(Debug, Clone)]
struct Sharding {
    ranges: Vec<Range<usize>>,
    manner: Manner,
}

impl Part {
    fn new(
        kernels: &Kernels,
        spec: &SoftmaxLoss,
        data: &Data,
        sharding: &Sharding,
        index: usize,
    ) -> longtail::Result<Self> {
        let manner = sharding.manner;
        let range = sharding.ranges[index].clone();
        let shard = Shard { index, shards: sharding.ranges.len(), classes: range.clone() };
        let mut request = PlanRequest::new(data.rows, data.classes)
            .with_targets(data.kind)
            .with_mode(manner.mode)
            .with_storage(manner.storage)
            .with_elements(manner.elements.0, manner.gradient())
            .with_shard(shard);
        request.row_weights = data.row_weights.is_some();
        request.argmax = manner.argmax;
        request.class_scale_gradient = manner.class_scale;
        request.choice = manner.choice;
        let plan = kernels.plan(spec, &request)?;
        let part = |values: &[f32]| columns(values, data.classes, &range);
        let words = |values: &[u32]| bytemuck::cast_slice::<u32, u8>(values).to_vec();
        let floats = |values: &[f32]| words(&bits(values));
        let ints = |values: &[i32]| bytemuck::cast_slice::<i32, u8>(values).to_vec();
        let dense = if data.kind == TargetKind::Soft { &data.soft } else { &data.gates };
        let rows = data.rows;
        let statistics = vec![0u8; plan.statistics().unwrap().bytes() as usize];
        let weights = data.row_weights.clone().unwrap_or_default();
        let per_row = [
            ints(&data.labels),
            ints(&data.second),
            floats(&data.lambda),
            floats(&weights),
            floats(&data.norms),
            floats(&data.upstream),
        ];
        let nothing = vec![0xff; 4 * rows * range.len() + 4];
        Ok(Self {
            logits: buffer(kernels, &manner.elements.0.encode(&part(&data.logits))),
            gradient: buffer(kernels, &nothing),
            dense: buffer(kernels, &floats(&part(dense))),
            per_row: per_row.iter().map(|bytes| buffer(kernels, bytes)).collect(),
            statistics: buffer(kernels, &statistics),
            scales: buffer(kernels, &vec![0xff; 4 * range.len()]),
            outputs: (0..5).map(|_| buffer(kernels, &vec![0xff; 4 * rows])).collect(),
            kernels: kernels.clone(),
            plan,
            range,
        })
    }

    fn matrix(&self, data: &Data, element: Element) -> u64 {
        (element.bytes() * (data.rows * self.range.len()) as u64).next_multiple_of(4)
    }

    fn inputs(&self, spec: &SoftmaxLoss, data: &Data, manner: Manner) -> Inputs<'_> {
        let rows = |index: usize| View::new(&self.per_row[index], 0, 4 * data.rows as u64);
        let dense = View::new(&self.dense, 0, self.matrix(data, Element::F32));
        let targets = match data.kind {
            TargetKind::Hard => TargetViews::Hard(rows(0)),
            TargetKind::Mixed => TargetViews::Mixed { first: rows(0), second: rows(1), lambda: rows(2) },
            _ => TargetViews::Soft(dense.into()),
        };
        let logits = View::new(&self.logits, 0, self.matrix(data, manner.elements.0));
        let mut inputs = Inputs::new(logits, targets);
        let batch = data.batch(spec);
        inputs.row_weights = data.row_weights.as_ref().map(|_| rows(3));
        inputs.feature_norms = batch.feature_norms.map(|_| rows(4));
        inputs.gates = batch.gates.map(|_| dense.into());
        inputs
    }

    fn submit(&self, record: impl FnOnce(&mut wgpu::CommandEncoder) -> longtail::Result<()>) {
        let mut encoder = self.kernels.device().create_command_encoder(&Default::default());
        record(&mut encoder).unwrap();
        self.kernels.queue().submit([encoder.finish()]);
    }

    /// The words of one round.
    fn region(&self, round: usize) -> Vec<u32> {
        let region = self.plan.statistics().unwrap().region(round);
        let words = read_all(&self.kernels, &[&self.statistics]).remove(0);
        words[region.start as usize / 4..region.end as usize / 4].to_vec()
    }
}

/// The orders in which statistics can be put together: every permutation of the shards, each as a chain from the left
/// and from the right.
fn merged_in_every_order(parts: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let mut orders: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in parts {
        let longer = |order: &Vec<usize>| -> Vec<Vec<usize>> {
            let free = (0..parts.len()).filter(|index| !order.contains(index));
            free.map(|index| order.iter().copied().chain([index]).collect()).collect()
        };
        orders = orders.iter().flat_map(longer).collect();
    }
    let mut results = Vec::new();
    for order in orders {
        let mut left = parts[order[0]].clone();
        for &index in &order[1..] {
            Statistics::merge(&mut left, &parts[index]).unwrap();
        }
        results.push(left);
        let mut right = parts[order[order.len() - 1]].clone();
        for &index in order[..order.len() - 1].iter().rev() {
            let mut next = parts[index].clone();
            Statistics::merge(&mut next, &right).unwrap();
            right = next;
        }
        results.push(right);
    }
    results
}

/// Runs a sharded batch; every order of merging must give the same words.
fn run(
    kernels: &[&Kernels],
    spec: &SoftmaxLoss,
    data: &Data,
    sharding: &Sharding,
    every_order: bool,
) -> Vec<Got> {
    let manner = sharding.manner;
    let shards = 0..sharding.ranges.len();
    let parts: Vec<Part> = shards
        .map(|index| {
            Part::new(kernels[index % kernels.len()], spec, data, sharding, index)
                .unwrap_or_else(|error| panic!("{sharding:?}: {error}"))
        })
        .collect();
    let statistics = parts[0].plan.statistics().unwrap();
    for round in 0..statistics.rounds() {
        for part in &parts {
            let inputs = part.inputs(spec, data, manner);
            let view = View::whole(&part.statistics);
            part.submit(|encoder| part.plan.encode_partial(encoder, &inputs, round, view));
        }
        let own: Vec<Vec<u32>> = parts.iter().map(|part| part.region(round)).collect();
        let merged = match every_order {
            true => {
                let merged = merged_in_every_order(&own);
                assert!(merged.windows(2).all(|pair| pair[0] == pair[1]), "{sharding:?}: the order matters");
                merged[0].clone()
            }
            false => {
                let mut merged = own[0].clone();
                own[1..].iter().for_each(|other| Statistics::merge(&mut merged, other).unwrap());
                merged
            }
        };
        let start = statistics.region(round).start;
        for part in &parts {
            part.kernels.queue().write_buffer(&part.statistics, start, bytemuck::cast_slice(&merged));
        }
    }
    parts.iter().map(|part| finish(part, spec, data, manner)).collect()
}

fn finish(part: &Part, spec: &SoftmaxLoss, data: &Data, manner: Manner) -> Got {
    let inputs = part.inputs(spec, data, manner);
    let view = View::whole(&part.statistics);
    let rows = 4 * data.rows as u64;
    let output = |index: usize| View::new(&part.outputs[index], 0, rows);
    let outputs = Outputs {
        loss: Some(View::new(&part.outputs[0], 0, 4)),
        row_loss: Some(output(1)),
        log_sum_exp: Some(output(2)),
        target_probability: Some(output(3)),
        argmax: manner.argmax.then(|| output(4)),
    };
    let in_place = manner.storage == Storage::InPlace;
    let bytes = part.matrix(data, manner.gradient());
    let gradient = (!in_place).then(|| View::new(&part.gradient, 0, bytes).into());
    let scales = manner.class_scale.then(|| View::new(&part.scales, 0, 4 * part.range.len() as u64));
    part.submit(|encoder| match manner.mode {
        Mode::ForwardBackward => {
            part.plan.encode_shard_forward(encoder, &inputs, view, &outputs)?;
            let upstream = (manner.upstream == Up::PerRow).then(|| View::new(&part.per_row[5], 0, rows));
            part.plan.encode_backward(encoder, &inputs, upstream, gradient, scales)
        }
        _ => part.plan.encode_shard_loss_and_grad(encoder, &inputs, view, gradient, scales, &outputs),
    });
    let written = if in_place { &part.logits } else { &part.gradient };
    let mut read: Vec<&wgpu::Buffer> = part.outputs.iter().collect();
    read.extend([written, &part.scales]);
    let words = read_all(&part.kernels, &read);
    let bytes: Vec<u8> = words[5].iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut gradient = manner.gradient().decode(&bytes);
    gradient.truncate(data.rows * part.range.len());
    Got {
        loss: f32::from_bits(words[0][0]),
        row_loss: floats(&words[1]),
        log_sum_exp: floats(&words[2]),
        probability: floats(&words[3]),
        argmax: if manner.argmax { words[4].clone() } else { Vec::new() },
        gradient,
        class_scale: manner.class_scale.then(|| floats(&words[6][..part.range.len()])),
        status: part.plan.status().err(),
    }
}

/// The shards' outputs as one: all say the same of the rows, each has its own columns.
fn together(gots: &[Got], data: &Data, sharding: &Sharding) -> Got {
    let mut whole = gots[0].clone();
    whole.gradient = vec![0.0; data.rows * data.classes];
    if let Some(scales) = &mut whole.class_scale {
        *scales = vec![0.0; data.classes];
    }
    for (got, range) in gots.iter().zip(&sharding.ranges) {
        let same = |a: &[f32], b: &[f32]| bits(a) == bits(b);
        assert!(
            same(&[got.loss], &[gots[0].loss])
                && same(&got.row_loss, &gots[0].row_loss)
                && same(&got.log_sum_exp, &gots[0].log_sum_exp)
                && got.argmax == gots[0].argmax,
            "{sharding:?}: shards differ in what they say of the rows"
        );
        for row in 0..data.rows {
            let to = &mut whole.gradient[row * data.classes..][range.clone()];
            to.copy_from_slice(&got.gradient[row * range.len()..][..range.len()]);
        }
        if let (Some(whole), Some(part)) = (&mut whole.class_scale, &got.class_scale) {
            whole[range.clone()].copy_from_slice(part);
        }
    }
    whole
}

struct Tally {
    cases: usize,
    tightest: f64,
}

impl Tally {
    fn check(
        &mut self,
        kernels: &[&Kernels],
        name: &str,
        data: &Data,
        sharding: &Sharding,
        every_order: bool,
    ) {
        let subject = named(name);
        let spec = subject.spec(&counts(data.classes));
        let data = data.clone().rounded_to(sharding.manner.elements.0);
        let upstream = match sharding.manner.upstream {
            Up::PerRow => Upstream::PerRow(&data.upstream),
            _ => Upstream::One,
        };
        let want = reference::softmax(&spec, &data.wide(&spec), upstream).unwrap();
        let gots = run(kernels, &spec, &data, sharding, every_order);
        let got = together(&gots, &data, sharding);
        assert_eq!(got.status, None, "{name} {sharding:?}");
        let manner = sharding.manner;
        let worst = tolerance::compare(&spec, &data, &want, &got, manner.upstream, manner.gradient());
        assert!(worst.ratio <= 1.0, "{name} {}x{} {sharding:?}: {worst:?}", data.rows, data.classes);
        self.cases += 1;
        self.tightest = self.tightest.max(worst.ratio);
    }

    fn end(self, what: &str) {
        println!("{what}: {} GPU cases; tightest: {:.2} of its tolerance", self.cases, self.tightest);
        assert!(self.cases > 0, "no GPU case ran");
    }
}

/// `0..classes` cut at the given places, which may coincide.
fn cut(classes: usize, places: &[usize]) -> Vec<Range<usize>> {
    let mut bounds = vec![0];
    bounds.extend_from_slice(places);
    bounds.push(classes);
    bounds.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

/// Every way to cut 5 classes into three shards, empty ones too; every order and both nestings of merging.
#[test]
fn every_split_and_order() {
    let mut tally = Tally { cases: 0, tightest: 0.0 };
    let kernels = context().kernels();
    for name in ["cross_entropy", "seesaw", "gates + margin + two labels", "soft_label_ce"] {
        let subject = named(name);
        for first in 0..=5 {
            for second in first..=5 {
                let data = Data::new(6, 5, subject.kind, mix(&subject, first + second));
                let manner = Manner { mode: Mode::LossAndGrad, ..Manner::default() };
                let sharding = Sharding { ranges: cut(5, &[first, second]), manner };
                tally.check(&[kernels], name, &data, &sharding, true);
            }
        }
    }
    tally.end("every split and order");
}

/// Every method and combination of terms, in four shards of which one is first and has the last classes.
#[test]
fn every_method() {
    let mut tally = Tally { cases: 0, tightest: 0.0 };
    let shared = context().kernels();
    for (turn, subject) in subjects().iter().enumerate() {
        let kernels = shared.edited(&[]);
        let data = Data::new(7, 37, subject.kind, mix(subject, turn));
        let mut ranges = cut(37, &[1, 9 + turn % 20, 33]);
        ranges.rotate_right(1);
        let (mode, upstream) = [(Mode::LossAndGrad, Up::One), (Mode::ForwardBackward, Up::PerRow)][turn % 2];
        let manner = Manner {
            mode,
            upstream,
            storage: [Storage::Separate, Storage::InPlace, Storage::Shared][turn % 3],
            argmax: turn % 2 == 0,
            class_scale: subject.spec(&counts(37)).class_scale.is_some(),
            elements: [
                (Element::F32, Element::F32),
                (Element::F16, Element::F16),
                (Element::Bf16, Element::Bf16),
                (Element::F32, Element::F16),
            ][turn % 4],
            choice: [None, Some(RowChoice::stream(4, 4).with_split(2))][turn % 2],
            ..Manner::default()
        };
        tally.check(&[&kernels], subject.name, &data, &Sharding { ranges, manner }, false);
    }
    tally.end("every method");
}

/// Shards on devices of different limits, which cut their parts into windows of their own.
#[test]
fn devices_of_different_limits() {
    let mut tally = Tally { cases: 0, tightest: 0.0 };
    let small = kernels_with(|limits| limits.max_storage_buffer_binding_size = 2048);
    let kernels = [context().kernels(), &small];
    for (turn, name) in
        ["ldam_drw", "seesaw", "equalization", "focal", "label_smoothing"].into_iter().enumerate()
    {
        let subject = named(name);
        let data = Data::new(5, 1501, subject.kind, mix(&subject, turn));
        let manner = Manner { argmax: true, ..Manner::default() };
        let sharding = Sharding { ranges: cut(1501, &[700]), manner };
        tally.check(&kernels, name, &data, &sharding, false);
    }
    tally.end("devices of different limits");
}

/// The statistics' size and places, and what a shard refuses.
#[test]
fn sizes_and_refusals() {
    let kernels = context().kernels();
    let request =
        |index, shards, classes| PlanRequest::new(3, 10).with_shard(Shard { index, shards, classes });
    let plan = kernels.plan(SoftmaxLoss::cross_entropy(), &request(1, 4, 2..5)).unwrap();
    let statistics = plan.statistics().unwrap();
    assert_eq!(statistics.rounds(), 1);
    // Maximum, sum, bad; of the label: owned, v twice, margin, weight, smoothing, power.
    let slot = 4 * 3 * 10;
    assert_eq!(statistics.slot(0, 1), slot..2 * slot);
    assert_eq!(statistics.region(0), 0..4 * slot);
    assert_eq!(statistics.bytes(), (4 * slot).next_multiple_of(256));
    let seesaw = kernels.plan(SoftmaxLoss::seesaw(&counts(10)), &request(0, 2, 0..10)).unwrap();
    assert_eq!(seesaw.statistics().unwrap().rounds(), 2);
    assert_eq!(seesaw.counts().unwrap().classes(), 10);
    let refused = |index, shards, classes| {
        kernels.plan(SoftmaxLoss::cross_entropy(), &request(index, shards, classes)).unwrap_err()
    };
    assert!(matches!(refused(2, 2, 0..1), Error::Parameter { name: "the shard's number", value: 2.0, .. }));
    assert!(matches!(refused(0, 2, 5..11), Error::Parameter { value: 11.0, .. }));
    assert!(matches!(
        Statistics::merge(&mut [0; 3], &[0; 4]),
        Err(Error::Length { expected: 3, found: 4, .. })
    ));

    let buffers: Vec<wgpu::Buffer> = (0..4).map(|_| buffer(kernels, &[0; 4096])).collect();
    let view = |index: usize, size| View::new(&buffers[index], 0, size);
    let inputs = Inputs::new(view(0, 36), TargetViews::Hard(view(1, 12)));
    let mut encoder = kernels.device().create_command_encoder(&Default::default());
    let whole =
        plan.encode_loss_and_grad(&mut encoder, &inputs, Some(view(2, 36).into()), None, &Outputs::default());
    assert!(matches!(whole, Err(Error::Unexpected { what: "a pass over all classes", .. })), "{whole:?}");
    let short = plan.encode_partial(&mut encoder, &inputs, 0, view(3, 16));
    assert!(matches!(short, Err(Error::Length { what: "the statistics", .. })), "{short:?}");
    let round = plan.encode_partial(&mut encoder, &inputs, 1, view(3, statistics.bytes()));
    assert!(matches!(round, Err(Error::Parameter { name: "the round", value: 1.0, .. })), "{round:?}");
    let unsharded = kernels.plan(SoftmaxLoss::cross_entropy(), &PlanRequest::new(3, 3)).unwrap();
    assert_eq!(unsharded.statistics(), None);
    let partial = unsharded.encode_partial(&mut encoder, &inputs, 0, view(3, 16));
    assert!(matches!(partial, Err(Error::Unexpected { .. })), "{partial:?}");
}

/// A bad logit in one shard and a bad label are every shard's.
#[test]
fn bad_rows_reach_every_shard() {
    let kernels = context().kernels();
    let subject = named("cross_entropy");
    let spec = subject.spec(&counts(9));
    let manner = Manner::default();
    let sharding = Sharding { ranges: cut(9, &[4]), manner };
    let mut data = Data::new(4, 9, TargetKind::Hard, inputs::Mix::new(3));
    data.labels = vec![0, 8, 2, 5];
    data.logits[9 + 7] = f32::NAN;
    data.labels[3] = 9;
    for got in run(&[kernels], &spec, &data, &sharding, false) {
        assert!(got.loss.is_nan());
        let width = got.gradient.len() / 4;
        let bad = |row: usize| got.gradient[row * width..(row + 1) * width].iter().all(|g| g.is_nan());
        assert_eq!([bad(0), bad(1), bad(2), bad(3)], [false, true, false, true]);
        assert!(matches!(got.status, Some(Error::Label { row: 3, rows: 1, .. })), "{:?}", got.status);
    }
}
