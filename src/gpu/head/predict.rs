//! Predictions on the device: the largest logits of each row, tile by tile of classes.

use std::ops::Range;
use std::sync::Arc;

use super::key::{HeadKernel, HeadKey, HeadTerms};
use super::params::{HeadParams, narrow};
use super::plan::{count, state, threads};
use super::predict_request::{PredictRequest, most_classes};
use super::step::Step;
use super::views::{Used, check, optional};
use super::window::Window;
use crate::Result;
use crate::gpu::kernels::Kernels;
use crate::gpu::matmul::{
    Layout, Matmul, MatmulRequest, MatmulViews, MatrixSpec, RowFactors, RowNorms, RowNormsRequest, dimension,
};
use crate::gpu::uniforms::Uniforms;
use crate::gpu::view::View;
use crate::head::{ClassScale, Head, RowNorm, Similarity};

/// The buffers of a prediction. Each view holds at least what the request needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PredictViews<'a> {
    /// Features `[N, D]`.
    pub features: View<'a>,
    /// Weights `[K, D]`.
    pub weights: View<'a>,
    /// Biases `[K]`, f32, for heads that have them.
    pub bias: Option<View<'a>>,
    /// Learned scales `[K]`, f32, for heads that have them.
    pub class_scale: Option<View<'a>>,
    /// The centre `[D]`, f32, for heads that centre.
    pub centre: Option<View<'a>>,
    /// What is subtracted from the logits `[K]`, f32, where it is asked for.
    pub adjustment: Option<View<'a>>,
    /// The direction `[D]`, f32, whose effect is taken out, where it is asked for.
    pub direction: Option<View<'a>>,
    /// [`scratch_bytes`](HeadPredict::scratch_bytes), overwritten.
    pub scratch: View<'a>,
    /// Gets the classes `[N, top]`, u32, in descending order of their logits, the lower class first on ties.
    pub top_classes: View<'a>,
    /// Gets their logits `[N, top]`, f32.
    pub top_logits: View<'a>,
}

/// Some rows with all classes, tile by tile.
#[derive(Debug)]
struct Rows {
    count: usize,
    features: Window,
    moved: Option<Step>,
    norms: Option<RowNorms>,
    tiles: Vec<(Matmul, Step)>,
}

/// Some classes, which every row meets together.
#[derive(Debug)]
struct Classes {
    range: Range<usize>,
    weights: Window,
    norms: Option<RowNorms>,
}

/// Predictions, ready to be recorded any number of times.
///
/// Every logit is computed as in training, but without the label's margin; NaN is never among the largest. A row with
/// fewer than `top` logits that are numbers ends with the class `u32::MAX` and the logit 0.
#[derive(Debug)]
pub struct HeadPredict {
    kernels: Kernels,
    head: Head,
    request: PredictRequest,
    row_state: Option<wgpu::Buffer>,
    class_state: Option<wgpu::Buffer>,
    moved: Option<wgpu::Buffer>,
    /// Where the factors begin in each.
    places: (usize, usize),
    uniforms: Arc<Uniforms>,
    classes: Vec<Classes>,
    rows: Vec<Rows>,
}

