//! Norms of rows and gradients through their normalisation on the adapter against f64.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/matrix.rs"]
mod matrix;
#[path = "support/matrix_rows.rs"]
mod matrix_rows;

use gpu::context;
use inputs::Draws;
use longtail::Element;
use longtail::gpu::matmul::{MatrixSpec, RowFactors, RowNormsRequest, ThroughNormRequest};
use longtail::head::{Head, HeadBatch, HeadInput, HeadLoss, RowNorm};
use longtail::{Error, SoftmaxLoss, Targets, Upstream, reference};
use matrix::Matrix;
use matrix_rows::{Rows, norms};

fn report(cases: usize) {
    println!("{cases} passes over rows on the GPU");
    assert!(cases > 0, "no GPU case ran");
}

#[test]
fn norms_and_gradients_of_every_shape() {
    let mut cases = 0;
    for (rows, columns, parts) in [
        (1, 1, 1),
        (3, 7, 1),
        (5, 8, 2),
        (4, 9, 3),
        (17, 64, 1),
        (65, 30, 5),
        (3, 257, 1),
        (2, 1000, 2),
        (9, 40, 10),
        (2, 6, 6),
        (70_000, 2, 1),
    ] {
        // All norms on small shapes, one on the large.
        for norm in norms().into_iter().take(if rows > 1000 { 1 } else { 8 }) {
            let mut request = RowNormsRequest::new(rows, columns, norm);
            request.factors = RowFactors { parts, origin: cases % 3 };
            if cases % 2 == 1 {
                request.x = MatrixSpec { elem: Element::F32, stride: columns + 3, origin: 5 };
            }
            let case = Rows::new(request, cases as u32);
            case.check(context().kernels(), &ThroughNormRequest::in_place(request));
            cases += 1;
        }
    }
    report(cases);
}

#[test]
fn every_element_type() {
    let elems = [Element::F32, Element::F16, Element::Bf16];
    let mut cases = 0;
    for x in elems {
        for gradient in elems {
            for result in elems {
                for (columns, parts) in [(24, 2), (20, 2), (12, 1), (10, 1)] {
                    let mut request = RowNormsRequest::new(5, columns, RowNorm::unit());
                    request.x = MatrixSpec { elem: x, stride: columns + 4, origin: 4 };
                    request.factors.parts = parts;
                    let case = Rows::new(request, cases);
                    let gradient = MatrixSpec { elem: gradient, stride: columns, origin: 0 };
                    let result = MatrixSpec { elem: result, stride: columns + 2, origin: 2 };
                    let mut through = ThroughNormRequest::apart(request, gradient, result);
                    through.accumulate = cases % 2 == 1;
                    through.shared = cases % 3 == 1;
                    case.check(context().kernels(), &through);
                    cases += 1;
                }
                // In place of 16 bits.
                let request = RowNormsRequest::new(3, 8, RowNorm::offset(0.5));
                let mut through = ThroughNormRequest::in_place(request);
                through.result.elem = result;
                Rows::new(request, cases).check(context().kernels(), &through);
                cases += 1;
            }
        }
    }
    report(cases as usize);
}

/// Two parts that meet in a word of 16 bits are two workgroups at one word.
#[test]
fn odd_parts_of_16_bits() {
    let kernels = context().kernels();
    let native = kernels.device().features().contains(wgpu::Features::SHADER_F16);
    for elem in [Element::F16, Element::Bf16] {
        let mut request = RowNormsRequest::new(4, 6, RowNorm::unit());
        request.factors.parts = 2;
        let mut through = ThroughNormRequest::in_place(request);
        through.result.elem = elem;
        if elem == Element::F16 && native {
            Rows::new(request, 1).check(kernels, &through);
        } else {
            let found = kernels.through_norm(&through);
            assert!(matches!(found, Err(Error::Alignment { what: "the result", .. })), "{found:?}");
        }
    }
    report(1);
}

