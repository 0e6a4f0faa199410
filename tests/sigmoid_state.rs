//! What the sigmoid family carries from batch to batch: accumulated gradients, and the drawn background rows.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/sigmoid_cases.rs"]
mod sigmoid_cases;
#[path = "support/sigmoid_keys.rs"]
mod sigmoid_keys;
#[path = "support/sigmoid_tally.rs"]
mod sigmoid_tally;
#[path = "support/sigmoid_tolerance.rs"]
mod sigmoid_tolerance;
#[path = "support/tolerance.rs"]
mod tolerance;

use gpu::{Manner, context, request};
use inputs::{Data, Flavour, Mix};
use longtail::gpu::{DeviceGradientSums, RowChoice, Storage};
use longtail::random::{draw_32, quota, step_key};
use longtail::sigmoid::{Background, Suppression};
use longtail::statistics::GradientSums;
use longtail::{Element, Error, Group, Reduction, SigmoidLoss, TargetKind, Upstream, reference};
use sigmoid_cases::{data, wide};
use sigmoid_tally::{compare, pass, run};

const CLASSES: usize = 12;
const STEPS: usize = 5;

fn loss() -> SigmoidLoss {
    SigmoidLoss::equalization_v2(CLASSES - 1)
}

fn batch(step: usize, rows: usize) -> Data {
    let mix = Mix { seed: 40 + step as u32, flavours: &[Flavour::Unit], ignore: None, row_weights: false };
    Data::new(rows, CLASSES, TargetKind::Hard, mix)
}

fn sums_of(spec: &SigmoidLoss) -> GradientSums {
    spec.gradient_balance.clone().expect("balance").sums
}

/// Both columns, class by class, to a relative tolerance.
#[track_caller]
fn near(found: &GradientSums, want: &GradientSums, tolerance: f64) {
    let columns = [(&found.positive, &want.positive), (&found.negative, &want.negative)];
    for (class, (found, want)) in columns.iter().flat_map(|(f, w)| f.iter().zip(w.iter())).enumerate() {
        assert!((found - want).abs() <= tolerance * want, "{class}: {found} is not {want}");
    }
}

/// Each step against the reference from the device's own state; the state of all steps against the reference's chain.
///
/// A step's sums are off by at most 1e-5 relatively, and a weight's relative slope in its sums is at most
/// `gamma (g + mu)`, below 40 here: five steps stay within 2e-3.
#[test]
fn five_steps_are_the_reference_s() {
    let kernels = context().kernels();
    let positives = loss().with_reduction(Reduction::Positives);
    let manners = [
        (loss(), Manner::default()),
        (loss(), Manner { storage: Storage::InPlace, ..Manner::default() }),
        (positives, Manner { storage: Storage::InPlace, ..Manner::default() }),
        (loss(), Manner { elements: (Element::F16, Element::F16), ..Manner::default() }),
        (loss(), Manner { mode: longtail::gpu::Mode::ForwardBackward, ..Manner::default() }),
    ];
    for (spec, manner) in manners {
        let plan = kernels.plan(&spec, &request(&batch(0, 40), manner)).unwrap();
        let mut chain = spec.clone();
        for step in 0..STEPS {
            let data = batch(step, 40).rounded_to(manner.elements.0);
            let mut own = spec.clone();
            own.gradient_balance.as_mut().expect("balance").sums =
                plan.gradient_sums().unwrap().read().unwrap();
            let got = pass(kernels, &plan, &own, &data, manner).unwrap();
            let sums = plan.gradient_sums().unwrap().read().unwrap();
            let worst = compare(&own, &data, &got, Some(&sums), manner);
            assert!(worst.ratio <= 1.0, "step {step} {manner:?}: {worst:?}");
            let want = reference::sigmoid(&chain, &wide(&chain, &data), Upstream::One).unwrap();
            chain.add_gradients(&want.gradient_sums.expect("balance")).unwrap();
        }
        let (found, want) = (plan.gradient_sums().unwrap().read().unwrap(), sums_of(&chain));
        assert!(want.positive[..CLASSES - 1].iter().all(|sum| *sum > 0.0));
        near(&found, &want, 2e-3);
        assert_eq!((found.positive[CLASSES - 1], found.negative[CLASSES - 1]), (0.0, 0.0));
    }
    println!("{} GPU cases", 5 * STEPS);
}

