//! A head's part of a loss that computes its logits as it needs them: what its kernels are told and bind.

use std::sync::Arc;

use super::fold_key::FoldKey;
use super::key::{HeadKernel, HeadKey};
use super::params::HeadParams;
use super::plan::{HeadPlan, count, state, threads};
use super::range::{ClassRange, most_classes};
use super::request::{HeadRequest, Needs, terms};
use super::step::Step;
use super::views::HeadViews;
use super::window::Window;
use crate::gpu::kernels::Kernels;
use crate::gpu::matmul::{MatrixSpec, Tile, subgroup_size};
use crate::gpu::plan::{Computed, Operands, Plan, Window as LossWindow};
use crate::gpu::shader::{Driver, InnerTerms, KernelKey, Look};
use crate::gpu::uniforms::{Block, Uniforms};
use crate::gpu::view::View;
use crate::head::{ClassScale, Head};
use crate::{Error, Result, TargetKind};

/// Where the factors begin among a class's numbers, in fields of `shaders/head/class_fields.wgsl`.
const CLASS_FACTORS: usize = 3;

/// Bytes of a chunk's centred features, at most.
const MOVED_BYTES: u64 = 64 << 20;

/// What the kernels are told, in the order of the struct in `shaders/head/fold_params.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[expect(missing_docs, reason = "the fields are documented in the shader")]
pub struct FoldParams {
    pub m: u32,
    pub n: u32,
    pub k: u32,
    pub a_stride: u32,
    pub b_stride: u32,
    pub a_origin: u32,
    pub b_origin: u32,
    pub a_scale_origin: u32,
    pub b_scale_origin: u32,
    pub a_part: u32,
    pub b_part: u32,
    pub a_parts: u32,
    pub b_parts: u32,
    pub first_row: u32,
    pub row_factors: u32,
    pub scale: f32,
    pub margin: f32,
    pub margin_cos: f32,
    pub margin_sin: f32,
    pub margin_limit: f32,
    pub margin_drop: f32,
    pub sine_floor: f32,
}

impl FoldParams {
    fn with_head(mut self, head: &Head) -> Self {
        let numbers = HeadParams::default().with_head(head);
        self.scale = numbers.scale;
        (self.margin, self.margin_cos, self.margin_sin) =
            (numbers.margin, numbers.margin_cos, numbers.margin_sin);
        (self.margin_limit, self.margin_drop) = (numbers.margin_limit, numbers.margin_drop);
        self.sine_floor = numbers.sine_floor;
        self
    }
}

/// Rows of a chunk: what is kept of the rows is bound as a whole, and so are a chunk's features where they are centred.
///
/// # Errors
/// [`Error::Limit`] where a row of features does not fit a binding.
pub(super) fn chunk(kernels: &Kernels, head: &Head, request: &HeadRequest) -> Result<usize> {
    let HeadRequest { rows, dim, features, .. } = *request;
    let stride = if features.stride == 0 { dim } else { features.stride } as u64;
    // What a binding may have before its first row, and what rounding adds.
    let allowed = kernels.max_binding().saturating_sub(1024);
    let given = stride.saturating_mul(features.elem.bytes()).max(1);
    let mut most = allowed / given;
    if head.centred {
        most = most.min(allowed.min(MOVED_BYTES) / (4 * dim as u64).max(1));
    }
    match usize::try_from(most).unwrap_or(usize::MAX) {
        0 => Err(Error::Limit {
            what: "a row of features (bytes in one binding)".into(),
            needed: given.max(4 * dim as u64) + 1024,
            allowed: kernels.max_binding(),
            cure: "request the device with a higher max_storage_buffer_binding_size",
        }),
        // Whole tiles.
        most if most > 64 && most < rows => Ok(most / 64 * 64),
        most => Ok(most.min(rows.max(1))),
    }
}