/// Rows of 0, on the floor, and of extreme lengths.
#[test]
fn extreme_rows() {
    let kernels = context().kernels();
    let mut draws = Draws::new(3);
    for norm in norms() {
        let request = RowNormsRequest::new(6, 12, norm);
        let mut case = Rows::new(request, 5);
        let sizes = [0.0, 1e-15, 1e-6, 1.0, 1e6, 1e15];
        let values = (0..72).map(|position| {
            let value = f64::from(draws.normal()) * sizes[position / 12];
            f64::from(value as f32)
        });
        case.x = Matrix::new(MatrixSpec::default(), 6, 12, values.collect());
        case.check(kernels, &ThroughNormRequest::in_place(request));
    }
    report(norms().len());
}

/// The gradient that a whole head takes back, against the reference of heads.
#[test]
fn the_gradient_of_a_cosine_head() {
    let kernels = context().kernels();
    let mut draws = Draws::new(11);
    let (rows, dim, classes) = (7, 10, 5);
    let wide =
        |count: usize, draws: &mut Draws| (0..count).map(|_| f64::from(draws.normal())).collect::<Vec<f64>>();
    let (features, weights) = (wide(rows * dim, &mut draws), wide(classes * dim, &mut draws));
    for head in [Head::cosine(8.0), Head::squashed_cosine(8.0), Head::causal(2, 16.0, 0.25)] {
        let spec = HeadLoss::new(head.clone(), SoftmaxLoss::cross_entropy());
        let batch = HeadBatch::new(
            HeadInput::new(&features, &weights, dim, classes),
            Targets::Hard(&[0, 1, 2, 3, 4, 0, 1]),
        );
        let output = reference::head(&spec, &batch, Upstream::One).unwrap();
        // The gradient by normalised weights: G^T X^ scale, by the definition.
        let part = dim / head.parts;
        let normal = |row: &[f64], norm: RowNorm| -> Vec<f64> {
            let parts = row.chunks(part).flat_map(|part| {
                let length = part.iter().map(|x| x * x).sum::<f64>().sqrt();
                let divisor = (length.max(norm.eps) + norm.offset).powf(norm.power);
                part.iter().map(|x| x / divisor).collect::<Vec<f64>>()
            });
            parts.collect()
        };
        let mut gradient = vec![0.0; classes * dim];
        for (row, slopes) in features.chunks(dim).zip(output.loss.gradient.chunks(classes)) {
            let row = normal(row, head.features);
            for (class, slope) in slopes.iter().enumerate() {
                for (column, x) in row.iter().enumerate() {
                    gradient[class * dim + column] += slope * head.scale * x;
                }
            }
        }
        let mut request = RowNormsRequest::new(classes, dim, head.weights);
        request.factors.parts = head.parts;
        let mut case = Rows::new(request, 1);
        let narrow = |values: &[f64]| values.iter().map(|value| f64::from(*value as f32)).collect();
        case.x = Matrix::new(MatrixSpec::default(), classes, dim, narrow(&weights));
        case.gradient = narrow(&gradient);
        let found = case.check(kernels, &ThroughNormRequest::in_place(request));
        for (found, expected) in found.iter().zip(&output.weight_gradient) {
            assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{found} is not {expected}");
        }
    }
    report(3);
}

#[test]
fn empty_rows() {
    let kernels = context().kernels();
    for (rows, columns) in [(0, 4), (4, 0), (0, 0)] {
        let request = RowNormsRequest::new(rows, columns, RowNorm::unit());
        Rows::new(request, 1).check(kernels, &ThroughNormRequest::in_place(request));
    }
    report(3);
}

#[test]
fn what_is_refused() {
    let kernels = context().kernels();
    let request = RowNormsRequest::new(4, 6, RowNorm::unit());
    let mut adding = ThroughNormRequest::in_place(request);
    adding.accumulate = true;
    assert!(matches!(kernels.through_norm(&adding), Err(Error::Combination { .. })));
    for parts in [0, 4] {
        let mut request = request;
        request.factors.parts = parts;
        let found = kernels.row_norms(&request);
        assert!(matches!(found, Err(Error::Parameter { name: "a row's parts", .. })), "{found:?}");
    }
    let mut short = request;
    short.x.stride = 5;
    let found = kernels.row_norms(&short);
    assert!(matches!(found, Err(Error::Length { expected: 6, found: 5, .. })), "{found:?}");
    let mut norm = request;
    norm.norm.power = -1.0;
    assert!(matches!(kernels.row_norms(&norm), Err(Error::Parameter { name: "the rows' power", .. })));
    report(1);
}