/// Small gradients are not lost beside large sums: at 1e8 the steps of f32 are 8. The weights hardly change.
#[test]
fn small_gradients_add_to_large_sums() {
    let kernels = context().kernels();
    let mut spec = loss();
    let balance = spec.gradient_balance.as_mut().expect("balance");
    balance.sums = GradientSums { positive: vec![1e8; CLASSES], negative: vec![1e8; CLASSES] };
    let data = batch(1, 40);
    let plan = kernels.plan(&spec, &request(&data, Manner::default())).unwrap();
    for _ in 0..STEPS {
        pass(kernels, &plan, &spec, &data, Manner::default()).unwrap();
    }
    let want = reference::sigmoid(&spec, &wide(&spec, &data), Upstream::One).unwrap().gradient_sums.unwrap();
    let found = plan.gradient_sums().unwrap().read().unwrap();
    for class in 0..CLASSES - 1 {
        for (found, want) in [(&found.positive, &want.positive), (&found.negative, &want.negative)] {
            let (found, want) = (found[class] - 1e8, 5.0 * want[class]);
            assert!((found - want).abs() <= 1e-4 * want + 1e-5, "{class}: {found} is not {want}");
        }
    }
    println!("{STEPS} GPU cases");
}

#[test]
fn replicas_merged_are_the_whole() {
    let kernels = context().kernels();
    let mut spec = loss().with_reduction(Reduction::Sum);
    spec.gradient_balance.as_mut().expect("balance").sums.positive = vec![0.75; CLASSES];
    let whole = batch(2, 24);
    let part = |rows: std::ops::Range<usize>| {
        let mut part = batch(2, rows.len());
        part.logits = whole.logits[rows.start * CLASSES..rows.end * CLASSES].to_vec();
        part.labels = whole.labels[rows].to_vec();
        part
    };
    let start = sums_of(&spec);
    let after = |data: &Data| {
        let plan = kernels.plan(&spec, &request(data, Manner::default())).unwrap();
        pass(kernels, &plan, &spec, data, Manner::default()).unwrap();
        plan
    };
    let (all, first, second) = (after(&whole), after(&part(0..10)), after(&part(10..24)));
    let first = first.gradient_sums().unwrap();
    first.merge(&second.gradient_sums().unwrap().read().unwrap(), &start).unwrap();
    // Sums of the same numbers in another order.
    near(&first.read().unwrap(), &all.gradient_sums().unwrap().read().unwrap(), 1e-6);
    let short = GradientSums::new(3);
    assert!(matches!(first.merge(&short, &start), Err(Error::Length { .. })));
    assert!(matches!(first.set(&short), Err(Error::Length { .. })));
    println!("3 GPU cases");
}

/// Two plans with the same sums take turns as one plan would, bit for bit.
#[test]
fn plans_share_sums() {
    let kernels = context().kernels();
    let spec = loss();
    let data = [batch(0, 20), batch(1, 20), batch(2, 20)];
    let alone = kernels.plan(&spec, &request(&data[0], Manner::default())).unwrap();
    let shared = DeviceGradientSums::new(kernels, &sums_of(&spec)).unwrap();
    let plans = [0, 1].map(|_| {
        let request = request(&data[0], Manner::default()).with_gradient_sums(shared.clone());
        kernels.plan(&spec, &request).unwrap()
    });
    for (step, data) in data.iter().enumerate() {
        let want = pass(kernels, &alone, &spec, data, Manner::default()).unwrap();
        let got = pass(kernels, &plans[step % 2], &spec, data, Manner::default()).unwrap();
        assert_eq!(got, want, "step {step}");
    }
    assert_eq!(shared.read().unwrap(), alone.gradient_sums().unwrap().read().unwrap());
    let other = DeviceGradientSums::new(kernels, &GradientSums::new(3)).unwrap();
    let wrong = kernels.plan(&spec, &request(&data[0], Manner::default()).with_gradient_sums(other));
    assert!(matches!(wrong, Err(Error::Length { what: "shared gradient sums", expected: 12, found: 3 })));
    println!("6 GPU cases");
}

/// A bad row has no gradient and adds nothing.
#[test]
fn bad_rows_do_not_spoil_the_sums() {
    let kernels = context().kernels();
    for reduction in [Reduction::Mean, Reduction::Positives] {
        let spec = loss().with_reduction(reduction);
        let plan = kernels.plan(&spec, &request(&batch(0, 20), Manner::default())).unwrap();
        let mut bad = batch(0, 20);
        bad.labels[3] = 99;
        bad.logits[7 * CLASSES + 2] = f32::NAN;
        bad.logits[8 * CLASSES + 4] = f32::INFINITY;
        let got = pass(kernels, &plan, &spec, &bad, Manner::default()).unwrap();
        assert!(matches!(got.status, Some(Error::Label { row: 3, .. })), "{:?}", got.status);
        let sums = plan.gradient_sums().unwrap().read().unwrap();
        assert!(sums.positive.iter().chain(&sums.negative).all(|sum| sum.is_finite()), "{sums:?}");
        let mut own = spec.clone();
        own.gradient_balance.as_mut().expect("balance").sums = sums;
        let data = batch(1, 20);
        let got = pass(kernels, &plan, &own, &data, Manner::default()).unwrap();
        let sums = plan.gradient_sums().unwrap().read().unwrap();
        let worst = compare(&own, &data, &got, Some(&sums), Manner::default());
        assert!(worst.ratio <= 1.0 && got.status.is_none(), "{worst:?}");
    }
    println!("4 GPU cases");
}

