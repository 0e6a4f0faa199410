//! Heads on the device that cannot be: each wrong argument has its typed error, before anything is recorded.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;

use gpu::{Arena, context};
use longtail::gpu::head::{HeadGradients, HeadPlan, HeadRequest, HeadViews};
use longtail::gpu::matmul::MatrixSpec;
use longtail::gpu::{Kernels, View};
use longtail::head::Head;
use longtail::{Error, Result};

fn kernels() -> &'static Kernels {
    context().kernels()
}

fn refused(head: &Head, request: HeadRequest) -> Error {
    kernels().head(head, &request).expect_err("is refused")
}

#[test]
fn numbers() {
    let linear = Head::linear();
    let name = |error: Error| match error {
        Error::Parameter { name, .. } => name,
        other => panic!("{other}"),
    };
    assert_eq!(name(refused(&linear, HeadRequest::new(1, 1, 0))), "the feature dimension");
    assert_eq!(name(refused(&linear, HeadRequest::new(1, 0, 1))), "the number of classes");
    assert_eq!(name(refused(&linear, HeadRequest::new(1, 1, 1).with_chunk(0))), "rows of a chunk");
    assert_eq!(
        name(refused(&Head::causal(2, 16.0, 0.25), HeadRequest::new(1, 1, 3))),
        "the feature dimension"
    );
    assert_eq!(name(refused(&Head::cosine(f64::NAN), HeadRequest::new(1, 1, 1))), "the head's scale");
    let short = MatrixSpec { stride: 3, ..MatrixSpec::default() };
    let error = refused(&linear, HeadRequest::new(2, 2, 4).with_places(short, MatrixSpec::default()));
    assert!(matches!(error, Error::Length { what: "the features", expected: 4, found: 3 }), "{error}");
    let error = refused(&linear, HeadRequest::new(2, 2, 4).with_places(MatrixSpec::default(), short));
    assert!(matches!(error, Error::Length { what: "the weights", expected: 4, found: 3 }), "{error}");
    for (rows, classes, dim) in
        [((1 << 31) + 1, 1, 2), (1, 1, 1 << 30), (usize::MAX, 1, 1), (1, usize::MAX, 1), (1, 1, usize::MAX)]
    {
        let error = refused(&linear, HeadRequest::new(rows, classes, dim));
        assert!(matches!(error, Error::Limit { .. }), "{error}");
    }
    let mut request = HeadRequest::new(2, 2, 2).with_scale_gradient();
    request.weight_gradient = false;
    let error = refused(&linear, request);
    assert!(matches!(error, Error::Combination { first: "a gradient by scales", .. }), "{error}");
}

fn forward(plan: &HeadPlan, chunk: usize, views: &HeadViews<'_>, scratch: View<'_>) -> Result<()> {
    let mut encoder = kernels().device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    plan.begin(&mut pass, views)?;
    plan.forward(&mut pass, chunk, views, scratch)
}

fn backward(
    plan: &HeadPlan,
    views: &HeadViews<'_>,
    gradients: &HeadGradients<'_>,
    scratch: View<'_>,
) -> Result<()> {
    let mut encoder = kernels().device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    plan.backward(&mut pass, 0, views, gradients, scratch)?;
    plan.finish(&mut pass, views, gradients)
}

#[test]
fn views() {
    let (n, k, d) = (4, 3, 8);
    let request = HeadRequest::new(n, k, d).with_chunk(2);
    let plan = kernels().head(&Head::cosface(0.25, 8.0).with_bias(), &request).unwrap();
    let mut arena = Arena::new(false);
    let ranges = [n * d, k * d, k, n, 2 * k, n * d, k * d, k].map(|words| arena.add(&vec![0; words]));
    arena.upload(kernels());
    let [features, weights, bias, labels, scratch, to_features, to_weights, to_bias] =
        ranges.map(|range| arena.view(range));
    let right = HeadViews::new(features, weights).with_bias(bias).with_labels(labels);
    let gradients = HeadGradients {
        features: Some(to_features),
        weights: Some(to_weights),
        bias: Some(to_bias),
        ..HeadGradients::default()
    };
    assert_eq!(forward(&plan, 1, &right, scratch), Ok(()));
    assert_eq!(backward(&plan, &right, &gradients, scratch), Ok(()));
    let found = forward(&plan, 2, &right, scratch);
    assert!(matches!(found, Err(Error::Parameter { name: "the chunk", value: 2.0, .. })), "{found:?}");

    let cut = |view: &View<'_>| view.size - 4;
    let lengths = [
        ("the features", HeadViews { features: View { size: cut(&features), ..features }, ..right }),
        ("the weights", HeadViews { weights: View { size: cut(&weights), ..weights }, ..right }),
        ("biases", right.with_bias(View { size: cut(&bias), ..bias })),
        ("labels", right.with_labels(View { size: cut(&labels), ..labels })),
    ];
    for (what, views) in lengths {
        let found = forward(&plan, 0, &views, scratch);
        assert!(matches!(found, Err(Error::Length { what: found, .. }) if found == what), "{what}");
    }
    let found = forward(&plan, 0, &right, View { size: cut(&scratch), ..scratch });
    assert!(matches!(found, Err(Error::Length { what: "the scratch buffer", expected: 24, found: 20 })));
    let found = forward(&plan, 0, &HeadViews { labels: None, ..right }, scratch);
    assert!(matches!(found, Err(Error::Missing { what: "labels", .. })), "{found:?}");
    let found = forward(&plan, 0, &right.with_centre(bias), scratch);
    assert!(matches!(found, Err(Error::Unexpected { what: "the centre", .. })), "{found:?}");
    let found = forward(&plan, 0, &right, View { size: 24, ..features });
    assert!(matches!(found, Err(Error::Overlap { .. })), "{found:?}");

    let found = backward(&plan, &right, &HeadGradients { bias: None, ..gradients }, scratch);
    assert!(matches!(found, Err(Error::Missing { what: "the biases' gradient", .. })), "{found:?}");
    let found = backward(&plan, &right, &HeadGradients { scale: Some(to_bias), ..gradients }, scratch);
    assert!(matches!(found, Err(Error::Unexpected { what: "the scale's gradient", .. })), "{found:?}");
    let found = backward(&plan, &right, &HeadGradients { features: Some(features), ..gradients }, scratch);
    assert!(matches!(found, Err(Error::Overlap { .. })), "{found:?}");
    let forward_only = kernels().head(&Head::linear(), &request.forward_only()).unwrap();
    let plain = HeadViews::new(features, weights);
    let found = backward(&forward_only, &plain, &HeadGradients::default(), scratch);
    assert!(matches!(found, Err(Error::Unexpected { what: "a way back", .. })), "{found:?}");
}
