//! Sizes: what the software adapter's 128 MiB bindings cannot hold at once, more elements than 32 bits count, and what
//! a plan allocates.

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

use cases::{named, subjects};
use gpu::{Manner, context, kernels_with, read_all};
use inputs::{Data, Draws, Mix, counts};
use longtail::gpu::{
    Inputs, Kernels, MatrixView, Mode, Outputs, PlanRequest, Shard, Storage, TargetViews, View,
};
use longtail::{
    Batch, ClassCounts, DistillationLoss, Element, LadeLoss, Loss, ObjectnessLoss, RangeLoss, Reduction,
    SoftmaxLoss, TargetKind, Targets, Upstream, reference,
};
use tally::Tally;

const USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

fn buffer(kernels: &Kernels, size: u64) -> wgpu::Buffer {
    kernels.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("test"),
        size,
        usage: USAGE,
        mapped_at_creation: false,
    })
}

/// Logits that are cheap to make.
fn logits(elements: usize, seed: u32) -> Vec<f32> {
    let mut draws = Draws::new(seed);
    let period: Vec<f32> = (0..65_521).map(|_| draws.normal()).collect();
    // The period is a prime: rows differ.
    (0..elements).map(|index| period[index % period.len()]).collect()
}

/// Cross-entropy in place, `sum` over the rows, against `exp(z - lse) - [j = y]` in f64.
///
/// A term is below 1, and so are its parts: `|g - r| <= (24 + 10 U + 4 sqrt(K)) e (r + [j = y])` by the analysis in
/// `support/tolerance.rs` with `U` at most 8 for these logits, and the rounding of the element type.
fn check_cross_entropy(rows: usize, classes: usize, element: Element) -> (usize, usize) {
    let kernels = context().kernels();
    let values = element.decode(&element.encode(&logits(rows * classes, 5)));
    let labels: Vec<i32> = (0..rows).map(|row| (row * 7919 % classes) as i32).collect();
    let spec = SoftmaxLoss::cross_entropy().with_reduction(Reduction::Sum);
    let request =
        PlanRequest::new(rows, classes).with_storage(Storage::InPlace).with_elements(element, element);
    let plan = kernels.plan(&spec, &request).unwrap();
    println!("{}", plan.describe());
    let bytes = (element.bytes() * (rows * classes) as u64).next_multiple_of(4);
    let matrix = buffer(kernels, bytes);
    let mut packed = element.encode(&values);
    packed.resize(bytes as usize, 0);
    kernels.queue().write_buffer(&matrix, 0, &packed);
    drop(packed);
    let targets = buffer(kernels, 4 * rows as u64);
    kernels.queue().write_buffer(&targets, 0, bytemuck::cast_slice(&labels));
    let loss = buffer(kernels, 4);
    let mut encoder = kernels.device().create_command_encoder(&Default::default());
    let inputs = Inputs::new(View::whole(&matrix), TargetViews::Hard(View::whole(&targets)));
    let outputs = Outputs { loss: Some(View::whole(&loss)), ..Outputs::default() };
    plan.encode_loss_and_grad(&mut encoder, &inputs, None, None, &outputs).unwrap();
    kernels.queue().submit([encoder.finish()]);
    plan.status().unwrap();
    let read = read_all(kernels, &[&loss, &matrix]);
    let bytes: Vec<u8> = read[1].iter().flat_map(|word| word.to_le_bytes()).collect();
    let gradient = element.decode(&bytes);

    let unit = 2f64.powi(-24);
    let rounding = match element {
        Element::F32 => 0.0,
        Element::F16 => 2f64.powi(-11),
        _ => 2f64.powi(-8),
    };
    let rho = unit * (24.0 + 10.0 * 8.0 + 4.0 * (classes as f64).sqrt());
    let (mut total, mut worst) = (0.0, 0.0f64);
    for ((row, z), g) in values.chunks_exact(classes).enumerate().zip(gradient.chunks_exact(classes)) {
        let top = z.iter().copied().fold(f32::MIN, f32::max);
        let sum: f64 = z.iter().map(|&z| (f64::from(z) - f64::from(top)).exp()).sum();
        let lse = f64::from(top) + sum.ln();
        let label = labels[row] as usize;
        total += lse - f64::from(z[label]);
        for (class, (&z, &g)) in z.iter().zip(g).enumerate() {
            let own = if class == label { 1.0 } else { 0.0 };
            let want = (f64::from(z) - lse).exp() - own;
            let bound = (rho + rounding) * (want.abs() + own) + 2f64.powi(-25);
            let ratio = (f64::from(g) - want).abs() / bound;
            assert!(ratio <= 1.0, "row {row} class {class}: {g:e}, not {want:e}");
            worst = worst.max(ratio);
        }
    }
    let loss = f64::from(f32::from_bits(read[0][0]));
    assert!((loss - total).abs() <= (rho + 2.0 * unit * (rows as f64).sqrt()) * total, "{loss} {total}");
    println!("{rows} x {classes} {element}: worst {worst:.2} of its tolerance; 1 GPU case");
    plan.windows()
}

