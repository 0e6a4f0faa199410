//! Every bad input to a grouped loss on the adapter: the named error, or the documented value. Nothing panics.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/grouped.rs"]
mod grouped;
#[path = "support/inputs.rs"]
mod inputs;

use gpu::{Got, Manner, context, kernels_with};
use grouped::{Data, pass, request, run, subjects, taxonomy};
use longtail::gpu::{DeviceCounts, Mode, RowChoice, Shard, Storage};
use longtail::grouped::{GroupReduction, Taxonomy};
use longtail::random::DrawSource;
use longtail::{Batch, Element, Error, GroupedLoss, Reduction, SoftmaxLoss, Targets, Upstream, reference};

/// Columns [background, object | others, class 0 | others, class 1, class 2]; label 0 is background.
fn two_groups(ratio: f64) -> GroupedLoss {
    GroupedLoss::balanced_groups(&[vec![0], vec![1, 2]], ratio, 5).unwrap()
}

fn tree() -> GroupedLoss {
    GroupedLoss::realistic_taxonomic(&taxonomy(), 0.3, 1).unwrap()
}

/// Unit logits, `labels`, no weights.
fn data(spec: &GroupedLoss, labels: &[i32]) -> Data {
    let mut data = Data::new(spec, labels.len(), 1, Element::F32);
    data.logits = (0..data.logits.len()).map(|place| (place as f32 * 2.4).sin()).collect();
    data.labels = labels.to_vec();
    data.row_weights = None;
    data.widen();
    data
}

/// Both passes, in place and apart.
fn manners() -> [Manner; 3] {
    [
        Manner::default(),
        Manner { storage: Storage::InPlace, ..Manner::default() },
        Manner { mode: Mode::ForwardBackward, storage: Storage::InPlace, ..Manner::default() },
    ]
}

fn go(spec: &GroupedLoss, data: &Data, manner: Manner) -> Got {
    run(context().kernels(), spec, data, manner).unwrap().1
}

/// Row `bad` is NaN as a whole, no other row has a NaN.
fn only_row_is_nan(got: &Got, columns: usize, bad: usize) {
    for (row, gradient) in got.gradient.chunks(columns).enumerate() {
        assert_eq!(got.row_loss[row].is_nan(), row == bad, "row {row}");
        assert!(gradient.iter().all(|value| value.is_nan() == (row == bad)), "row {row}: {gradient:?}");
    }
    assert!(got.loss.is_nan());
}

#[test]
fn labels_that_are_none() {
    for spec in [two_groups(1.0), tree()] {
        let labels = spec.labels.len() as i32;
        for bad in [-1, labels, i32::MAX, i32::MIN] {
            let data = data(&spec, &[1, 0, bad, 2]);
            for manner in manners() {
                let got = go(&spec, &data, manner);
                let want = Error::Label { row: 2, label: None, classes: spec.labels.len(), rows: 1 };
                assert_eq!(got.status, Some(want));
                only_row_is_nan(&got, data.columns, 2);
            }
            let slices = context().loss_and_grad(&spec, &data.batch(&data.logits));
            assert!(matches!(slices, Err(Error::Label { row: 2, .. })), "{slices:?}");
        }
    }
}

/// Wherever in the row, of a segment that the label takes part in or not, and in ignored rows.
#[test]
fn logits_that_are_no_numbers() {
    for spec in [two_groups(1.0), tree(), GroupedLoss::hierarchical(&taxonomy())] {
        for bad in [f32::NAN, f32::INFINITY] {
            for column in 0..spec.columns() {
                let mut data = data(&spec, &[1, 2, -100, 2]);
                let row = 1 + column % 2;
                data.logits[row * data.columns + column] = bad;
                let got = go(&spec, &data, manners()[column % 3]);
                let want = Error::NonFinite { what: "logits", row: row as u64, rows: 1 };
                assert_eq!(got.status, Some(want), "column {column}");
                only_row_is_nan(&got, data.columns, row);
            }
        }
    }
}