fn suppressed(rare: f64, common: f64) -> SigmoidLoss {
    let groups = [Group::Few, Group::Few, Group::Medium, Group::Many].to_vec();
    let mut spec = SigmoidLoss::bce().with_reduction(Reduction::Sum);
    spec.suppression = Some(Suppression {
        threshold: 0.7,
        groups,
        rare,
        common,
        frequent: 1.0,
        source: Default::default(),
        seed: 5,
        step: 0,
    });
    spec.with_background(Some(Background::Column(0)))
}

/// Rows in which a class of background rows counts.
fn counted(gradient: &[f32], class: usize) -> Vec<u32> {
    let rows = gradient.chunks_exact(4).enumerate();
    rows.filter(|(_, row)| row[class] != 0.0).map(|(row, _)| row as u32).collect()
}

/// Equal draws, which 32 bits hardly ever give: a generator of two bits. The lower rows are taken, whatever the windows.
#[test]
fn equal_draws_take_the_lower_rows() {
    let rows = 37;
    let mut data = Data::new(rows, 4, TargetKind::Hard, Mix { flavours: &[Flavour::Unit], ..Mix::new(3) });
    data.labels = (0..rows as i32).map(|row| if row % 4 == 3 { 2 } else { 0 }).collect();
    let candidates: Vec<u32> = (0..rows as u32).filter(|row| data.labels[*row as usize] == 0).collect();
    let few = "return select(words.x, words.y, (row & 1u) == 1u);";
    let edit = [(few, "return select(words.x, words.y, (row & 1u) == 1u) & 0xc0000000u;")];
    let small = gpu::kernels_with(|limits| limits.max_storage_buffer_binding_size = 512);
    let mut cases = 0;
    for (rare, common) in [(0.0, 1.0), (0.04, 0.3), (0.5, 0.62), (0.8, 0.97)] {
        for kernels in [context().kernels(), &small] {
            let spec = suppressed(rare, common);
            let (plan, got) = run(&kernels.edited(&edit), &spec, &data, Manner::default()).unwrap();
            for (class, share, stream) in [(1, rare, u32::MAX - 1), (2, common, u32::MAX - 2)] {
                let key = step_key(5, 0);
                let mut keyed: Vec<(u32, u32)> =
                    candidates.iter().map(|&row| (draw_32(key, row, stream) >> 30, row)).collect();
                keyed.sort_unstable();
                keyed.truncate(quota(share, candidates.len()));
                let mut drawn: Vec<u32> = keyed.into_iter().map(|(_, row)| row).collect();
                drawn.sort_unstable();
                let mut found = counted(&got.gradient, class);
                found.retain(|row| candidates.contains(row));
                assert_eq!(found, drawn, "{rare} {common} class {class} in {:?}", plan.windows());
            }
            cases += 1;
        }
    }
    println!("{cases} GPU cases");
}

/// A pass counts the generator's step up, and a batch in two halves draws what the whole draws for gates.
#[test]
fn steps_go_on() {
    let kernels = context().kernels();
    let spec = sigmoid_cases::named("drawn rows and gates").spec(9);
    let data = data(&spec, 30, 9, TargetKind::Hard, 0);
    let plan = kernels.plan(&spec, &request(&data, Manner::default())).unwrap();
    for step in 0..3 {
        let got = pass(kernels, &plan, &spec, &data, Manner::default()).unwrap();
        let next = spec.clone().with_step(3 + step);
        let worst = compare(&next, &data, &got, None, Manner::default());
        assert!(worst.ratio <= 1.0, "step {step}: {worst:?}");
    }
    plan.set_step(3).unwrap();
    let got = pass(kernels, &plan, &spec, &data, Manner::default()).unwrap();
    assert!(compare(&spec, &data, &got, None, Manner::default()).ratio <= 1.0);
    println!("4 GPU cases");
}

/// The same bits on two runs, in two layouts of the same order, and in place.
#[test]
fn same_bits() {
    let kernels = context().kernels();
    let mut cases = 0;
    for name in ["everything", "drawn rows", "gradient balance", "softmax link with terms"] {
        let spec = sigmoid_cases::named(name).spec(133);
        let data = data(&spec, 21, 133, TargetKind::Hard, 1);
        let choice = Some(RowChoice::stream(4, 8).with_split(2));
        let manner = Manner { choice, ..Manner::default() };
        let (_, first) = run(kernels, &spec, &data, manner).unwrap();
        for storage in [Storage::Separate, Storage::InPlace, Storage::Shared] {
            let (_, again) = run(kernels, &spec, &data, Manner { storage, ..manner }).unwrap();
            assert_eq!(again, first, "{name} {storage:?}");
            cases += 1;
        }
    }
    println!("{cases} GPU cases");
}