#[test]
fn many_short_rows() {
    check_cross_entropy(70_000, 3, Element::F32);
    check_cross_entropy(70_000, 3, Element::Bf16);
}

/// 300 MiB of logits in bindings of 128.
#[test]
fn rows_that_no_binding_holds() {
    if context().kernels().device().limits().max_storage_buffer_binding_size <= 128 << 20 {
        assert_eq!(check_cross_entropy(300, 262_144, Element::F32), (3, 1));
        assert_eq!(check_cross_entropy(300, 262_144, Element::F16), (2, 1));
    } else {
        check_cross_entropy(300, 262_144, Element::F32);
        check_cross_entropy(300, 262_144, Element::F16);
    }
}

/// One row of 200 MB.
#[test]
fn a_row_that_no_binding_holds() {
    let windows = check_cross_entropy(1, 50_000_000, Element::F32);
    if context().kernels().device().limits().max_storage_buffer_binding_size <= 128 << 20 {
        assert_eq!(windows, (1, 2));
    }
}

#[test]
fn a_large_vocabulary_in_half_precision() {
    check_cross_entropy(2, 128_256, Element::F16);
    check_cross_entropy(3, 128_255, Element::Bf16);
    let mut tally = Tally::default();
    for (turn, name) in ["seesaw", "equalization", "ldam_drw", "label_smoothing"].into_iter().enumerate() {
        let subject = named(name);
        let mix =
            Mix { flavours: &[inputs::Flavour::Unit, inputs::Flavour::Trained], ..Mix::new(turn as u32) };
        let data = Data::new(2, 128_256, subject.kind, mix);
        let manner = Manner { elements: (Element::F16, Element::F16), ..Manner::default() };
        tally.check(&subject, None, &data, manner);
    }
    tally.end("a large vocabulary");
}

/// Windows of classes whose halves of a word meet: an odd row of 16-bit elements starts in the middle of one.
#[test]
fn windows_of_classes_that_share_words() {
    let small = kernels_with(|limits| limits.max_storage_buffer_binding_size = 1280);
    let mut tally = Tally::default();
    for mode in [Mode::LossAndGrad, Mode::ForwardBackward] {
        for storage in [Storage::Separate, Storage::InPlace] {
            let subject = named("cross_entropy");
            let data = Data::new(5, 1301, subject.kind, Mix::new(1));
            let elements = (Element::F16, Element::F16);
            let manner = Manner { elements, mode, storage, ..Manner::default() };
            let plan = tally.check_on(&small, &subject, None, &data, manner);
            assert!(plan.windows().1 > 1);
        }
    }
    tally.end("windows of classes that share words");
}