#[test]
fn masks() {
    let spec = two_groups(8.0);
    for manner in manners() {
        // Nothing is left of group 2, in which row 1 counts.
        let mut all = data(&spec, &[2, 1]);
        all.logits[7 + 4..14].fill(f32::NEG_INFINITY);
        let got = go(&spec, &all, manner);
        assert_eq!(got.status, Some(Error::NonFinite { what: "logits", row: 1, rows: 1 }));
        only_row_is_nan(&got, 7, 1);
        // A group without a row of its own does not count: the same masks are no matter.
        let mut none = data(&spec, &[1, 1]);
        none.logits[7 + 4..14].fill(f32::NEG_INFINITY);
        none.widen();
        let got = go(&spec, &none, manner);
        let want = reference::grouped(&spec, &none.batch(&none.wide), Upstream::One).unwrap();
        assert_eq!(got.status, None);
        assert!((f64::from(got.loss) - want.loss).abs() < 1e-6, "{} is not {}", got.loss, want.loss);
        // A masked target: an infinite loss with a finite gradient.
        let mut target = data(&spec, &[2, 1]);
        target.logits[5] = f32::NEG_INFINITY;
        target.widen();
        let got = go(&spec, &target, manner);
        let want = reference::grouped(&spec, &target.batch(&target.wide), Upstream::One).unwrap();
        assert_eq!((got.loss, got.row_loss[0], got.status.clone()), (f32::INFINITY, f32::INFINITY, None));
        for (got, want) in got.gradient.iter().zip(&want.gradient) {
            assert!((f64::from(*got) - want).abs() < 1e-6, "{got} is not {want}");
        }
        assert_eq!(got.probability[0], 0.0);
    }
}

/// Masked leaves of a tree: the others share the mass; a masked label's loss is infinite; nothing left is an error.
#[test]
fn masks_in_a_tree() {
    for drop in [0.0, 1.0, 0.5] {
        let spec = GroupedLoss::realistic_taxonomic(&taxonomy(), drop, 1).unwrap().with_weight(0.0);
        let mut some = data(&spec, &[2, 0, 4]);
        for place in [0, 2, 20, 30] {
            some.logits[place] = f32::NEG_INFINITY;
        }
        some.widen();
        let want = reference::grouped(&spec, &some.batch(&some.wide), Upstream::One);
        for manner in manners() {
            let got = go(&spec, &some, manner);
            match &want {
                Ok(want) => {
                    assert_eq!(got.status, None);
                    for (got, want) in got.gradient.iter().zip(&want.gradient) {
                        assert!((f64::from(*got) - want).abs() < 1e-6, "{got} is not {want}");
                    }
                }
                Err(error) => assert_eq!(got.status.as_ref(), Some(error)),
            }
        }
        let mut all = data(&spec, &[2, 0, 4]);
        all.logits[all.columns..2 * all.columns].fill(f32::NEG_INFINITY);
        let got = go(&spec, &all, Manner::default());
        assert_eq!(got.status, Some(Error::NonFinite { what: "logits", row: 1, rows: 1 }));
    }
}

#[test]
fn batches_without_a_row_that_counts() {
    for subject in subjects() {
        for labels in [&[][..], &[-100; 5]] {
            let data = data(&subject.spec, labels);
            for manner in manners() {
                let got = go(&subject.spec, &data, manner);
                assert_eq!((got.loss, got.status), (0.0, None), "{}", subject.name);
                assert!(got.gradient.iter().all(|value| *value == 0.0), "{}", subject.name);
            }
        }
    }
    // No row of a group's own: only the first segment counts.
    let spec = two_groups(8.0);
    let data = data(&spec, &[0, 0, 0]);
    let got = go(&spec, &data, Manner::default());
    assert!(got.gradient.chunks(7).all(|row| row[2..].iter().all(|value| *value == 0.0)));
    assert!(got.gradient.chunks(7).all(|row| row[0] < 0.0 && row[1] > 0.0));
}

/// Logits at the ends of f32.
#[test]
fn extreme_logits() {
    for spec in [two_groups(8.0), GroupedLoss::hierarchical(&taxonomy())] {
        let mut data = data(&spec, &[1, 2, 0, 1]);
        for (place, logit) in data.logits.iter_mut().enumerate() {
            *logit = [f32::MAX, f32::MIN, 0.0, 1e30, -1e-40][place % 5];
        }
        data.widen();
        let want = reference::grouped(&spec, &data.batch(&data.wide), Upstream::One).unwrap();
        for manner in manners() {
            let got = go(&spec, &data, manner);
            assert_eq!(got.status, None);
            for (got, want) in got.gradient.iter().zip(&want.gradient) {
                assert!((f64::from(*got) - want).abs() < 1e-6, "{got} is not {want}");
            }
        }
    }
}

