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
use longtail::gpu::head::HeadRequest;
use longtail::head::{ClassScale, Head, RowNorm, Similarity, TargetMargin};
use longtail::method::HEADS;

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
