//! A head and its loss without a way back on the device against the f64 reference: no logit is stored, whatever the head,
//! the loss, the targets and the elements. The error analysis is in `support/forward_case.rs`.

#[path = "support/forward_case.rs"]
mod forward_case;
#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/head_case.rs"]
mod head_case;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/matrix.rs"]
mod matrix;

use forward_case::ForwardCase;
use gpu::context;
use longtail::gpu::head::HeadRequest;
use longtail::head::Head;
use longtail::method::SOFTMAX;

fn report(cases: usize, least: usize) {
    println!("{cases} cases on the GPU: {}", context().adapter_info().name);
    assert!(cases >= least, "{cases}");
}

/// Every softmax method behind a cosine and a linear head.
#[test]
fn every_method() {
    let kernels = context().kernels();
    let mut cases = 0;
    let request = HeadRequest::new(37, 70, 6);
    let heads = [Head::cosine(4.0), Head::linear().with_bias()];
    for (turn, head) in heads.into_iter().enumerate() {
        let case = ForwardCase::new(head, request, turn as u32);
        for method in SOFTMAX {
            let loss = (method.build)(&ForwardCase::counts(70)).unwrap();
            case.check(kernels, method.name, &loss, method.targets, 0);
            cases += 1;
        }
    }
    report(cases, 80);
}
