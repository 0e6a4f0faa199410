//! Predictions and mean features on the adapter against the f64 reference.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;

use gpu::{Arena, GUARD, bits, context, floats, kernels_with};
use inputs::Draws;
use longtail::gpu::Kernels;
use longtail::gpu::head::{ClassMeansRequest, PredictRequest, PredictViews, RunningMeanRequest};
use longtail::head::{ClassScale, Head, HeadInput, Inference, RowNorm, RunningMean, class_means};
use longtail::method::HEADS;
use longtail::{Error, reference};

fn report(cases: usize) {
    println!("{cases} predictions on the GPU");
    assert!(cases > 0, "no GPU case ran");
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// Small whole numbers: products of them are exact, and there are ties.
fn small(count: usize, draws: &mut Draws) -> Vec<f32> {
    (0..count).map(|_| draws.below(7) as f32 - 3.0).collect()
}

struct Batch {
    head: Head,
    request: PredictRequest,
    features: Vec<f32>,
    weights: Vec<f32>,
    bias: Vec<f32>,
    scales: Vec<f32>,
    centre: Vec<f32>,
    adjustment: Vec<f32>,
    direction: Vec<f32>,
}

impl Batch {
    fn new(head: Head, request: PredictRequest, seed: u32) -> Self {
        let mut draws = Draws::new(seed);
        let (n, k, d) = (request.rows, request.classes, request.dim);
        Self {
            features: small(n * d, &mut draws),
            weights: small(k * d, &mut draws),
            bias: small(k, &mut draws),
            scales: small(k, &mut draws),
            centre: small(d, &mut draws),
            adjustment: small(k, &mut draws),
            direction: small(d, &mut draws),
            head,
            request,
        }
    }

    fn run(&self) -> longtail::Result<(Vec<u32>, Vec<f32>)> {
        self.run_on(context().kernels())
    }

    fn run_on(&self, kernels: &Kernels) -> longtail::Result<(Vec<u32>, Vec<f32>)> {
        let plan = kernels.head_predict(&self.head, &self.request)?;
        let mut arena = Arena::new(false);
        let all = [
            &self.features,
            &self.weights,
            &self.bias,
            &self.scales,
            &self.centre,
            &self.adjustment,
            &self.direction,
        ];
        let given = all.map(|values| arena.add(&bits(values)));
        let scratch = arena.add(&vec![GUARD; plan.scratch_bytes() as usize / 4]);
        let count = self.request.rows * self.request.top;
        let outputs = [0; 2].map(|_| arena.add(&vec![GUARD; count]));
        arena.upload(kernels);
        let optional = |index: usize, wanted: bool| wanted.then(|| arena.view(given[index]));
        let views = PredictViews {
            features: arena.view(given[0]),
            weights: arena.view(given[1]),
            bias: optional(2, self.head.bias),
            class_scale: optional(3, self.head.class_scale != ClassScale::None),
            centre: optional(4, self.head.centred),
            adjustment: optional(5, self.request.adjustment),
            direction: optional(6, self.request.effect.is_some()),
            scratch: arena.view(scratch),
            top_classes: arena.view(outputs[0]),
            top_logits: arena.view(outputs[1]),
        };
        let mut encoder = kernels.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        plan.encode(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()), &views)?;
        kernels.queue().submit([encoder.finish()]);
        let back = arena.read(kernels, &[scratch, outputs[0], outputs[1]]);
        Ok((back[outputs[0]].clone(), floats(&back[outputs[1]])))
    }

    fn expected(&self) -> reference::Predictions {
        let (features, weights, bias, scales, centre) = (
            wide(&self.features),
            wide(&self.weights),
            wide(&self.bias),
            wide(&self.scales),
            wide(&self.centre),
        );
        let mut input = HeadInput::new(&features, &weights, self.request.dim, self.request.classes);
        input.bias = self.head.bias.then_some(&bias);
        input.class_scale = (self.head.class_scale != ClassScale::None).then_some(&scales);
        input.centre = self.head.centred.then_some(&centre);
        let mut inference = Inference::top(self.request.top);
        if self.request.adjustment {
            inference = inference.with_adjustment(wide(&self.adjustment));
        }
        if let Some(alpha) = self.request.effect {
            inference = inference.with_effect(wide(&self.direction), alpha);
        }
        reference::predict(&self.head, &input, &inference).unwrap()
    }

    /// The logits within rounding, and each class with a logit of that rank: where two are nearer than rounding either may
    /// come first.
    #[track_caller]
    fn check(&self) {
        let (classes, logits) = self.run().unwrap();
        let expected = self.expected();
        let (k, top) = (self.request.classes, self.request.top);
        assert_eq!((classes.len(), logits.len()), (expected.classes.len(), expected.top_logits.len()));
        for (position, (class, logit)) in classes.iter().zip(&logits).enumerate() {
            let row = &expected.logits[position / top * k..][..k];
            let size = row.iter().fold(1f64, |size, value| size.max(value.abs()));
            // A few dozen roundings of numbers that are at most the scale, 8 of 64 that a distance cancels.
            let allowed = 1e-5 * size.max(self.head.scale);
            let want = expected.top_logits[position];
            assert!((f64::from(*logit) - want).abs() <= allowed, "{position}: {logit} is not {want}");
            let own = row[*class as usize];
            assert!((own - want).abs() <= 2.0 * allowed, "{position}: class {class} has {own}, not {want}");
        }
        for row in classes.chunks(top.max(1)) {
            let mut sorted = row.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), row.len(), "a class twice");
        }
    }
}

