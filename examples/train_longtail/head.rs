//! The classifier heads: matrix products on the host, so that only the loss is the crate's, and gradient descent.

use ndarray::{Array2, Axis, Zip, s};

use crate::data::Draws;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `z = x W^T`; the features hold a constant, which gives each class its bias.
    Linear,
    /// `z_j = cos(x, w_j)`: what LDAM expects, whose scale of 30 is in the loss.
    Cosine,
}

/// One weight vector per class, trained by gradient descent with momentum.
pub struct Head {
    kind: Kind,
    /// `[K, D]`.
    weight: Array2<f32>,
    velocity: Array2<f32>,
}

impl Head {
    pub fn new(kind: Kind, classes: usize, features: usize, seed: u64) -> Self {
        let mut draws = Draws::new(seed, 2);
        let spread = match kind {
            Kind::Linear => 0.0,
            Kind::Cosine => (features as f32).sqrt().recip(),
        };
        let weight = Array2::from_shape_simple_fn((classes, features), || spread * draws.normal());
        let velocity = Array2::zeros(weight.raw_dim());
        Self { kind, weight, velocity }
    }

    /// Logits `[N, K]` of features `[N, D]`.
    pub fn logits(&self, features: &Array2<f32>) -> Array2<f32> {
        match self.kind {
            Kind::Linear => product(features, &self.weight.t().to_owned()),
            Kind::Cosine => product(&unit(features), &unit(&self.weight).t().to_owned()),
        }
    }

    /// One step down the gradient of the logits, `[N, K]`.
    pub fn step(&mut self, features: &Array2<f32>, gradient: &Array2<f32>, rate: f32, momentum: f32) {
        let transposed = gradient.t();
        let weight_gradient = match self.kind {
            Kind::Linear => product(&transposed.to_owned(), features),
            Kind::Cosine => {
                // The part along the weight only changes its length, which the cosine does not see.
                let along = unit(&self.weight);
                let mut slope = product(&transposed.to_owned(), &unit(features));
                let lengths = self.weight.map_axis(Axis(1), |row| row.dot(&row).sqrt().max(1e-12));
                Zip::from(slope.rows_mut()).and(along.rows()).and(&lengths).for_each(
                    |mut slope, along, &length| {
                        let radial = slope.dot(&along);
                        slope.zip_mut_with(&along, |slope, &along| {
                            *slope = (*slope - radial * along) / length;
                        });
                    },
                );
                slope
            }
        };
        self.descend(&weight_gradient, rate, momentum);
    }

    /// `[K, D]`.
    pub fn weight(&self) -> &Array2<f32> {
        &self.weight
    }

    /// One step down the gradient of the weights.
    pub fn descend(&mut self, gradient: &Array2<f32>, rate: f32, momentum: f32) {
        Zip::from(&mut self.weight).and(&mut self.velocity).and(gradient).for_each(
            |weight, velocity, &gradient| {
                *velocity = momentum * *velocity + gradient;
                *weight -= rate * *velocity;
            },
        );
    }
}

/// Rows divided by their lengths.
fn unit(rows: &Array2<f32>) -> Array2<f32> {
    let mut rows = rows.clone();
    for mut row in rows.rows_mut() {
        let length = row.dot(&row).sqrt().max(1e-12);
        row /= length;
    }
    rows
}

/// `a b`, the rows of `a` shared between the processors.
fn product(a: &Array2<f32>, b: &Array2<f32>) -> Array2<f32> {
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let rows = a.nrows().div_ceil(threads).max(1);
    let mut out = Array2::zeros((a.nrows(), b.ncols()));
    std::thread::scope(|scope| {
        for (index, mut part) in out.axis_chunks_iter_mut(Axis(0), rows).enumerate() {
            let start = index * rows;
            let end = start + part.nrows();
            scope.spawn(move || {
                ndarray::linalg::general_mat_mul(1.0, &a.slice(s![start..end, ..]), b, 0.0, &mut part);
            });
        }
    });
    out
}
