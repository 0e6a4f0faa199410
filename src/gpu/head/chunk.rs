//! The steps of one chunk of rows.

use std::ops::Range;

use super::key::HeadKernel;
use super::params::HeadParams;
use super::plan::{Parts, count};
use super::range::ClassRange;
use super::step::Step;
use super::tile::{Rows, Tile};
use super::window::Window;
use crate::Result;
use crate::gpu::matmul::{MatrixSpec, RowFactors, RowNorms, RowNormsRequest};

/// What is recorded for one chunk.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) rows: Range<usize>,
    pub(super) features: Window,
    pub(super) gradient: Window,
    pub(super) moved: Option<Step>,
    pub(super) norms: Option<RowNorms>,
    pub(super) offsets: Option<Step>,
    /// One for each range of classes, in order.
    pub(super) tiles: Vec<Tile>,
    pub(super) close_features: Option<Step>,
}

impl Chunk {
    pub(super) fn new(parts: &Parts<'_>, ranges: &[ClassRange], range: Range<usize>) -> Result<Self> {
        let Parts { kernels, head, request, needs, params, .. } = *parts;
        let dim = request.dim;
        let rows = range.len();
        let params = HeadParams { m: count(rows), first_row: count(range.start), ..params };
        let given = Window::new(kernels, "the features", &request.features, range.clone(), dim)?;
        // What the steps read as features.
        let features = if head.centred { MatrixSpec::default() } else { given.spec };
        let contiguous = MatrixSpec::default();
        let gradient = Window::new(kernels, "the features' gradient", &contiguous, range.clone(), dim);
        let gradient = if request.feature_gradient { gradient? } else { given };

        let moved = head.centred.then(|| {
            let mut key = parts.key(HeadKernel::MovedRows, parts.threads(4 * dim));
            key.a = parts.words(&given.spec, false);
            let place = given.spec.place("the features", (rows, dim))?;
            let whole = HeadParams { a_part: count(dim), a_parts: 1, ..params };
            let params = HeadParams { a_stride: place.stride, a_origin: place.origin, ..whole };
            parts.step(key, params, rows)
        });
        let row_parts = RowFactors { parts: head.parts, origin: range.start.saturating_mul(head.parts) };
        let norms = needs.feature_norms.then(|| {
            let mut norms = RowNormsRequest::new(rows, dim, head.features);
            (norms.x, norms.factors) = (features, row_parts);
            RowNorms::new(parts.uniforms, &norms)
        });
        let offsets = needs.row_offsets.then(|| {
            let threads = parts.threads(4 * rows);
            let key = parts.key(HeadKernel::RowOffsets, threads);
            parts.step(key, params, rows.div_ceil(threads as usize))
        });
        let close_features = needs.close_features.then(|| {
            let mut key = parts.key(HeadKernel::CloseFeatures, parts.threads(dim / head.parts));
            key.a = parts.words(&features, true);
            key.c = parts.words(&gradient.spec, true);
            let place = features.place("the features", (rows, dim))?;
            let params = HeadParams {
                n: count(dim),
                a_stride: place.stride,
                a_origin: place.origin,
                c_origin: count(gradient.spec.origin),
                ..params.with_norm(head.features)
            };
            parts.close(key, params, rows)
        });
        let tile_rows = Rows {
            first: range.start,
            count: rows,
            features,
            factors: parts.factors(head.features, row_parts.origin),
            gradient: gradient.spec,
        };
        Ok(Self {
            features: given,
            gradient,
            moved: moved.transpose()?,
            norms: norms.transpose()?,
            offsets: offsets.transpose()?,
            tiles: match request.logits {
                true => {
                    ranges.iter().map(|range| Tile::new(parts, &tile_rows, range)).collect::<Result<_>>()?
                }
                false => Vec::new(),
            },
            close_features: close_features.transpose()?,
            rows: range,
        })
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        let own = [&self.moved, &self.offsets, &self.close_features].into_iter().flatten();
        own.chain(self.tiles.iter().flat_map(Tile::steps))
    }

    pub(super) fn steps_mut(&mut self) -> impl Iterator<Item = &mut Step> {
        let own = [&mut self.moved, &mut self.offsets, &mut self.close_features].into_iter().flatten();
        own.chain(self.tiles.iter_mut().flat_map(Tile::steps_mut))
    }
}