#[test]
fn every_head() {
    let mut cases = 0;
    for method in HEADS {
        let head = (method.build)();
        for (rows, classes, dim, top, chunks) in
            [(5, 13, 4, 3, (2, 5)), (3, 70, 6, 64, (3, 70)), (4, 3, 2, 1, (1, 1))]
        {
            let mut request = PredictRequest::new(rows, classes, dim, top).with_chunks(chunks.0, chunks.1);
            if cases % 2 == 0 {
                request = request.with_adjustment();
            }
            if cases % 3 == 0 {
                request = request.with_effect(1.5);
            }
            println!("{} {rows} x {classes} x {dim}", method.name);
            Batch::new(head.clone(), request, cases as u32).check();
            cases += 1;
        }
    }
    report(cases);
}

/// Whole numbers are exact: classes and logits are those of the reference, ties included, for every cut.
#[test]
fn ties_go_to_the_lower_class() {
    let mut cases = 0;
    for (classes, top) in [(1, 1), (40, 5), (40, 40), (100, 64)] {
        for chunks in [(1, classes), (7, 9), (3, 1), (100, 100)] {
            let request = PredictRequest::new(7, classes, 3, top).with_chunks(chunks.0, chunks.1);
            let batch = Batch::new(Head::linear().with_bias(), request.with_adjustment(), cases);
            let (found, logits) = batch.run().unwrap();
            let expected = batch.expected();
            assert_eq!(found, expected.classes);
            assert_eq!(wide(&logits), expected.top_logits);
            cases += 1;
        }
    }
    report(cases as usize);
}

/// Weights, and features, that no binding holds.
#[test]
fn classes_beyond_a_binding() {
    let kernels = kernels_with(|limits| limits.max_storage_buffer_binding_size = 8192);
    for (head, turn) in [(Head::linear().with_bias(), 0), (Head::nearest_class_mean(), 1)] {
        let request = PredictRequest::new(200, 200, 16, 5).with_chunks(13, 200).with_adjustment();
        let batch = Batch::new(head, request, turn);
        let (found, logits) = batch.run_on(&kernels).unwrap();
        let expected = batch.expected();
        assert_eq!(found, expected.classes);
        assert_eq!(wide(&logits), expected.top_logits);
    }
    report(2);
}