#[test]
fn groups_and_trees_that_are_none() {
    let structure = |result: longtail::Result<GroupedLoss>| {
        assert!(matches!(result, Err(Error::Structure { .. })), "{result:?}");
    };
    // A class in no group, in two, beyond the last.
    structure(GroupedLoss::balanced_groups(&[vec![0], vec![2]], 8.0, 0));
    structure(GroupedLoss::balanced_groups(&[vec![0, 1], vec![1]], 8.0, 0));
    assert!(Taxonomy::from_parents(&[None, Some(2), Some(1)]).is_err());
    // Plans check what was set by hand.
    let kernels = context().kernels();
    let mut spec = two_groups(8.0);
    spec.labels[2] = vec![1, 99];
    let request = longtail::gpu::PlanRequest::new(3, 7);
    assert!(matches!(kernels.plan(&spec, &request), Err(Error::Structure { .. })));
    let narrow = kernels.plan(two_groups(8.0), &longtail::gpu::PlanRequest::new(3, 6));
    assert!(matches!(narrow, Err(Error::Length { expected: 6, found: 7, .. } | Error::Length { .. })));
    let mut cyclic = tree();
    cyclic.segments[1].parent = Some(8);
    let request = longtail::gpu::PlanRequest::new(3, cyclic.columns());
    assert!(matches!(kernels.plan(&cyclic, &request), Err(Error::Structure { .. })));
}

#[test]
fn requests_of_other_families() {
    let (kernels, spec) = (context().kernels(), two_groups(8.0));
    let request = longtail::gpu::PlanRequest::new(3, 7);
    let unexpected = |request: longtail::gpu::PlanRequest| {
        let plan = kernels.plan(&spec, &request).map(|_| ());
        assert!(matches!(plan, Err(Error::Unexpected { .. })), "{plan:?}");
    };
    unexpected(request.clone().with_shard(Shard { index: 0, shards: 2, classes: 0..7 }));
    unexpected(request.clone().with_counts(DeviceCounts::new(kernels, &[1; 7]).unwrap()));
    unexpected(request.clone().with_class_scale_gradient());
    for choice in
        [RowChoice::stream(4, 8), RowChoice::on_chip(1, 8, 4), RowChoice::stream(1, 8).with_split(2)]
    {
        let plan = kernels.plan(&spec, &request.clone().with_choice(choice)).map(|_| ());
        assert!(matches!(plan, Err(Error::Parameter { .. })), "{plan:?}");
    }
    let mut plan = kernels.plan(&spec, &request).unwrap();
    let cross_entropy = SoftmaxLoss::cross_entropy();
    let others = [
        plan.update(&cross_entropy),
        plan.update(spec.clone().with_reduction(GroupReduction::Pairs)),
        plan.update(GroupedLoss::balanced_groups(&[vec![1], vec![0, 2]], 8.0, 5).unwrap()),
        plan.update(GroupedLoss::one_group(7)),
        kernels.plan(&cross_entropy, &request).unwrap().update(&spec),
    ];
    for (index, other) in others.into_iter().enumerate() {
        assert!(matches!(other, Err(Error::Unexpected { .. })), "{index}: {other:?}");
    }
}

#[test]
fn gates_that_are_missing_or_too_many() {
    let context = context();
    let mut spec = two_groups(8.0);
    let batch = Batch::new(&[0.0; 14], 7, Targets::Hard(&[1, 0]));
    let unexpected = context.loss_and_grad(&spec, &batch.with_gates(&[1.0; 6]));
    assert!(matches!(unexpected, Err(Error::Unexpected { what: "gates", .. })), "{unexpected:?}");
    spec.sampling.as_mut().unwrap().source = DrawSource::Given;
    let missing = context.loss_and_grad(&spec, &batch);
    assert!(matches!(missing, Err(Error::Missing { what: "gates", .. })), "{missing:?}");
    let short = context.loss_and_grad(&spec, &batch.with_gates(&[1.0; 14]));
    assert!(matches!(short, Err(Error::Length { what: "gates", expected: 6, found: 14 })), "{short:?}");
    // A view of the logits' width is none of the segments'.
    let data = data(&spec, &[1, 0]);
    let plan = context.kernels().plan(&spec, &request(&data, Manner::default())).unwrap();
    let wide = Data { gates: Some(vec![1.0; 14]), ..data };
    let refused = pass(context.kernels(), &plan, &wide, Manner::default()).map(|_| ());
    assert!(matches!(refused, Err(Error::Length { what: "gates", .. })), "{refused:?}");
}

