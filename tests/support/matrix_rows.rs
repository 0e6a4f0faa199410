//! Rows, their norms and gradients through them, run on the adapter and in f64.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::gpu::{Arena, GUARD, floats};
use crate::inputs::Draws;
use crate::matrix::{Matrix, U, rounding};
use longtail::gpu::Kernels;
use longtail::gpu::matmul::{RowNormsRequest, ThroughNormRequest};
use longtail::head::RowNorm;

/// Every normalisation of the heads, and one with all numbers set.
pub fn norms() -> Vec<RowNorm> {
    vec![
        RowNorm::unit(),
        RowNorm::none(),
        RowNorm::offset(1.0),
        RowNorm::offset(1.0 / 32.0),
        RowNorm::power(0.7),
        RowNorm::power(2.0),
        RowNorm { power: 1.0, eps: 2.0, offset: 0.0 },
        RowNorm { power: 1.5, eps: 0.5, offset: 0.25 },
    ]
}

/// Rows and the gradient by them once they are normalised.
pub struct Rows {
    pub request: RowNormsRequest,
    pub x: Matrix,
    /// `[rows, columns]`; rounded to the type it is given in.
    pub gradient: Vec<f64>,
}

/// What one part of a row gives.
struct Part {
    sum: f64,
    factor: f64,
    /// The result and what bounds its error but for the relative one.
    result: Vec<(f64, f64)>,
}

impl Rows {
    pub fn new(request: RowNormsRequest, seed: u32) -> Self {
        let mut draws = Draws::new(seed ^ 0xa5a5);
        let x = Matrix::random(request.x, request.rows, request.columns, &mut draws);
        let gradient = Matrix::random(Default::default(), request.rows, request.columns, &mut draws).values;
        Self { request, x, gradient }
    }

    /// By the definition; numbers of the norm as the kernels have them.
    fn part(&self, x: &[f64], g: &[f64]) -> Part {
        let single = |value: f64| f64::from(value as f32);
        let (power, eps, offset) = (
            single(self.request.norm.power),
            single(self.request.norm.eps),
            single(self.request.norm.offset),
        );
        let sum: f64 = x.iter().map(|x| x * x).sum();
        let norm = sum.sqrt();
        let divisor = norm.max(eps) + offset;
        let factor = divisor.powf(-power);
        let along = if norm >= eps && norm > 0.0 { power / (norm * divisor) } else { 0.0 };
        let product: f64 = x.iter().zip(g).map(|(x, g)| x * g).sum();
        let size: f64 = x.iter().zip(g).map(|(x, g)| (x * g).abs()).sum();
        // Each sum has an error of n U of its size; root, divisions and products a few more; pow by exp2 and log2
        // loses what the logarithm's size is in units of the last place, hence 64 where the power is not 1.
        let n = x.len() as f64;
        let few = if power == 0.0 || power == 1.0 { 12.0 } else { 64.0 };
        let result = x.iter().zip(g).map(|(x, g)| {
            let second = along * product * x;
            let error = (n + few) * U * (g.abs() + second.abs() + along * size * x.abs());
            (factor * (g - second), factor * error)
        });
        Part { sum, factor, result: result.collect() }
    }

    fn relative(&self) -> f64 {
        let columns = self.request.columns as f64 / self.request.factors.parts as f64;
        let few = if [0.0, 1.0].contains(&self.request.norm.power) { 12.0 } else { 64.0 };
        (columns + few) * U
    }

    /// Runs norms and the gradient through them with guards around everything, and compares. Gives the result.
    #[track_caller]
    pub fn check(&self, kernels: &Kernels, through: &ThroughNormRequest) -> Vec<f64> {
        let RowNormsRequest { rows, columns, factors, .. } = self.request;
        let norms =
            kernels.row_norms(&self.request).unwrap_or_else(|error| panic!("{:?}: {error}", self.request));
        let pass = kernels.through_norm(through).unwrap_or_else(|error| panic!("{through:?}: {error}"));
        let rounded = |spec: longtail::gpu::matmul::MatrixSpec, values: &[f64]| {
            let values = values.iter().map(|value| crate::matrix::rounded(spec.elem, *value));
            Matrix::new(spec, rows, columns, values.collect())
        };
        let (gradient, result) = match through.gradient {
            Some(spec) => {
                let result = Matrix::random(through.result, rows, columns, &mut Draws::new(77));
                (rounded(spec, &self.gradient), result)
            }
            None => (rounded(through.result, &self.gradient), rounded(through.result, &self.gradient)),
        };
        let mut arena = Arena::new(through.shared);
        let x = arena.add(&self.x.words());
        let gradient_range = arena.add(&gradient.words());
        let result_range = arena.add(&result.words());
        arena.upload(kernels);
        let mut small = Arena::new(false);
        let count = if rows == 0 { 0 } else { factors.origin + rows * factors.parts };
        let sums = small.add(&vec![GUARD; count]);
        let row_factors = small.add(&vec![GUARD; count]);
        small.upload(kernels);
        // Norms read x from a buffer of their own.
        let mut own = Arena::new(false);
        let own_x = own.add(&self.x.words());
        own.upload(kernels);
        let mut encoder = kernels.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut recorded = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            norms.encode(&mut recorded, own.view(own_x), small.view(sums), small.view(row_factors)).unwrap();
            let view = through.gradient.map(|_| arena.view(gradient_range));
            pass.encode(&mut recorded, arena.view(x), small.view(sums), view, arena.view(result_range))
                .unwrap();
        }
        kernels.queue().submit([encoder.finish()]);
        let back = small.read(kernels, &[sums, row_factors]);
        let (sums, row_factors) = (floats(&back[sums]), floats(&back[row_factors]));
        let found = result.read(&arena.read(kernels, &[result_range])[result_range]);

        let width = (columns / factors.parts).max(1);
        let relative = self.relative();
        let mut position = 0;
        for (row, (x, g)) in
            self.x.values.chunks(columns.max(1)).zip(gradient.values.chunks(columns.max(1))).enumerate()
        {
            for (part, (x, g)) in x.chunks(width).zip(g.chunks(width)).enumerate() {
                let want = self.part(x, g);
                let at = factors.origin + row * factors.parts + part;
                near(sums[at], want.sum, relative * want.sum + 1e-37, "sum");
                near(row_factors[at], want.factor, relative * want.factor, "factor");
                for (value, error) in want.result {
                    let before = if through.accumulate { result.values[position] } else { 0.0 };
                    let total = value + before;
                    let allowed = 1.01 * (error + U * total.abs());
                    let allowed = allowed + rounding(through.result.elem, total.abs() + allowed) + 1e-37;
                    let found = found[position];
                    assert!(
                        (found - total).abs() <= allowed,
                        "row {row} part {part}: {found:e} is not {total:e} within {allowed:e}: {through:?}"
                    );
                    position += 1;
                }
            }
        }
        assert_eq!(position, found.len());
        if columns == 0 {
            assert!(sums.iter().skip(factors.origin).all(|sum| *sum == 0.0));
        }
        found
    }
}

#[track_caller]
fn near(found: f32, expected: f64, allowed: f64, what: &str) {
    let error = (f64::from(found) - expected).abs();
    assert!(error <= 1.01 * allowed, "{what}: {found:e} is not {expected:e} within {allowed:e}");
}