/// NaN is never among the largest; what is left over is marked.
#[test]
fn rows_with_nan() {
    let mut batch = Batch::new(Head::linear(), PredictRequest::new(2, 4, 1, 4).with_chunks(2, 3), 0);
    batch.features = vec![1.0, f32::NAN];
    batch.weights = vec![1.0, f32::INFINITY, f32::NEG_INFINITY, 2.0];
    let (classes, logits) = batch.run().unwrap();
    assert_eq!(classes, [1, 3, 0, 2, u32::MAX, u32::MAX, u32::MAX, u32::MAX]);
    assert_eq!(logits[..4], [f32::INFINITY, 2.0, 1.0, f32::NEG_INFINITY]);
    report(1);
}

#[test]
fn what_is_refused() {
    let kernels = context().kernels();
    let refused = |request: PredictRequest| kernels.head_predict(&Head::linear(), &request).unwrap_err();
    let error = refused(PredictRequest::new(1, 3, 2, 4));
    assert!(matches!(error, Error::Parameter { name: "the number of classes to name", .. }), "{error}");
    let error = refused(PredictRequest::new(1, 100, 2, 65));
    assert!(matches!(error, Error::Limit { needed: 65, allowed: 64, .. }), "{error}");
    let error = refused(PredictRequest::new(1, 3, 0, 1));
    assert!(matches!(error, Error::Parameter { name: "the feature dimension", .. }), "{error}");
    let error = refused(PredictRequest::new(1, 3, 2, 1).with_chunks(0, 1));
    assert!(matches!(error, Error::Parameter { name: "rows and classes of a chunk", .. }), "{error}");
    let error = refused(PredictRequest::new(1, 3, 2, 1).with_effect(f64::NAN));
    assert!(matches!(error, Error::Parameter { name: "the effect's alpha", .. }), "{error}");
    // Nothing asked for, nothing done.
    assert_eq!(Batch::new(Head::linear(), PredictRequest::new(2, 3, 2, 0), 1).run(), Ok((vec![], vec![])));
    assert_eq!(Batch::new(Head::linear(), PredictRequest::new(0, 3, 2, 1), 1).run(), Ok((vec![], vec![])));
    report(2);
}

#[test]
fn running_means() {
    let kernels = context().kernels();
    let mut cases = 0;
    for (rows, dim) in [(1, 1), (5, 17), (33, 64), (0, 3)] {
        let mut draws = Draws::new(rows as u32);
        let batches = [small(rows * dim, &mut draws), small(rows * dim, &mut draws)];
        let mean = kernels.running_mean(&RunningMeanRequest::new(rows, dim, 0.5)).unwrap();
        let mut expected = RunningMean::new(dim, 0.5);
        let mut arena = Arena::new(false);
        let features = batches.each_ref().map(|batch| arena.add(&bits(batch)));
        let sum = arena.add(&vec![0; dim]);
        arena.upload(kernels);
        let mut encoder = kernels.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for (range, batch) in features.into_iter().zip(&batches) {
                mean.encode(&mut pass, arena.view(range), arena.view(sum)).unwrap();
                expected.update(&wide(batch)).unwrap();
            }
        }
        kernels.queue().submit([encoder.finish()]);
        let found = floats(&arena.read(kernels, &[sum])[sum]);
        for (found, expected) in found.iter().zip(&expected.mean) {
            // The sums are exact; a quotient, a product and a sum are rounded, twice, of numbers below 4.
            assert!((f64::from(*found) - expected).abs() <= 2e-6, "{found} is not {expected}");
        }
        cases += 1;
    }
    for (dim, momentum) in [(0, 0.5), (1, -0.1), (1, f64::NAN)] {
        let found = kernels.running_mean(&RunningMeanRequest::new(1, dim, momentum));
        assert!(matches!(found, Err(Error::Parameter { .. })), "{found:?}");
    }
    report(cases);
}

