//! Heads on the adapter against the f64 reference: every head, forwards and backwards, in chunks.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/head_case.rs"]
mod head_case;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/matrix.rs"]
mod matrix;

use gpu::context;
use head_case::HeadCase;
use longtail::Element;
use longtail::Error;
use longtail::gpu::head::HeadRequest;
use longtail::gpu::matmul::MatrixSpec;
use longtail::head::{ClassScale, Head, RowNorm, Similarity, TargetMargin};
use longtail::method::HEADS;
use matrix::Matrix;

fn report(cases: usize) {
    println!("{cases} heads on the GPU");
    assert!(cases > 0, "no GPU case ran");
}

/// The table's heads and combinations that it does not have.
fn heads() -> Vec<(String, Head)> {
    let mut everything = Head::causal(1, 6.0, 0.25).with_bias();
    everything.features = RowNorm { power: 0.6, eps: 1e-12, offset: 0.5 };
    everything.class_scale = ClassScale::Logits;
    everything.centred = true;
    let mut prototypes = everything.clone().with_margin(TargetMargin::Cosine { margin: 0.25 });
    prototypes.similarity = Similarity::NegativeSquaredDistance;
    prototypes.class_scale = ClassScale::Weights;
    let table = HEADS.iter().map(|method| (method.name.to_owned(), (method.build)()));
    table.chain([("everything".to_owned(), everything), ("prototypes".to_owned(), prototypes)]).collect()
}

#[test]
fn every_head_in_every_dimension() {
    let mut cases = 0;
    for (name, head) in heads() {
        for (turn, (rows, classes, dim)) in
            [(5, 3, 1), (7, 4, 3), (9, 65, 64), (6, 10, 257), (1, 1, 2), (33, 40, 16)].into_iter().enumerate()
        {
            if dim % head.parts != 0 {
                continue;
            }
            let mut request = HeadRequest::new(rows, classes, dim).with_ignore_index(-100);
            request.scale_gradient = turn % 2 == 0;
            request = request.with_chunk([2, 7, 4, 5, 1, 12][turn]);
            println!("{name} {rows} x {classes} x {dim}");
            HeadCase::new(head.clone(), request, cases as u32).check(context().kernels());
            cases += 1;
        }
    }
    report(cases);
}

#[test]
fn every_place_and_element_type() {
    let mut cases = 0;
    let elems = [Element::F32, Element::F16, Element::Bf16];
    for (turn, (features, weights)) in elems.into_iter().flat_map(|a| elems.map(|b| (a, b))).enumerate() {
        for (dim, gap) in [(8, 4), (6, 1)] {
            for head in
                [Head::causal(2, 16.0, 0.25), Head::cosface(0.4, 8.0), Head::nearest_class_mean_centred()]
            {
                let place = |elem, origin| MatrixSpec { elem, stride: dim + gap, origin };
                let mut request =
                    HeadRequest::new(6, 5, dim).with_ignore_index(-100).with_chunk(1 + turn % 6);
                request = request.with_places(place(features, 4), place(weights, 8));
                request.shared = turn % 2 == 1;
                HeadCase::new(head, request, turn as u32).check(context().kernels());
                cases += 1;
            }
        }
    }
    report(cases);
}

#[test]
fn parts_of_the_way_back() {
    for (features, weights) in [(true, false), (false, true), (false, false)] {
        let mut request = HeadRequest::new(5, 4, 6).with_ignore_index(-100).with_chunk(3);
        (request.feature_gradient, request.weight_gradient) = (features, weights);
        HeadCase::new(Head::cosine(4.0).with_bias(), request, 3).check(context().kernels());
    }
    let mut request = HeadRequest::new(5, 4, 6).with_ignore_index(-100);
    request.feature_gradient = false;
    HeadCase::new(Head::learnable_logit_scaling(), request, 3).check(context().kernels());
    let forward = HeadCase::new(Head::arcface(0.5, 30.0), request.forward_only(), 3);
    let (plan, found) = forward.run(context().kernels(), &[]).unwrap();
    assert_eq!(found.logits.len(), 20);
    assert!(found.features.is_empty() && !plan.request().backward);
    report(5);
}

/// No row: the weights' gradient is 0, not what was there.
#[test]
fn empty_batches() {
    for head in [Head::linear(), Head::cosine(4.0).with_bias(), Head::arcface(0.5, 30.0)] {
        let request = HeadRequest::new(0, 3, 4);
        let case = HeadCase::new(head, request, 1);
        let (_, found) = case.run(context().kernels(), &[]).unwrap();
        assert_eq!(found.weights, [0.0; 12]);
        assert!(found.bias.iter().all(|slope| *slope == 0.0));
    }
    report(3);
}

/// Rows of 0 have similarity 0 and finite gradients: `HeadCase` has them in every batch; here there is nothing else.
#[test]
fn nothing_but_zeros() {
    for (name, head) in heads() {
        let request = HeadRequest::new(3, 4, 2).with_ignore_index(-100).with_chunk(2);
        let mut case = HeadCase::new(head, request, 9);
        case.features = Matrix::new(request.features, 3, 2, vec![0.0; 6]);
        case.weights = Matrix::new(request.weights, 4, 2, vec![0.0; 8]);
        println!("{name}");
        case.check(context().kernels());
    }
    report(heads().len());
}

#[test]
fn the_same_bits_on_every_run_and_bytes() {
    let request = HeadRequest::new(9, 65, 64).with_ignore_index(-100).with_chunk(4);
    let case = HeadCase::new(Head::cosface(0.25, 16.0).with_bias(), request, 3);
    let slopes = case.expected().loss.gradient;
    let (plan, first) = case.run(context().kernels(), &slopes).unwrap();
    let (_, second) = case.run(context().kernels(), &slopes).unwrap();
    assert_eq!(first, second);
    assert_eq!(plan.scratch_bytes(), 4 * 4 * 65);
    assert_eq!(plan.chunks().collect::<Vec<_>>(), [0..4, 4..8, 8..9]);
    assert_eq!(plan.class_ranges().len(), 1);
    // Rows: sums and factors, slopes and rests, each 64 long; classes: sums and factors of 128, 4 sums. One pass over
    // the weights, two steps to close; each chunk has norms, three products, and three steps. Each has its parameters at
    // a multiple of 256 bytes, the last one, a product's, only its own 100; 16 stand for nothing that is read, and written.
    let states = 4 * (4 * 64 + 2 * 128 + 4 * 65);
    let steps = 3 + 3 * 7;
    assert_eq!(plan.bytes(), states + 256 * (steps - 1) + 100 + 32);
    report(2);
}

/// Scale and margin change without a new plan.
#[test]
fn schedules() {
    let kernels = context().kernels();
    let request = HeadRequest::new(2, 3, 4);
    let mut plan = kernels.head(&Head::cosface(0.25, 16.0), &request).unwrap();
    assert_eq!(plan.update(&Head::cosface(0.5, 8.0)), Ok(()));
    assert_eq!(plan.head().scale, 8.0);
    let found = plan.update(&Head::cosine(16.0));
    assert!(matches!(found, Err(Error::Unexpected { .. })), "{found:?}");
    let found = plan.update(&Head::cosface(-0.5, 8.0));
    assert!(matches!(found, Err(Error::Parameter { name: "the cosine margin", .. })), "{found:?}");
    report(1);
}
