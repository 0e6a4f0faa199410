//! The steps of one chunk of rows with one range of classes.

use super::key::{HeadKernel, HeadKey};
use super::params::HeadParams;
use super::plan::{Parts, backward_alpha, count, forward_alpha, lanes, weights_alpha};
use super::range::ClassRange;
use super::request::Needs;
use super::step::Step;
use super::window::Window;
use crate::Result;
use crate::gpu::matmul::{Layout, Matmul, MatmulRequest, MatrixSpec, RowFactors};
use crate::head::Head;

/// What a tile takes from its chunk.
pub(super) struct Rows {
    /// The first one's number, and how many there are.
    pub(super) first: usize,
    pub(super) count: usize,
    /// What the products read as features.
    pub(super) features: MatrixSpec,
    pub(super) factors: Option<RowFactors>,
    /// Where the features' gradient goes.
    pub(super) gradient: MatrixSpec,
}

/// What is recorded for a chunk's logits of a range.
#[derive(Debug)]
pub(super) struct Tile {
    pub(super) scratch: Window,
    pub(super) product: Matmul,
    /// Over all logits, or the labels' alone.
    pub(super) logits: Option<Step>,
    /// The same on the way back.
    pub(super) columns: Option<Step>,
    pub(super) row_sums: Option<Step>,
    pub(super) to_weights: Option<Matmul>,
    pub(super) to_features: Option<Matmul>,
}

impl Tile {
    pub(super) fn new(parts: &Parts<'_>, rows: &Rows, range: &ClassRange) -> Result<Self> {
        let Parts { kernels, head, request, needs, uniforms, .. } = *parts;
        let (classes, dim) = (range.classes.len(), request.dim);
        let whole =
            MatrixSpec { stride: request.classes, origin: range.classes.start, ..MatrixSpec::default() };
        // It begins at its binding's first element, since ranges begin at multiples of 64.
        let scratch = Window::new(kernels, "the scratch buffer", &whole, 0..rows.count, classes)?;
        let params = HeadParams {
            m: count(rows.count),
            first_row: count(rows.first),
            logits_stride: count(request.classes),
            ..range.params
        };
        let (first_rows, first_classes) = (rows.first == 0, range.classes.start == 0);

        let base = |layout, m, n, k| {
            let base = MatmulRequest::new(layout, m, n, k);
            if request.shared { base.with_shared() } else { base }
        };
        let mut product = base(Layout::Nt, rows.count, classes, dim).with_alpha(forward_alpha(head, &needs));
        (product.a, product.b, product.c) = (rows.features, range.weights.spec, scratch.spec);
        (product.a_factors, product.b_factors) = (rows.factors, parts.factors(head.weights, 0));
        if !needs.logits {
            product.b_factors = parts.scaled_factors();
            product.row_offsets = needs.row_offsets.then_some(rows.first);
            product.column_offsets = needs.class_offsets.then_some(0);
        }
        let over_labels = |kernel| {
            let threads = parts.threads(4 * rows.count);
            parts.step(parts.key(kernel, threads), params, rows.count.div_ceil(threads as usize))
        };
        let label_logits = needs.label_logits.then(|| over_labels(HeadKernel::LabelLogits));
        let label_slopes = needs.label_slopes.then(|| over_labels(HeadKernel::LabelSlopes));
        let logits = needs.logits.then(|| {
            let key = parts.key(HeadKernel::Logits, parts.threads(classes));
            let spans = classes.div_ceil(16 * key.workgroup as usize);
            parts.step(key, params, rows.count.saturating_mul(spans))
        });
        let columns = needs.columns.then(|| {
            let workgroup = parts.threads(usize::MAX);
            let lanes = lanes(kernels, workgroup, classes);
            let key = HeadKey { lanes, ..parts.key(HeadKernel::Columns, workgroup) };
            let params = HeadParams { accumulate: u32::from(!first_rows), ..params };
            parts.step(key, params, classes.div_ceil((workgroup / lanes) as usize))
        });
        let row_sums = needs.weighted_row_sums.then(|| {
            let key = parts.key(HeadKernel::RowSums, parts.threads(classes));
            let params = HeadParams { accumulate: u32::from(!first_classes), ..params };
            parts.step(key, params, rows.count)
        });
        let to_weights = request.weight_gradient.then(|| {
            let mut product = base(Layout::Tn, classes, dim, rows.count);
            (product.a, product.b, product.c) = (scratch.spec, rows.features, range.gradient.spec);
            (product.b_factors, product.accumulate) = (rows.factors, !first_rows);
            product.alpha = weights_alpha(head, &needs);
            product.row_sums = needs.column_sums.then_some(0);
            Matmul::new(uniforms, &product)
        });
        let to_features = request.feature_gradient.then(|| {
            let mut product = base(Layout::Nn, rows.count, dim, classes).with_alpha(backward_alpha(head));
            (product.a, product.b, product.c) = (scratch.spec, range.weights.spec, rows.gradient);
            product.accumulate = !first_classes;
            product.b_factors = parts.scaled_factors();
            product.row_sums = (needs.row_sums && !needs.weighted_row_sums).then_some(rows.first);
            Matmul::new(uniforms, &product)
        });
        Ok(Self {
            scratch,
            product: Matmul::new(uniforms, &product)?,
            logits: logits.or(label_logits).transpose()?,
            columns: columns.or(label_slopes).transpose()?,
            row_sums: row_sums.transpose()?,
            to_weights: to_weights.transpose()?,
            to_features: to_features.transpose()?,
        })
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        [&self.logits, &self.columns, &self.row_sums].into_iter().flatten()
    }

    pub(super) fn steps_mut(&mut self) -> impl Iterator<Item = &mut Step> {
        [&mut self.logits, &mut self.columns, &mut self.row_sums].into_iter().flatten()
    }

    /// Sets the products' scales.
    pub(super) fn update(&mut self, head: &Head, needs: &Needs) {
        self.product.set_alpha(forward_alpha(head, needs));
        if let Some(product) = &mut self.to_weights {
            product.set_alpha(weights_alpha(head, needs));
        }
        if let Some(product) = &mut self.to_features {
            product.set_alpha(backward_alpha(head));
        }
    }
}