/// Given weights of 0 take rows out, a sum of them below 1 is divided by 1.
#[test]
fn weights_of_nothing() {
    let mut spec = two_groups(8.0);
    spec.sampling.as_mut().unwrap().source = DrawSource::Given;
    let mut data = data(&spec, &[1, 0]);
    data.logits.fill(0.0);
    data.gates = Some(vec![0.0, 0.5, 0.0, 0.0, 0.0, 0.0]);
    let got = go(&spec, &data, Manner::default());
    assert!((got.loss - 0.5 * 2f32.ln()).abs() < 1e-6, "{}", got.loss);
    // An infinite loss that does not count is none.
    data.logits[0] = f32::NEG_INFINITY;
    data.logits[1] = f32::NEG_INFINITY;
    let got = go(&spec, &data, Manner::default());
    assert!((got.loss - 0.5 * 2f32.ln()).abs() < 1e-6 && got.status.is_none(), "{got:?}");
}

#[test]
fn what_does_not_fit() {
    // A row longer than a binding: named, with the cure.
    let small = kernels_with(|limits| limits.max_storage_buffer_binding_size = 2048);
    let limit = |result: longtail::Result<longtail::gpu::Plan>, words: &str| match result.map(|_| ()) {
        Err(Error::Limit { what, needed, allowed, .. }) => {
            assert!(what.contains(words) && needed > allowed, "{what}: {needed}, {allowed}");
        }
        other => panic!("{words}: {other:?}"),
    };
    // Tables of fewer words than a row would need more columns than labels: one label, of one column.
    let mut long = GroupedLoss::one_group(900);
    long.labels = vec![vec![0]];
    limit(small.plan(&long, &longtail::gpu::PlanRequest::new(1, 900)), "grouped loss");
    limit(small.plan(two_groups(1.0), &longtail::gpu::PlanRequest::new(600, 7)), "bytes in one binding");
    // One thread has no time for this many columns.
    let kernels = context().kernels();
    let groups = [(0..9000).collect::<Vec<u32>>(), (9000..9003).collect()];
    let wide = GroupedLoss::realistic_taxonomic(&Taxonomy::two_levels(&groups).unwrap(), 0.2, 1).unwrap();
    let request = longtail::gpu::PlanRequest::new(2, wide.columns()).with_storage(Storage::InPlace);
    let one = request.clone().with_choice(RowChoice::stream(1, 1));
    limit(kernels.plan(&wide, &one), "columns of a grouped loss for each thread");
    assert!(kernels.plan(&wide, &request).is_ok());
    // Kinds of targets and reductions without a meaning.
    let soft = longtail::gpu::PlanRequest::new(2, 7).with_targets(longtail::TargetKind::Soft);
    assert!(matches!(kernels.plan(two_groups(1.0), &soft), Err(Error::Combination { .. })));
    let spec = two_groups(1.0).with_reduction(GroupReduction::Rows(Reduction::Elements));
    let request = longtail::gpu::PlanRequest::new(2, 7);
    assert!(matches!(kernels.plan(&spec, &request), Err(Error::Combination { .. })));
}

/// What a plan says of itself is what it holds.
#[test]
fn bytes_and_words() {
    let spec = tree();
    let request = longtail::gpu::PlanRequest::new(10, spec.columns());
    let plan = context().kernels().plan(&spec, &request).unwrap();
    assert_eq!(plan.bytes(), plan.buffers().iter().map(|(_, bytes)| bytes).sum());
    assert!(plan.buffers().iter().any(|(name, _)| *name == "longtail grouped tables"));
    let text = plan.describe();
    let rows = format!("grouped.rows.wg{}.nodes64", plan.choice().workgroup);
    assert!(text.contains("in at most 4 segments") && text.contains(&rows), "{text}");
    assert!(plan.counts().is_none());
}
