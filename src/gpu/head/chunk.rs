//! The steps of one chunk of rows.

use std::ops::Range;

use super::key::{HeadKernel, HeadKey};
use super::params::HeadParams;
use super::plan::{PRODUCT_BYTES, Parts, backward_alpha, count, forward_alpha, lanes, set_alpha};
use super::step::{STEP_BYTES, Step};
use crate::Result;
use crate::gpu::matmul::{Layout, Matmul, MatmulRequest, MatrixSpec, RowFactors, RowNorms, RowNormsRequest};
use crate::head::{ClassScale, Head};

/// What is recorded for one chunk.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) rows: Range<usize>,
    pub(super) moved: Option<Step>,
    pub(super) norms: Option<RowNorms>,
    pub(super) product: Matmul,
    pub(super) logits: Option<Step>,
    pub(super) columns: Option<Step>,
    pub(super) to_weights: Option<Matmul>,
    pub(super) to_features: Option<Matmul>,
    pub(super) close_features: Option<Step>,
}

impl Chunk {
    pub(super) fn new(parts: &Parts<'_>, range: Range<usize>) -> Result<Self> {
        let Parts { kernels, head, request, needs, params, .. } = *parts;
        let (classes, dim) = (request.classes, request.dim);
        let rows = range.len();
        let params = HeadParams { m: count(rows), first_row: count(range.start), ..params };
        let stride = if request.features.stride == 0 { dim } else { request.features.stride };
        let given = MatrixSpec {
            origin: request.features.origin.saturating_add(range.start.saturating_mul(stride)),
            ..request.features
        };
        // What the steps read as features.
        let features = if head.centred { MatrixSpec::default() } else { given };
        let gradient = MatrixSpec { origin: range.start.saturating_mul(dim), ..MatrixSpec::default() };

        let moved = head.centred.then(|| {
            let mut key = parts.key(HeadKernel::MovedRows, parts.threads(4 * dim));
            key.a = parts.words(&given, false);
            let place = given.place("the features", (rows, dim))?;
            let whole = HeadParams { a_part: count(dim), a_parts: 1, ..params };
            let params = HeadParams { a_stride: place.stride, a_origin: place.origin, ..whole };
            parts.step(key, params, rows)
        });
        let row_parts = RowFactors { parts: head.parts, origin: range.start.saturating_mul(head.parts) };
        let norms = needs.feature_norms.then(|| {
            let mut norms = RowNormsRequest::new(rows, dim, head.features);
            (norms.x, norms.factors) = (features, row_parts);
            kernels.row_norms(&norms)
        });
        let row_factors = parts.factors(head.features, row_parts.origin);

        let base = |layout, m, n, k| {
            let request = MatmulRequest::new(layout, m, n, k);
            if parts.request.shared { request.with_shared() } else { request }
        };
        let mut product = base(Layout::Nt, rows, classes, dim).with_alpha(forward_alpha(head, needs.logits));
        (product.a, product.b) = (features, request.weights);
        (product.a_factors, product.b_factors) = (row_factors, parts.factors(head.weights, 0));
        let logits = needs.logits.then(|| {
            let key = parts.key(HeadKernel::Logits, parts.threads(classes));
            let params = HeadParams { n: count(classes), ..params };
            let spans = classes.div_ceil(16 * key.workgroup as usize);
            parts.step(key, params, rows.saturating_mul(spans))
        });

        let first = range.start == 0;
        let columns = needs.columns.then(|| {
            let workgroup = parts.threads(usize::MAX);
            let lanes = lanes(kernels, workgroup, classes);
            let key = HeadKey { lanes, ..parts.key(HeadKernel::Columns, workgroup) };
            let params = HeadParams { accumulate: u32::from(!first), ..params };
            parts.step(key, params, classes.div_ceil((workgroup / lanes) as usize))
        });
        let to_weights = request.weight_gradient.then(|| {
            let mut product = base(Layout::Tn, classes, dim, rows);
            (product.b, product.b_factors, product.accumulate) = (features, row_factors, !first);
            kernels.matmul(&product)
        });
        let to_features = request.feature_gradient.then(|| {
            let mut product = base(Layout::Nn, rows, dim, classes).with_alpha(backward_alpha(head));
            (product.b, product.c) = (request.weights, gradient);
            product.b_factors = match head.class_scale {
                ClassScale::None => parts.factors(head.weights, 0),
                _ => Some(RowFactors { parts: head.parts, origin: 0 }),
            };
            kernels.matmul(&product)
        });
        let close_features = needs.close_features.then(|| {
            let mut key = parts.key(HeadKernel::CloseFeatures, parts.threads(dim / head.parts));
            key.a = parts.words(&features, true);
            key.c = parts.words(&gradient, true);
            let place = features.place("the features", (rows, dim))?;
            let params = HeadParams {
                n: count(dim),
                a_stride: place.stride,
                a_origin: place.origin,
                c_origin: gradient.place("the features' gradient", (rows, dim))?.origin,
                ..params.with_norm(head.features)
            };
            parts.step(key, params, rows)
        });
        Ok(Self {
            moved: moved.transpose()?,
            norms: norms.transpose()?,
            product: kernels.matmul(&product)?,
            logits: logits.transpose()?,
            columns: columns.transpose()?,
            to_weights: to_weights.transpose()?,
            to_features: to_features.transpose()?,
            close_features: close_features.transpose()?,
            rows: range,
        })
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        [&self.moved, &self.logits, &self.columns, &self.close_features].into_iter().flatten()
    }

    pub(super) fn steps_mut(&mut self) -> impl Iterator<Item = &mut Step> {
        [&mut self.moved, &mut self.logits, &mut self.columns, &mut self.close_features].into_iter().flatten()
    }

    /// Bytes of the steps' parameters.
    pub(super) fn bytes(&self) -> u64 {
        let products = 1
            + u64::from(self.norms.is_some())
            + u64::from(self.to_weights.is_some())
            + u64::from(self.to_features.is_some());
        STEP_BYTES * self.steps().count() as u64 + PRODUCT_BYTES * products
    }

    /// Sets the products' scales.
    pub(super) fn update(&mut self, head: &Head, has_logits: bool) -> Result<()> {
        set_alpha(&mut self.product, forward_alpha(head, has_logits))?;
        if let Some(product) = &mut self.to_features {
            set_alpha(product, backward_alpha(head))?;
        }
        Ok(())
    }
}