impl Kernels {
    /// Checks, compiles and allocates predictions with a head. Costs 2 N K D operations, and `top` readings of each logit
    /// from the scratch buffer.
    ///
    /// # Errors
    /// Those of [`Head::check`] and of [`matmul`](Self::matmul); [`Error::Parameter`], and [`Error::Limit`] for more than 64
    /// classes per row.
    ///
    /// [`Error::Limit`]: crate::Error::Limit
    /// [`Error::Parameter`]: crate::Error::Parameter
    pub fn head_predict(&self, head: &Head, request: &PredictRequest) -> Result<HeadPredict> {
        request.check(head)?;
        let mut request = *request;
        request.row_chunk = request.row_chunk.min(request.rows.max(1));
        request.class_chunk = most_classes(self, &request)?;
        let PredictRequest { rows, classes, dim, .. } = request;
        dimension("the rows", rows)?;
        dimension("the feature dimension", dim)?;
        let stride = if request.features.stride == 0 { dim } else { request.features.stride };
        let distance = head.similarity == Similarity::NegativeSquaredDistance;
        let has_effect = request.effect.is_some();
        // Features without an effect are normalised already.
        let norm = if has_effect { RowNorm::none() } else { head.features };
        let feature_norms = norm.power != 0.0 || distance;
        let weight_norms = head.weights.power != 0.0 || distance;
        let region = |wanted: bool, rows: usize| match wanted {
            true => rows.saturating_mul(head.parts).next_multiple_of(64),
            false => 0,
        };
        let places = (region(feature_norms, request.row_chunk), region(weight_norms, classes));
        let moves = has_effect || head.centred;
        let moved_count = if moves { request.row_chunk.saturating_mul(dim) } else { 0 };
        let params = HeadParams {
            k: count(dim),
            a_stride: count(stride),
            a_parts: count(head.parts),
            classes: count(classes),
            row_factors: count(places.0),
            class_factors: count(places.1),
            top: count(request.top),
            effect: narrow(request.effect.unwrap_or_default()),
            ..HeadParams::default()
        }
        .with_head(head)
        .with_norm(head.features);
        let terms = HeadTerms {
            bias: head.bias,
            class_scale: head.class_scale,
            distance,
            centred: head.centred,
            effect: has_effect,
            adjustment: request.adjustment,
            ..HeadTerms::default()
        };
        let key = |kernel, elements| HeadKey {
            shared: request.shared,
            ..HeadKey::new(kernel, terms, threads(self, elements))
        };
        let uniforms = Uniforms::new(self)?;
        let columns = (0..classes).step_by(request.class_chunk).map(|first| {
            let range = first..(first + request.class_chunk).min(classes);
            let weights = Window::new(self, "the weights", &request.weights, range.clone(), dim)?;
            let norms = weight_norms.then(|| {
                let mut norms = RowNormsRequest::new(range.len(), dim, head.weights);
                norms.factors = RowFactors { parts: head.parts, origin: first * head.parts };
                norms.x = weights.spec;
                RowNorms::new(&uniforms, &norms)
            });
            Ok(Classes { range, weights, norms: norms.transpose()? })
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let starts = (0..rows).step_by(request.row_chunk).filter(|_| request.top > 0);
        let blocks = starts.map(|start| {
            let height = request.row_chunk.min(rows - start);
            let params = HeadParams { m: count(height), first_row: count(start), ..params };
            let window = Window::new(self, "the features", &request.features, start..start + height, dim)?;
            let given = window.spec;
            let features = if moves { MatrixSpec::default() } else { given };
            let moved = moves.then(|| {
                // Without an effect the parts do not matter.
                let parts = if has_effect { head.parts } else { 1 };
                let mut key = key(HeadKernel::MovedRows, 4 * dim / parts);
                key.a = MatrixSpec { stride: 1, ..given }.words((0, 1));
                let params = HeadParams {
                    a_origin: given.place("the features", (height, dim))?.origin,
                    a_part: count(dim / parts),
                    a_parts: count(parts),
                    ..params
                };
                Step::new(&uniforms, key, params, (height * parts) as u64)
            });
            let norms = feature_norms.then(|| {
                let mut request = RowNormsRequest::new(height, dim, norm);
                (request.x, request.factors.parts) = (features, head.parts);
                RowNorms::new(&uniforms, &request)
            });
            let tiles = columns.iter().map(|classes| {
                let (first, width) = (classes.range.start, classes.range.len());
                let mut product = MatmulRequest::new(Layout::Nt, height, width, dim);
                product.shared = request.shared;
                (product.a, product.b) = (features, classes.weights.spec);
                let factors = |norm: RowNorm, first: usize| {
                    let origin = first * head.parts;
                    (norm.power != 0.0).then_some(RowFactors { parts: head.parts, origin })
                };
                (product.a_factors, product.b_factors) = (factors(norm, 0), factors(head.weights, first));
                let params = HeadParams {
                    n: count(width),
                    first_class: count(first),
                    accumulate: u32::from(first > 0),
                    ..params
                };
                let top = Step::new(&uniforms, key(HeadKernel::Top, width), params, height as u64)?;
                Ok((Matmul::new(&uniforms, &product)?, top))
            });
            Ok(Rows {
                count: height,
                features: window,
                moved: moved.transpose()?,
                norms: norms.transpose()?,
                tiles: tiles.collect::<Result<_>>()?,
            })
        });
        let rows = blocks.collect::<Result<_>>()?;
        uniforms.upload()?;
        Ok(HeadPredict {
            kernels: self.clone(),
            head: head.clone(),
            request,
            row_state: state(self, "what a head keeps of the rows", places.0.saturating_mul(2))?,
            class_state: state(self, "what a head keeps of the classes", places.1.saturating_mul(2))?,
            moved: state(self, "a chunk's features", moved_count)?,
            places,
            uniforms,
            classes: columns,
            rows,
        })
    }
}

impl HeadPredict {
    /// Bytes of the scratch buffer: f32 logits `[row_chunk, class_chunk]`.
    pub fn scratch_bytes(&self) -> u64 {
        4 * self.request.row_chunk as u64 * self.request.class_chunk as u64
    }

    /// Bytes that the plan has on the device, without the kernels.
    pub fn bytes(&self) -> u64 {
        let states = [&self.row_state, &self.class_state, &self.moved];
        states.into_iter().flatten().map(wgpu::Buffer::size).sum::<u64>() + self.uniforms.bytes()
    }

    /// The keys of this crate's own kernels in the plan; products and norms come on top.
    pub fn keys(&self) -> Vec<HeadKey> {
        let steps = self.rows.iter().flat_map(|rows| {
            rows.moved.iter().chain(rows.tiles.iter().map(|(_, step)| step)).collect::<Vec<_>>()
        });
        steps.map(Step::key).collect()
    }

    /// Records the predictions. Nothing is submitted.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Alignment`], [`Error::Overlap`], [`Error::BufferUsage`], [`Error::Missing`],
    /// [`Error::Unexpected`], [`Error::Limit`] for views; [`Error::Device`], [`Error::DeviceLost`].
    ///
    /// [`Error::Alignment`]: crate::Error::Alignment
    /// [`Error::BufferUsage`]: crate::Error::BufferUsage
    /// [`Error::Device`]: crate::Error::Device
    /// [`Error::DeviceLost`]: crate::Error::DeviceLost
    /// [`Error::Length`]: crate::Error::Length
    /// [`Error::Limit`]: crate::Error::Limit
    /// [`Error::Missing`]: crate::Error::Missing
    /// [`Error::Overlap`]: crate::Error::Overlap
    /// [`Error::Unexpected`]: crate::Error::Unexpected
    pub fn encode(&self, pass: &mut wgpu::ComputePass<'_>, views: &PredictViews<'_>) -> Result<()> {
        let used = self.used(views)?;
        check(&self.kernels, self.request.shared, &used)?;
        let (class_sums, class_factors) = halves(self.class_state.as_ref(), self.places.1);
        let (row_sums, row_factors) = halves(self.row_state.as_ref(), self.places.0);
        for classes in &self.classes {
            if let (Some(norms), Some(sums), Some(factors)) = (&classes.norms, class_sums, class_factors) {
                norms.encode(pass, classes.weights.of(views.weights), sums, factors)?;
            }
        }
        let norm_of_features = self.request.effect.is_none() && self.head.features.power != 0.0;
        for rows in self.rows.iter().filter(|rows| rows.count > 0) {
            let mut features = rows.features.of(views.features);
            if let (Some(step), Some(moved)) = (&rows.moved, &self.moved) {
                step.record(pass, |name| match name {
                    "a" => Some(features),
                    "moved" => Some(View::whole(moved)),
                    name => self.view(name, views),
                })?;
                features = View::whole(moved);
            }
            if let (Some(norms), Some(sums), Some(factors)) = (&rows.norms, row_sums, row_factors) {
                norms.encode(pass, features, sums, factors)?;
            }
            for ((product, top), classes) in rows.tiles.iter().zip(&self.classes) {
                let weights = classes.weights.of(views.weights);
                let mut product_views = MatmulViews::new(features, weights, views.scratch);
                product_views.a_factors = row_factors.filter(|_| norm_of_features);
                product_views.b_factors = class_factors.filter(|_| self.head.weights.power != 0.0);
                product.encode(pass, &product_views)?;
                top.record(pass, |name| self.view(name, views))?;
            }
        }
        Ok(())
    }

    fn view<'a>(&'a self, name: &str, views: &PredictViews<'a>) -> Option<View<'a>> {
        match name {
            "logits" => Some(views.scratch),
            "bias" => views.bias,
            "class_scale" => views.class_scale,
            "centre" => views.centre,
            "adjustment" => views.adjustment,
            "direction" => views.direction,
            "row_state" => self.row_state.as_ref().map(View::whole),
            "class_state" => self.class_state.as_ref().map(View::whole),
            "top_logits" => Some(views.top_logits),
            "top_classes" => Some(views.top_classes),
            _ => None,
        }
    }

    fn used<'a>(&self, views: &PredictViews<'a>) -> Result<Vec<Used<'a>>> {
        let (head, request) = (&self.head, &self.request);
        let PredictRequest { rows, classes, dim, top, .. } = *request;
        let named = 4 * rows as u64 * top as u64;
        let scratch = if named == 0 { 0 } else { self.scratch_bytes() };
        let mut all = vec![
            Used::in_parts("the features", views.features, request.features.bytes((rows, dim)), false),
            Used::in_parts("the weights", views.weights, request.weights.bytes((classes, dim)), false),
            Used::whole("the scratch buffer", views.scratch, scratch, true),
            Used::whole("the classes found", views.top_classes, named, true),
            Used::whole("the logits found", views.top_logits, named, true),
        ];
        let scaled = head.class_scale != ClassScale::None;
        let words = |count: usize| 4 * count as u64;
        optional(&mut all, "biases", views.bias, head.bias, words(classes), false)?;
        optional(&mut all, "class scales", views.class_scale, scaled, words(classes), false)?;
        optional(&mut all, "the centre", views.centre, head.centred, words(dim), false)?;
        optional(&mut all, "the adjustment", views.adjustment, request.adjustment, words(classes), false)?;
        let effect = request.effect.is_some();
        optional(&mut all, "the effect's direction", views.direction, effect, words(dim), false)?;
        Ok(all)
    }
}

/// The two halves of a buffer: sums and factors.
fn halves(buffer: Option<&wgpu::Buffer>, place: usize) -> (Option<View<'_>>, Option<View<'_>>) {
    let half = 4 * place as u64;
    buffer.map(|buffer| (View::new(buffer, 0, half), View::new(buffer, half, half))).unzip()
}
