//! Hostile numbers in 16 bits, and matrices that come in pieces which do not fit: each its typed error or documented
//! value.

#[path = "support/cases.rs"]
mod cases;
#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/tolerance.rs"]
mod tolerance;

use gpu::{Got, Manner, Up, context, run};
use inputs::{Data, Mix, counts};
use longtail::gpu::{Inputs, MatrixView, Mode, Outputs, PlanRequest, RowChoice, Storage, TargetViews, View};
use longtail::{Element, Error, SoftmaxLoss, TargetKind, Upstream, reference};

/// Ways to read and write 16 bits.
fn ways() -> Vec<(Element, bool)> {
    let native = context().kernels().device().features().contains(wgpu::Features::SHADER_F16);
    let mut ways = vec![(Element::F16, false), (Element::Bf16, false)];
    match native {
        true => ways.push((Element::F16, true)),
        false => println!("no SHADER_F16 here: native f16 is left out"),
    }
    ways
}

fn manner(element: Element, native: bool, choice: RowChoice, storage: Storage) -> Manner {
    let choice = Some(RowChoice { native_f16: native, ..choice });
    Manner { choice, storage, elements: (element, element), ..Manner::default() }
}

fn data(rows: usize, classes: usize) -> Data {
    Data::new(rows, classes, TargetKind::Hard, Mix { flavours: &[inputs::Flavour::Unit], ..Mix::new(2) })
}

fn go(data: &Data, manner: Manner) -> Got {
    run(context().kernels(), &SoftmaxLoss::cross_entropy(), data, manner).unwrap().1
}

/// NaN and +inf spoil their own row only, down to the halves of a word that it shares with its neighbours.
#[test]
fn bad_logits() {
    let choices =
        [RowChoice::stream(1, 8), RowChoice::on_chip(4, 8, 8), RowChoice::stream(1, 4).with_split(2)];
    let mut cases = 0;
    for (element, native) in ways() {
        for choice in choices {
            for storage in [Storage::Separate, Storage::InPlace] {
                for (bad, class) in [(f32::NAN, 0), (f32::INFINITY, 32), (-f32::NAN, 17), (f32::INFINITY, 1)]
                {
                    let mut rows = data(9, 33);
                    rows.logits[3 * 33 + class] = bad;
                    let got = go(&rows, manner(element, native, choice, storage));
                    for row in 0..9 {
                        let gradient = &got.gradient[row * 33..(row + 1) * 33];
                        assert_eq!(
                            gradient.iter().all(|g| g.is_nan()),
                            row == 3,
                            "{element} {choice:?} row {row}"
                        );
                        assert_eq!(
                            gradient.iter().any(|g| g.is_nan()),
                            row == 3,
                            "{element} {choice:?} row {row}"
                        );
                        assert_eq!(got.row_loss[row].is_nan(), row == 3, "{element} {choice:?} row {row}");
                    }
                    assert!(matches!(got.status, Some(Error::NonFinite { row: 3, rows: 1, .. })));
                    cases += 1;
                }
            }
        }
    }
    println!("{cases} GPU cases");
}

/// -inf masks a class in every type; a row of nothing else is bad.
#[test]
fn masked_logits() {
    let mut cases = 0;
    for (element, native) in ways() {
        let mut rows = data(5, 7).rounded_to(element);
        rows.labels = vec![0, 1, 2, 3, 6];
        rows.logits[1] = f32::NEG_INFINITY;
        rows.logits[6 + 7] = f32::NEG_INFINITY;
        rows.logits[14..21].fill(f32::NEG_INFINITY);
        let got = go(&rows, manner(element, native, RowChoice::stream(1, 8), Storage::Separate));
        assert_eq!(got.gradient[1], 0.0);
        assert_eq!(got.gradient[13], 0.0);
        assert!(got.gradient[14..21].iter().all(|g| g.is_nan()));
        assert!(got.gradient[..14].iter().chain(&got.gradient[21..]).all(|g| g.is_finite()));
        assert!(matches!(got.status, Some(Error::NonFinite { row: 2, rows: 1, .. })));
        cases += 1;
    }
    println!("{cases} GPU cases");
}