/// 4,300,800,000 logits, more than 32 bits count: 41 blocks of 1,600 rows that are all the same 210 MB, so that every
/// block must give what the first one gives, bit for bit.
#[test]
fn more_logits_than_32_bits_count() {
    const BLOCK: usize = 1_600;
    const BLOCKS: usize = 41;
    const CLASSES: usize = 65_536 + 26;
    let kernels = context().kernels();
    let rows = BLOCK * BLOCKS;
    assert!((rows * CLASSES) as u64 > 1 << 32);
    let element = Element::Bf16;
    let values = element.decode(&element.encode(&logits(BLOCK * CLASSES, 9)));
    let spec = SoftmaxLoss::cross_entropy().with_reduction(Reduction::None);
    let request = PlanRequest::new(rows, CLASSES)
        .with_mode(Mode::ForwardBackward)
        .with_elements(element, element)
        .with_row_blocks(vec![BLOCK; BLOCKS]);
    let plan = kernels.plan(&spec, &request).unwrap();
    println!("{} windows; {}", plan.windows().0, plan.describe());
    let bytes = 2 * (BLOCK * CLASSES) as u64;
    let matrix = buffer(kernels, bytes);
    kernels.queue().write_buffer(&matrix, 0, &element.encode(&values));
    let labels: Vec<i32> = (0..rows).map(|row| (row % BLOCK * 41) as i32).collect();
    let targets = buffer(kernels, 4 * rows as u64);
    kernels.queue().write_buffer(&targets, 0, bytemuck::cast_slice(&labels));
    let (losses, log_sum_exp) = (buffer(kernels, 4 * rows as u64), buffer(kernels, 4 * rows as u64));
    let blocks = vec![View::whole(&matrix); BLOCKS];
    let inputs = Inputs::new(MatrixView::Blocks(&blocks), TargetViews::Hard(View::whole(&targets)));
    let outputs = Outputs {
        row_loss: Some(View::whole(&losses)),
        log_sum_exp: Some(View::whole(&log_sum_exp)),
        ..Outputs::default()
    };
    let mut encoder = kernels.device().create_command_encoder(&Default::default());
    plan.encode_forward(&mut encoder, &inputs, &outputs).unwrap();
    kernels.queue().submit([encoder.finish()]);
    plan.status().unwrap();
    let read = read_all(kernels, &[&losses, &log_sum_exp]);
    for words in &read {
        for (block, part) in words.chunks_exact(BLOCK).enumerate() {
            assert!(part == &words[..BLOCK], "block {block} differs from the first");
        }
    }
    for row in [0, 1, 777, BLOCK - 1] {
        let z = &values[row * CLASSES..(row + 1) * CLASSES];
        let top = f64::from(z.iter().copied().fold(f32::MIN, f32::max));
        let lse = top + z.iter().map(|&z| (f64::from(z) - top).exp()).sum::<f64>().ln();
        let loss = lse - f64::from(z[labels[row] as usize]);
        let got = f64::from(f32::from_bits(read[0][row]));
        assert!((got - loss).abs() <= 1e-5 * loss, "row {row}: {got} {loss}");
    }
    println!("1 GPU case");
}

/// The alignment that drivers ask of buffers, at most.
const STEP: u64 = 256;

/// Name and size of what the device has allocated under this crate's labels.
fn allocated(kernels: &Kernels) -> Vec<(String, u64)> {
    let report = kernels.device().generate_allocator_report().expect("Vulkan reports what it allocates");
    let own = report.allocations.into_iter().filter(|allocation| allocation.name.starts_with("longtail"));
    let mut own: Vec<_> = own.map(|allocation| (allocation.name, allocation.size)).collect();
    own.sort();
    own
}

/// `Plan::bytes` is what the device allocated, buffer by buffer, for every method, element type and manner of splitting.
/// The allocator starts buffers at multiples of the driver's alignment and counts what lies between two of them.
#[test]
fn bytes_are_exact() {
    let mut cases = 0;
    for small in [false, true] {
        let kernels = match small {
            false => kernels_with(|_| {}),
            true => kernels_with(|limits| {
                limits.max_storage_buffer_binding_size = 4096;
                limits.max_buffer_size = 16 << 10;
            }),
        };
        for (turn, subject) in subjects().iter().enumerate() {
            let (rows, classes) = [(64, 100), (3, 2000), (1000, 7), (1, 1)][turn % 4];
            let spec = subject.spec(&counts(classes));
            let element = Element::ALL[turn % 3];
            let mut request = PlanRequest::new(rows, classes)
                .with_targets(subject.kind)
                .with_elements(element, element)
                .with_mode([Mode::LossAndGrad, Mode::ForwardBackward][turn % 2]);
            if turn % 5 == 4 && subject.kind != TargetKind::Soft {
                let classes = 0..classes / 2;
                request = request.with_shard(Shard { index: 0, shards: 2, classes });
            }
            assert_eq!(allocated(&kernels), [], "before {}", subject.name);
            let plan = kernels.plan(&spec, &request).unwrap();
            let mut expected: Vec<(String, u64)> =
                plan.buffers().iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect();
            expected.sort();
            let found = allocated(&kernels);
            let same = found.len() == expected.len()
                && found.iter().zip(&expected).all(|(found, expected)| {
                    found.0 == expected.0 && (expected.1..expected.1 + STEP).contains(&found.1)
                });
            assert!(same, "{}: {found:?}, not {expected:?}", subject.name);
            assert_eq!(plan.bytes(), plan.buffers().iter().map(|(_, bytes)| bytes).sum::<u64>());
            // O(N + K): the fields of a row and of a class, never their product.
            let pieces = (plan.windows().1 * 2) as u64;
            let most = (28 * 2 + 4 * (16 + 10 * pieces)) * rows as u64 + (8 + 4 * 8) * classes as u64;
            let fixed = 256 * (plan.windows().0 * plan.windows().1) as u64 * 2 + 4096;
            assert!(plan.bytes() <= most + fixed, "{}: {} > {most} + {fixed}", subject.name, plan.bytes());
            cases += 1;
            drop(plan);
            kernels.queue().submit([]);
            kernels.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
        }
    }
    println!("{cases} GPU cases");
}