/// How the loss's kernels compute the logits of a head.
///
/// # Errors
/// Those of [`Head::check`]; [`Error::Limit`] for a dimension beyond 131,072 on software adapters, which end loops early.
pub(super) fn computed(kernels: &Kernels, head: &Head, request: &HeadRequest) -> Result<Computed> {
    let request = request.for_head(head)?;
    if kernels.adapter.software && request.dim > 131_072 {
        return Err(Error::Limit {
            what: "the feature dimension".into(),
            needed: request.dim as u64,
            allowed: 131_072,
            cure: "use a device that does not end loops early",
        });
    }
    let needs = Needs::new(head, &request);
    let of_matrix = |spec: MatrixSpec, rows: usize| spec.words((rows, request.dim));
    let features = if head.centred { MatrixSpec::default() } else { request.features };
    let distance = terms(head, &needs, &request).distance;
    // The richest of the loss's kernels.
    let all = InnerTerms { compensation: true, floor: true, dense: true, ..InnerTerms::default() };
    let key = |tile: Tile| FoldKey {
        loss: KernelKey {
            lanes: 4,
            terms: all,
            look: Look::Raw,
            argmax: true,
            ..KernelKey::new(Driver::Partial, TargetKind::Hard, tile.workgroup())
        },
        terms: terms(head, &needs, &request).of_logits(),
        a: of_matrix(features, request.rows),
        b: of_matrix(request.weights, request.classes),
        factors: [head.features.power != 0.0 || distance, head.weights.power != 0.0 || distance],
        parts: head.parts > 1,
        tile,
    };
    let subgroup =
        subgroup_size(kernels).filter(|_| kernels.device.features().contains(wgpu::Features::SUBGROUP));
    let fits = |key: &FoldKey| {
        (key.tile.subgroup == 0 || subgroup == Some(key.tile.subgroup))
            && key.workgroup_bytes() <= kernels.adapter.max_workgroup_bytes
            && key.workgroup() <= kernels.adapter.max_workgroup
    };
    let tiles = FoldKey::tiles(kernels.adapter.software);
    let smallest = tiles.last().copied();
    let key = tiles.into_iter().map(key).find(fits).or(smallest.map(key)).ok_or(Error::Unexpected {
        what: "a device without a tile",
        planned: "for one that has workgroups",
    })?;
    let most_classes = most_classes(kernels, head, &request)? as u64;
    Ok(Computed { key, dim: request.dim, most_classes })
}

/// One window of the loss.
#[derive(Debug)]
struct Rows {
    features: Window,
    params: FoldParams,
    block: Block,
}

/// What a plan keeps for the kernels.
#[derive(Debug)]
pub(super) struct Fold {
    rows: Vec<Rows>,
    /// For each range of classes what they bring, where they bring something, and what puts it together.
    classes: Vec<Option<(wgpu::Buffer, Step)>>,
    uniforms: Arc<Uniforms>,
}

impl Fold {
    pub(super) fn new(kernels: &Kernels, head: &HeadPlan, loss: &Plan) -> Result<Self> {
        let HeadPlan { head: spec, request, needs, places, ranges, chunks, .. } = head;
        let (dim, parts) = (request.dim, spec.parts);
        let uniforms = Uniforms::new(kernels)?;
        let mut terms = terms(spec, needs, request);
        terms.normalised = spec.weights.power != 0.0;
        let of_range = |range: &ClassRange| {
            if !(terms.bias || terms.normalised || terms.distance || spec.class_scale != ClassScale::None) {
                return Ok(None);
            }
            let len = range.classes.len();
            let key = HeadKey::new(HeadKernel::ClassNumbers, terms, threads(kernels, 4 * len));
            let key = HeadKey { shared: request.shared, ..key };
            let groups = len.div_ceil(key.workgroup as usize) as u64;
            let step = Step::new(&uniforms, key, range.params, groups)?;
            let numbers =
                state(kernels, "what classes bring to their logits", (CLASS_FACTORS + parts) * len)?;
            Ok(numbers.map(|numbers| (numbers, step)))
        };
        let classes = ranges.iter().map(of_range).collect::<Result<_>>()?;
        let of_window = |window: &LossWindow| {
            let missing =
                Error::Unexpected { what: "a window without its chunk", planned: "for all of them" };
            let (Some(chunk), Some(range)) = (chunks.get(window.block), ranges.get(window.class_range))
            else {
                return Err(missing);
            };
            let first = usize::try_from(window.first_row).unwrap_or(usize::MAX);
            let rows = window.rows as usize;
            // Centred features are those of the chunk alone.
            let (matrix, start) = match spec.centred {
                true => (MatrixSpec::default(), first.saturating_sub(chunk.rows.start)),
                false => (request.features, first),
            };
            let features = Window::new(kernels, "the features", &matrix, start..start + rows, dim)?;
            let a = features.spec.place("the features", (rows, dim))?;
            let b = range.weights.spec.place("the weights", (range.classes.len(), dim))?;
            let params = FoldParams {
                m: window.rows,
                n: window.width(),
                k: count(dim),
                a_stride: a.stride,
                b_stride: b.stride,
                a_origin: a.origin,
                b_origin: b.origin,
                a_scale_origin: count(places.factors + first * parts),
                b_scale_origin: count(CLASS_FACTORS * range.classes.len()),
                a_part: count(dim / parts),
                b_part: count(dim / parts),
                a_parts: count(parts),
                b_parts: count(parts),
                first_row: count(first),
                row_factors: count(places.factors),
                ..FoldParams::default()
            }
            .with_head(spec);
            let block = uniforms.add(bytemuck::bytes_of(&params));
            Ok(Rows { features, params, block })
        };
        let rows = loss.core.cut.windows.iter().map(of_window).collect::<Result<_>>()?;
        uniforms.upload()?;
        Ok(Self { rows, classes, uniforms })
    }

