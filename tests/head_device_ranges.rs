//! Heads whose matrices are larger than a binding, on the adapter against the f64 reference: rows in chunks, classes in
//! ranges, and classes in shards.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/head_case.rs"]
mod head_case;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/matrix.rs"]
mod matrix;

use std::panic::AssertUnwindSafe;

use gpu::{context, kernels_with};
use head_case::HeadCase;
use longtail::gpu::Kernels;
use longtail::gpu::head::HeadRequest;
use longtail::gpu::matmul::MatrixSpec;
use longtail::head::{ClassScale, Head, RowNorm, Similarity, TargetMargin};
use longtail::method::HEADS;
use longtail::{Element, Error};

fn report(cases: usize) {
    println!("{cases} heads on the GPU");
    assert!(cases > 0, "no GPU case ran");
}

/// Bindings of 8 KiB.
fn small() -> Kernels {
    kernels_with(|limits| limits.max_storage_buffer_binding_size = 8192)
}

/// Every term at once.
fn everything() -> Head {
    let mut head = Head::causal(2, 6.0, 0.25).with_bias().with_margin(TargetMargin::Cosine { margin: 0.25 });
    head.features = RowNorm { power: 0.6, eps: 1e-12, offset: 0.5 };
    head.class_scale = ClassScale::Logits;
    head.similarity = Similarity::NegativeSquaredDistance;
    head.centred = true;
    head
}

/// 150 rows of 16 features have 9,600 bytes, 200 classes 12,800.
#[test]
fn every_head_in_ranges() {
    let kernels = small();
    let mut cases = 0;
    let table = HEADS.iter().map(|method| (method.name, (method.build)()));
    for (turn, (name, head)) in table.chain([("everything", everything())]).enumerate() {
        let mut request = HeadRequest::new(150, 200, 16).with_ignore_index(-100).with_chunk(9);
        (request.scale_gradient, request.shared) = (true, turn % 2 == 1);
        if turn % 3 == 1 {
            request = request.with_first_class(1000);
        }
        println!("{name}");
        let plan = HeadCase::new(head, request, turn as u32).check(&kernels);
        // 7,168 bytes hold 112 classes of 64 bytes, in whole 64s 64: four ranges.
        assert_eq!(plan.class_ranges().collect::<Vec<_>>(), [0..64, 64..128, 128..192, 192..200]);
        cases += 1;
    }
    report(cases);
}

/// Rows that begin anywhere, in every element type, in both matrices.
#[test]
fn every_place_in_ranges() {
    let kernels = small();
    let mut cases = 0;
    for (turn, elem) in [Element::F32, Element::F16, Element::Bf16].into_iter().enumerate() {
        for (dim, gap, origin) in [(6, 1, 3), (8, 4, 4), (10, 0, 0)] {
            let place = MatrixSpec { elem, stride: dim + gap, origin };
            let mut request = HeadRequest::new(30, 450, dim).with_ignore_index(-100).with_chunk(4);
            request = request.with_places(place, MatrixSpec { origin: origin + 4, ..place });
            request.shared = turn % 2 == 0;
            let plan = HeadCase::new(Head::cosface(0.25, 8.0), request, turn as u32).check(&kernels);
            assert!(plan.class_ranges().len() > 1);
            cases += 1;
        }
    }
    report(cases);
}

/// No matter how long the rows: no kernel's loop is longer than the adapter lets it be.
#[test]
fn many_classes_and_many_rows() {
    let mut request = HeadRequest::new(3, 131_072, 4).with_ignore_index(-100).with_chunk(2);
    request.scale_gradient = true;
    let plan = HeadCase::new(everything(), request, 1).check(context().kernels());
    assert_eq!(plan.class_ranges().len(), 1);
    let plan = context().kernels().head(&everything(), &HeadRequest::new(3, 262_145, 4)).unwrap();
    assert_eq!(plan.class_ranges().map(|range| range.len()).collect::<Vec<_>>(), [87_424, 87_424, 87_297]);
    let request = HeadRequest::new(32_769, 2, 2).with_ignore_index(-100);
    let plan = HeadCase::new(everything(), request, 2).check(context().kernels());
    assert_eq!(plan.chunks().collect::<Vec<_>>(), [0..32_768, 32_768..32_769]);
    report(2);
}