/// The same for losses beyond the softmax family: O(N + K) also where two plans make one.
#[test]
fn bytes_of_other_losses() {
    let kernels = kernels_with(|limits| limits.max_storage_buffer_binding_size = 16 << 10);
    let (rows, classes) = (200, 30);
    let counts = counts(classes);
    let losses: [Loss<'static>; 6] = [
        DistillationLoss::hinton(2.0).into(),
        DistillationLoss::dive(&counts, 0.5, 2.0, 1.0).unwrap().into(),
        LadeLoss::regulariser(&counts, 0.1).into(),
        LadeLoss::lade(&counts).into(),
        ObjectnessLoss::seesaw(&longtail::ClassCounts::new(vec![3u64; classes - 2]).unwrap()).into(),
        RangeLoss::new(5, 1.0).into(),
    ];
    for loss in losses {
        let rows = if matches!(loss, Loss::Range(_)) { 50 } else { rows };
        assert_eq!(allocated(&kernels), []);
        let plan = kernels.plan(&loss, &PlanRequest::new(rows, classes)).unwrap();
        // Parts that were planned once more, in windows of the same rows, are gone.
        kernels.queue().submit([]);
        kernels.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
        let mut expected: Vec<(String, u64)> =
            plan.buffers().iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect();
        expected.sort();
        let found = allocated(&kernels);
        let same = found.len() == expected.len()
            && found.iter().zip(&expected).all(|(found, expected)| {
                found.0 == expected.0 && (expected.1..expected.1 + STEP).contains(&found.1)
            });
        assert!(same, "{loss:?}: {found:?}, not {expected:?}");
        // Three plans at most, each with its fields and the rounding of its regions.
        let most = 3 * (200 * rows + 40 * classes + 1024 * plan.windows().0 + 4096);
        assert!(plan.bytes() <= most as u64, "{}", plan.describe());
        drop(plan);
        kernels.queue().submit([]);
        kernels.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
    }
    println!("6 GPU cases");
}

/// Ranges of classes of rows that start in the middle of a word: what two ranges share of a word is both's.
#[test]
fn odd_rows_in_ranges_of_classes() {
    let kernels = kernels_with(|limits| limits.max_storage_buffer_binding_size = 4096);
    let mut tally = Tally::default();
    for (turn, name) in ["cross_entropy", "seesaw", "label_smoothing", "ldam_drw"].into_iter().enumerate() {
        let subject = named(name);
        for element in [Element::F16, Element::Bf16] {
            let data = Data::new(5, 5001, subject.kind, cases::mix(&subject, turn)).rounded_to(element);
            let manner = Manner {
                mode: [Mode::LossAndGrad, Mode::ForwardBackward][turn % 2],
                storage: [Storage::Separate, Storage::InPlace][turn / 2],
                gaps: [(0, 0), (1, 2)][turn % 2],
                elements: (element, element),
                ..Manner::default()
            };
            let plan = kernels.plan(subject.spec(&counts(5001)), &gpu::request(&data, manner)).unwrap();
            assert!(plan.windows().1 > 1, "{}", plan.describe());
            tally.check_on(&kernels, &subject, None, &data, manner);
        }
    }
    tally.end("odd rows in ranges of classes");
}