    /// Bytes on the device.
    pub(super) fn bytes(&self) -> u64 {
        self.uniforms.bytes() + self.classes.iter().flatten().map(|(buffer, _)| buffer.size()).sum::<u64>()
    }

    /// The keys of what puts classes' numbers together.
    pub(super) fn keys(&self) -> impl Iterator<Item = HeadKey> {
        self.classes.iter().flatten().map(|(_, step)| step.key())
    }

    /// Sets scale and margin, for passes submitted from now on.
    pub(super) fn update(&mut self, head: &Head) -> Result<()> {
        for rows in &mut self.rows {
            rows.params = rows.params.with_head(head);
            rows.block.set(bytemuck::bytes_of(&rows.params));
        }
        for (_, step) in self.classes.iter_mut().flatten() {
            step.update(|params| params.with_head(head));
        }
        self.uniforms.upload()
    }

    /// Records what holds for all rows: the classes' numbers, once their norms are there.
    pub(super) fn begin(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        head: &HeadPlan,
        views: &HeadViews<'_>,
    ) -> Result<()> {
        for (range, numbers) in head.ranges.iter().zip(&self.classes) {
            if let Some((numbers, step)) = numbers {
                step.record(pass, |name| match name {
                    "class_numbers" => Some(View::whole(numbers)),
                    name => head.of_classes(range, name, views, None),
                })?;
            }
        }
        Ok(())
    }
}

/// What a pass binds.
#[derive(Debug)]
pub(super) struct FoldOperands<'a> {
    fold: &'a Fold,
    head: &'a HeadPlan,
    features: View<'a>,
    weights: View<'a>,
}

impl<'a> FoldOperands<'a> {
    pub(super) fn new(fold: &'a Fold, head: &'a HeadPlan, views: &HeadViews<'a>) -> Self {
        let features = head.moved.as_ref().map_or(views.features, View::whole);
        Self { fold, head, features, weights: views.weights }
    }
}

impl Operands for FoldOperands<'_> {
    fn resource(&self, name: &str, index: usize, window: &LossWindow) -> Option<wgpu::BufferBinding<'_>> {
        let rows = self.fold.rows.get(index)?;
        match name {
            "params" => rows.block.view()?.binding(),
            "a" => rows.features.of(self.features).binding(),
            "b" => self.head.ranges.get(window.class_range)?.weights.of(self.weights).binding(),
            "a_scales" => View::whole(self.head.row_state.as_ref()?).binding(),
            "b_scales" => {
                let (numbers, _) = self.fold.classes.get(window.class_range)?.as_ref()?;
                View::whole(numbers).binding()
            }
            _ => None,
        }
    }
}