#[test]
fn means_of_classes() {
    let kernels = context().kernels();
    let mut cases = 0;
    for (norm, centred) in [(RowNorm::none(), false), (RowNorm::unit(), true), (RowNorm::offset(1.0), false)]
    {
        let (rows, classes, dim) = (11, 4, 10);
        let mut draws = Draws::new(cases);
        let batches = [small(rows * dim, &mut draws), small(rows * dim, &mut draws)];
        let centre = small(dim, &mut draws);
        let labels: Vec<i32> = (0..rows as i32)
            .map(|row| if row % 4 == 3 { 2 } else { row % 3 + i32::from(row % 3 == 2) })
            .collect();
        let mut request = ClassMeansRequest::new(rows, classes, dim);
        (request.norm, request.centred, request.ignore_index) = (norm, centred, Some(2));
        let plan = kernels.class_means(&request).unwrap();
        let mut arena = Arena::new(false);
        let features = batches.each_ref().map(|batch| arena.add(&bits(batch)));
        let label_range = arena.add(&labels.iter().map(|label| *label as u32).collect::<Vec<u32>>());
        let centre_range = arena.add(&bits(&centre));
        let sums = arena.add(&vec![0; classes * dim]);
        let counts = arena.add(&vec![0; classes]);
        let means = arena.add(&vec![GUARD; classes * dim]);
        arena.upload(kernels);
        let mut encoder = kernels.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            let view = |range| arena.view(range);
            for range in features {
                let centre = centred.then(|| view(centre_range));
                plan.add(&mut pass, view(range), view(label_range), centre, view(sums), view(counts))
                    .unwrap();
            }
            plan.finish(&mut pass, view(sums), view(counts), view(means)).unwrap();
        }
        kernels.queue().submit([encoder.finish()]);
        let back = arena.read(kernels, &[sums, counts, means]);
        let found = floats(&back[means]);
        // The reference wants a feature of every class: one of class 2 at the end, which is left out of the comparison.
        let mut all = wide(&batches.concat());
        all.extend(vec![1.0; dim]);
        let mut doubled: Vec<i32> =
            labels.iter().chain(&labels).map(|label| if *label == 2 { -1 } else { *label }).collect();
        doubled.push(2);
        let centre = centred.then(|| wide(&centre));
        let expected = class_means(&all, dim, &doubled, classes, Some(-1), norm, centre.as_deref()).unwrap();
        for (position, (found, expected)) in found.iter().zip(&expected).enumerate() {
            if position / dim == 2 {
                assert_eq!(*found, 0.0);
                continue;
            }
            assert!((f64::from(*found) - expected).abs() <= 4e-6, "{position}: {found} is not {expected}");
        }
        assert_eq!(back[counts][2], 0);
        assert!(plan.bytes() > 0);
        cases += 1;
    }
    report(cases as usize);
}