/// Rows of seesaw in which every stretch has a class above the floor, so that a kernel over whole rows would read all of
/// it again: no thread may go through more columns than the adapter lets it (llvmpipe ends all loops of a thread together
/// after 65,535 iterations, without a word).
#[test]
fn long_rows_that_are_read_again() {
    let (rows, classes) = (36, 400_000);
    let counts =
        ClassCounts::new((0..classes as u64).map(|class| 1 + class % 997).collect::<Vec<_>>()).unwrap();
    let spec = SoftmaxLoss::seesaw(&counts).with_reduction(Reduction::Sum);
    let mut values = vec![-20.0f32; rows * classes];
    // 64 classes of probability 1/64 each, spread over the row; the floor is 0.01.
    for row in values.chunks_exact_mut(classes) {
        row.iter_mut().skip(3).step_by(classes / 64).for_each(|z| *z = 0.0);
    }
    let labels: Vec<i32> = (0..rows).map(|row| (row * 7919 % classes) as i32).collect();
    let got = context()
        .loss_and_grad(&spec, &Batch::new(&values, classes, Targets::Hard(&labels)))
        .expect("a legal batch");
    let wide: Vec<f64> = values.iter().map(|&z| f64::from(z)).collect();
    let batch = Batch::new(&wide, classes, Targets::Hard(&labels));
    let want = reference::softmax(&spec, &batch, Upstream::One).expect("a legal batch");
    // The bound of `support/tolerance.rs`: 24 + 10 U + 4 sqrt(K) roundings, U below 64 with the compensation.
    let rho = 2f64.powi(-24) * (24.0 + 640.0 + 4.0 * (classes as f64).sqrt());
    for (row, (got, want)) in got.row_loss.iter().zip(&want.row_loss).enumerate() {
        assert!((f64::from(*got) - want).abs() <= rho * (1.0 + want), "row {row}: {got} {want}");
    }
    for (at, (got, want)) in got.gradient.iter().zip(&want.gradient).enumerate() {
        let error = (f64::from(*got) - want).abs();
        assert!(
            error <= rho * want.abs() + 1e-9,
            "row {} class {}: {got} {want}",
            at / classes,
            at % classes
        );
    }
}

/// Sums of many classes, the likely ones first, lose few digits: a thread's stretches of columns are added up apart.
///
/// A thread has K / 8 = 16,032 classes here. One after another they may lose a rounding each, 1e-3 of the sum, and lost 4e-5
/// with these counts, because most of the tail is below half a unit of what the head has summed to. In stretches of 64 blocks
/// of four it is 256 + 63 roundings at worst, 2e-5, of which roundings of both signs leave about a tenth.
#[test]
fn sums_of_long_rows_keep_their_digits() {
    let (rows, classes) = (32, 128_256);
    let counts =
        ClassCounts::new((1..=classes as u64).map(|rank| 1 + 100_000 / rank).collect::<Vec<_>>()).unwrap();
    let spec = SoftmaxLoss::balanced(&counts);
    let values: Vec<f32> = logits(rows * classes, 9).iter().map(|z| 2.0 * z).collect();
    let labels: Vec<i32> = (0..rows).map(|row| (row * 7919 % classes) as i32).collect();
    let got = context()
        .loss_and_grad(&spec, &Batch::new(&values, classes, Targets::Hard(&labels)))
        .expect("a legal batch");
    let wide: Vec<f64> = values.iter().map(|&z| f64::from(z)).collect();
    let batch = Batch::new(&wide, classes, Targets::Hard(&labels));
    let want = reference::softmax(&spec, &batch, Upstream::One).expect("a legal batch");
    let mut worst = 0.0f64;
    let mut largest = 0.0f64;
    for (got, want) in got.gradient.iter().zip(&want.gradient) {
        // The label's own entry is near -1 / N whatever the sum is: the others show it.
        if *want > 0.0 {
            worst = worst.max((f64::from(*got) - want).abs());
            largest = largest.max(*want);
        }
    }
    println!("{:.1e} of the largest entry", worst / largest);
    assert!(worst <= 4e-6 * largest, "{:.1e} of the largest entry", worst / largest);
}

/// Losses are summed eight rows of a thread at a time, then four, and the rest one by one, and beyond 8,192 rows first in
/// runs of 2,048: batches that end on either side of that.
#[test]
fn sums_of_rows_that_end_between_eights() {
    let spec = SoftmaxLoss::cross_entropy().with_reduction(Reduction::Sum);
    let ends = [383usize, 384, 385, 511, 512, 513, 895, 896, 897, 1023, 1024, 1025, 1409, 1536, 1537];
    for rows in ends.into_iter().chain([8192, 8193, 10_240, 10_241]) {
        let logits: Vec<f32> = (0..3 * rows).map(|i| ((i * 37) % 11) as f32 / 4.0).collect();
        let labels: Vec<i32> = (0..rows).map(|row| (row % 3) as i32).collect();
        let wide: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
        let want =
            reference::softmax(&spec, &Batch::new(&wide, 3, Targets::Hard(&labels)), Upstream::One).unwrap();
        let got = context().loss_and_grad(&spec, &Batch::new(&logits, 3, Targets::Hard(&labels))).unwrap();
        assert!(
            (f64::from(got.loss) - want.loss).abs() <= 1e-5 * want.loss,
            "{rows}: {} {}",
            got.loss,
            want.loss
        );
    }
}