/// A shard's labels count among all classes; those of other shards, below and above, meet none.
#[test]
fn shards() {
    let mut cases = 0;
    for head in [Head::arcface(0.5, 8.0), Head::cosface(0.25, 8.0), everything()] {
        for first_class in [1, 64, 70_001] {
            let request = HeadRequest::new(20, 9, 8).with_ignore_index(-100).with_chunk(7);
            let request = request.with_first_class(first_class);
            HeadCase::new(head.clone(), request, cases as u32).check(context().kernels());
            cases += 1;
        }
    }
    let request = HeadRequest::new(1, 2, 1).with_first_class((1 << 31) - 1);
    let error = context().kernels().head(&Head::linear(), &request).expect_err("no label names these");
    assert!(matches!(error, Error::Limit { .. }), "{error}");
    report(cases);
}

#[test]
fn what_does_not_fit() {
    let kernels = small();
    let refused = |request: HeadRequest| match kernels.head(&Head::linear(), &request) {
        Err(Error::Limit { what, needed, allowed: 8192, .. }) => (what, needed),
        other => panic!("{other:?}"),
    };
    // 64 classes of 33 numbers.
    let found = refused(HeadRequest::new(1, 65, 33));
    assert_eq!(found, ("bytes in the binding of 64 classes".to_owned(), 4 * 64 * 33 + 1024));
    let found = refused(HeadRequest::new(100, 3, 30));
    assert_eq!(found, ("bytes in the binding of the features".to_owned(), 12_000));
    // Two rows of 2,000 logits, of which the first range has 1,024: from its first to its last.
    let found = refused(HeadRequest::new(2, 2000, 1).with_chunk(2));
    assert_eq!(found.0, "bytes in the binding of the scratch buffer");
    report(3);
}

/// What ranges, chunks and shards add to the kernels, edited: the comparisons have to notice.
#[test]
fn mutants_are_noticed() {
    let kernels = small();
    let conforms = |kernels: &Kernels| {
        let mut request = HeadRequest::new(13, 200, 16).with_ignore_index(-100).with_chunk(6);
        request.scale_gradient = true;
        let case = HeadCase::new(everything(), request.with_first_class(7), 5);
        let slopes = case.expected().loss.gradient;
        let run = std::panic::catch_unwind(AssertUnwindSafe(|| case.run(kernels, &slopes)));
        matches!(run, Ok(Ok((plan, found))) if case.ratio(&plan, &found) <= 1.0)
    };
    assert!(conforms(&kernels), "the unedited kernels fail");
    let mut missed = String::new();
    let mutants = [
        ("label == i32(params.first_class + column)", "label == i32(column)"),
        ("i * params.logits_stride", "i * params.classes"),
        ("(index / blocks) * params.logits_stride", "(index / blocks) * params.classes"),
        ("row * params.logits_stride", "row * params.classes"),
        ("row_state[at] += total;", "row_state[at] = total;"),
        ("params.row_sums + params.first_row + row;", "params.row_sums + row;"),
        ("* class_scale_of(column);\n  }\n  let total", ";\n  }\n  let total"),
        ("scale_gradient[0] += value;", "scale_gradient[0] = value;"),
    ];
    std::panic::set_hook(Box::new(|_| {}));
    for (from, to) in mutants {
        if conforms(&kernels.edited(&[(from, to)])) {
            missed.push_str(&format!("`{from}` -> `{to}`: not noticed\n"));
        }
    }
    drop(std::panic::take_hook());
    assert!(missed.is_empty(), "{missed}");
    report(mutants.len());
}

/// Rows that the threads of a workgroup share on every adapter; shorter ones are one thread's on a processor.
#[test]
fn long_features() {
    let mut request = HeadRequest::new(3, 5, 16_388).with_ignore_index(-100).with_chunk(2);
    request.scale_gradient = true;
    HeadCase::new(everything(), request, 4).check(context().kernels());
    report(1);
}