/// A gradient beyond f16's range is infinite, of its own sign, as loss scaling expects; in bf16 it is a number. Tiny
/// ones are subnormal.
#[test]
fn gradients_at_the_ends_of_the_range() {
    let mut cases = 0;
    for (element, native) in ways() {
        for upstream in [1.0e7f32, 2.0e6, 1.0e-4, 1.0e-6] {
            let rows = data(8, 19).rounded_to(element);
            let spec = SoftmaxLoss::cross_entropy();
            let manner = Manner {
                mode: Mode::ForwardBackward,
                upstream: Up::Scalar(upstream),
                ..manner(element, native, RowChoice::stream(4, 8), Storage::InPlace)
            };
            let want = reference::softmax(&spec, &rows.wide(&spec), Upstream::Scalar(upstream)).unwrap();
            let got = go(&rows, manner);
            let infinite = got.gradient.iter().filter(|g| g.is_infinite()).count();
            assert_eq!(infinite > 0, element == Element::F16 && upstream > 1.0e5, "{element} {upstream}");
            let worst = tolerance::compare(&spec, &rows, &want, &got, manner.upstream, element);
            assert!(worst.ratio <= 1.0, "{element} native {native} upstream {upstream}: {worst:?}");
            cases += 1;
        }
    }
    println!("{cases} GPU cases");
}

/// Row blocks that do not make N, too few views, blocks over each other.
#[test]
fn row_blocks_that_do_not_fit() {
    let kernels = context().kernels();
    let spec = SoftmaxLoss::cross_entropy();
    let request = |blocks: &[usize]| PlanRequest::new(6, 64).with_row_blocks(blocks);
    for blocks in [&[3, 2][..], &[3, 3, 1], &[7], &[usize::MAX, 7]] {
        let error = kernels.plan(&spec, &request(blocks)).unwrap_err();
        assert!(
            matches!(error, Error::Parameter { name: "the number of rows of all blocks", value: 6.0, .. }),
            "{blocks:?}: {error:?}"
        );
    }
    let plan = kernels.plan(&spec, &request(&[2, 0, 4])).unwrap();
    let buffers: Vec<wgpu::Buffer> = (0..3)
        .map(|_| {
            kernels.device().create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: 16 << 10,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        })
        .collect();
    let view = |buffer: usize, offset: u64, rows: u64| View::new(&buffers[buffer], offset, 256 * rows);
    let logits = [view(0, 0, 2), view(0, 512, 0), view(0, 512, 4)];
    let labels = TargetViews::Hard(View::new(&buffers[1], 0, 24));
    let encode = |logits: &[View<'_>], gradient: &[View<'_>]| {
        let inputs = Inputs::new(MatrixView::Blocks(logits), labels);
        let mut encoder = kernels.device().create_command_encoder(&Default::default());
        let gradient = Some(MatrixView::Blocks(gradient));
        plan.encode_loss_and_grad(&mut encoder, &inputs, gradient, None, &Outputs::default())
    };
    let gradient = [view(2, 0, 2), view(2, 512, 0), view(2, 512, 4)];
    encode(&logits, &gradient).unwrap();
    let few = encode(&logits[..2], &gradient).unwrap_err();
    assert!(matches!(few, Error::Length { what: "logits", expected: 3, found: 2 }), "{few:?}");
    let short = encode(&[view(0, 0, 2), view(0, 512, 0), view(0, 512, 3)], &gradient).unwrap_err();
    assert!(matches!(short, Error::Length { what: "logits", expected: 1024, found: 768 }), "{short:?}");
    let over = encode(&logits, &[view(2, 0, 2), view(2, 0, 0), view(2, 256, 4)]).unwrap_err();
    assert!(matches!(over, Error::Overlap { second: "another of its row blocks", .. }), "{over:?}");
    // Logits that are only read may share their bytes.
    encode(&[view(0, 0, 2), view(0, 512, 0), view(0, 0, 4)], &gradient).unwrap();
}

/// Element types that a plan cannot have, and features that a device lacks.
#[test]
fn element_types_that_are_refused() {
    let kernels = context().kernels();
    let spec = SoftmaxLoss::balanced(&counts(6));
    let in_place = PlanRequest::new(2, 6).with_storage(Storage::InPlace);
    let error = kernels.plan(&spec, &in_place.with_elements(Element::F16, Element::F32)).unwrap_err();
    assert!(matches!(error, Error::Combination { first: "a gradient in place", .. }), "{error:?}");
    let without = gpu::kernels_without_features();
    let native = PlanRequest::new(2, 6)
        .with_elements(Element::F16, Element::F16)
        .with_choice(RowChoice::stream(1, 8).with_native_f16());
    let error = without.plan(&spec, &native).unwrap_err();
    assert!(matches!(error, Error::MissingFeature { feature: "SHADER_F16", .. }), "{error:?}");
    // Packed ones need nothing.
    let packed = PlanRequest::new(2, 6).with_elements(Element::F16, Element::Bf16);
    without.plan(&spec, &packed).unwrap();
}