/// Small wrong edits that the comparison with whole numbers has to notice.
#[test]
fn mutants_are_noticed() {
    let kernels = context().kernels();
    let request = PredictRequest::new(7, 40, 3, 20).with_chunks(3, 13);
    let plain = Batch::new(Head::linear().with_bias(), request.with_adjustment(), 5);
    let effect = Batch::new(Head::causal(1, 4.0, 0.25), request.with_effect(1.5), 5);
    let right = |batch: &Batch, kernels: &Kernels| {
        let Ok((classes, logits)) = batch.run_on(kernels) else { return false };
        let expected = batch.expected();
        let near = |(found, expected): (&f32, &f64)| (f64::from(*found) - expected).abs() <= 1e-4;
        let same = classes == expected.classes || batch.request.effect.is_some();
        same && logits.iter().zip(&expected.top_logits).all(near)
    };
    let mutants = [
        (&plain, "a.kind < b.kind", "a.kind > b.kind"),
        (&plain, "a.logit > b.logit ||", "a.logit >= b.logit ||"),
        (&plain, "- adjustment_of(kind)", ""),
        (&plain, "return adjustment[column];", "return adjustment[0];"),
        (&plain, "if (params.accumulate != 0u) {\n      found_before", "if (false) {\n      found_before"),
        (&plain, "params.first_class + column;", "column;"),
        (&plain, "Found(logit, params.first_class + column)", "Found(logit, column)"),
        (&plain, "(params.first_row + row) * params.top", "row * params.top"),
        (&plain, "turn == 0u || before(last, candidate)", "true"),
        (&plain, "best = better(best, found_before[i], last, turn);", ""),
        (&plain, "before(found_by[thread + half], found_by[thread])", "false"),
        (&effect, "effect.factor * x", "x"),
        (&effect, "effect.along * direction_of(column)", "0.0"),
        (&effect, "params.effect * (product", "(product"),
        (&effect, "/ sqrt(direction_square)) / sqrt(direction_square)", "/ sqrt(direction_square))"),
    ];
    let mut missed = String::new();
    for (batch, from, to) in mutants {
        assert!(right(batch, kernels), "`{from}`: the unedited kernels fail");
        let plan = kernels.head_predict(&batch.head, &batch.request).unwrap();
        assert!(plan.keys().iter().any(|key| key.wgsl().contains(from)), "`{from}` is in no kernel that ran");
        if right(batch, &kernels.edited(&[(from, to)])) {
            missed.push_str(&format!("`{from}` -> `{to}`: not noticed\n"));
        }
    }
    assert!(missed.is_empty(), "{missed}");
    report(mutants.len());
}

/// Rows so long that a kernel's loops come near what an adapter lets them be: the larger the class, the larger its logit.
#[test]
fn long_rows() {
    let (classes, top) = (70_000, 64);
    let mut batch = Batch::new(Head::linear(), PredictRequest::new(1, classes, 1, top), 0);
    batch.features = vec![1.0];
    batch.weights = (0..classes).map(|class| class as f32).collect();
    let (found, logits) = batch.run().unwrap();
    let expected: Vec<u32> = (0..top as u32).map(|turn| classes as u32 - 1 - turn).collect();
    assert_eq!(found, expected);
    assert_eq!(logits, expected.iter().map(|class| *class as f32).collect::<Vec<f32>>());
    report(1);
}

/// As many rows as there may be, and no more.
#[test]
fn many_rows() {
    let (kernels, rows, dim) = (context().kernels(), 32_768, 3);
    let mut draws = Draws::new(7);
    let features = small(rows * dim, &mut draws);
    let labels: Vec<u32> = (0..rows as u32).map(|row| row % 2).collect();
    let plan = kernels.class_means(&ClassMeansRequest::new(rows, 2, dim)).unwrap();
    let mut arena = Arena::new(false);
    let ranges = [bits(&features), labels, vec![0; 2 * dim], vec![0; 2]].map(|words| arena.add(&words));
    arena.upload(kernels);
    let [x, y, sums, counts] = ranges.map(|range| arena.view(range));
    let mut encoder = kernels.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    plan.add(&mut pass, x, y, None, sums, counts).unwrap();
    drop(pass);
    kernels.queue().submit([encoder.finish()]);
    let back = arena.read(kernels, &ranges[2..]);
    let mut expected = [0.0; 6];
    for (position, value) in features.iter().enumerate() {
        expected[position / dim % 2 * dim + position % dim] += value;
    }
    // Sums of small whole numbers: exact.
    assert_eq!(floats(&back[ranges[2]]), expected);
    assert_eq!(back[ranges[3]], [rows as u32 / 2; 2]);
    let found = kernels.class_means(&ClassMeansRequest::new(rows + 1, 2, dim));
    assert!(matches!(found, Err(Error::Limit { needed: 32_769, .. })), "{found:?}");
    let found = kernels.running_mean(&RunningMeanRequest::new(1 << 30, dim, 0.5));
    assert!(matches!(found, Err(Error::Limit { .. })), "{found:?}");
    report(1);
}
