//! The plan of a product.

use std::sync::Arc;

use super::key::MatmulKey;
use super::request::{MatmulRequest, RowFactors, bytes_of_numbers};
use super::step::Step;
use super::tile::{choose, choose_cooperative};
use crate::gpu::kernels::Kernels;
use crate::gpu::uniforms::Uniforms;
use crate::gpu::view::View;
use crate::{Error, Result};

impl Kernels {
    /// Checks, compiles and allocates a product: 120 bytes on the device, whatever its size. On software adapters, which
    /// end loops early, k is at most 131,072.
    ///
    /// # Errors
    /// [`Error::Parameter`], [`Error::Length`], [`Error::Alignment`] (an f16 or bf16 C whose rows begin inside of a word),
    /// [`Error::Combination`], [`Error::Limit`], [`Error::MissingFeature`], [`Error::Shader`], [`Error::OutOfMemory`],
    /// [`Error::Device`].
    pub fn matmul(&self, request: &MatmulRequest) -> Result<Matmul> {
        let uniforms = Uniforms::new(self)?;
        let product = Matmul::new(&uniforms, request)?;
        uniforms.upload()?;
        Ok(product)
    }
}

impl Matmul {
    /// A product whose parameters are among `uniforms`.
    pub(in crate::gpu) fn new(uniforms: &Arc<Uniforms>, request: &MatmulRequest) -> Result<Self> {
        let kernels = uniforms.kernels();
        let dimension = super::request::dimension;
        let (m, n) = (dimension("the rows of C", request.m)?, dimension("the columns of C", request.n)?);
        let subgroup = subgroup_size(kernels);
        let usable = subgroup.filter(|_| kernels.device.features().contains(wgpu::Features::SUBGROUP));
        let tile = request.tile.unwrap_or_else(|| {
            let cooperative = choose_cooperative(kernels.adapter, kernels.cooperative, usable, request);
            cooperative.unwrap_or_else(|| choose(kernels.adapter, usable, m, n))
        });
        tile.check(request, kernels.adapter, subgroup)?;
        let native = kernels.device.features().contains(wgpu::Features::SHADER_F16);
        let (key, mut params) = request.resolve(tile, native)?;
        // All loops of a kernel together have at most 65,535 iterations on software adapters, which end them there.
        if kernels.adapter.software && request.k > 131_072 {
            return Err(Error::Limit {
                what: "the sum's length".into(),
                needed: request.k as u64,
                allowed: 131_072,
                cure: "add up several products",
            });
        }
        params.tiles_m = m.div_ceil(tile.group_m());
        let groups = u64::from(params.tiles_m) * u64::from(n.div_ceil(tile.group_n()));
        Ok(Self { step: Step::new(uniforms, key, params, groups)?, request: *request })
    }
}

/// The device's one size of subgroups, where it has one.
pub(in crate::gpu) fn subgroup_size(kernels: &Kernels) -> Option<u32> {
    let info = kernels.device.adapter_info();
    let (least, most) = (info.subgroup_min_size, info.subgroup_max_size);
    Some(least).filter(|size| *size == most && *size > 0)
}

/// A product, ready to be recorded any number of times.
#[derive(Debug)]
pub struct Matmul {
    step: Step,
    request: MatmulRequest,
}

/// The buffers of a product. Each view holds at least what the request's shape and place need.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MatmulViews<'a> {
    /// A.
    pub a: View<'a>,
    /// B.
    pub b: View<'a>,
    /// C, which is written, and read where the product is added to it.
    pub c: View<'a>,
    /// The factors of A's rows, f32.
    pub a_factors: Option<View<'a>>,
    /// The factors of B's rows, f32.
    pub b_factors: Option<View<'a>>,
    /// What is added to the rows of C, f32.
    pub row_offsets: Option<View<'a>>,
    /// What is added to the columns of C, f32.
    pub column_offsets: Option<View<'a>>,
    /// The sums of what stands before the rows of C, f32, which are written.
    pub row_sums: Option<View<'a>>,
}

impl<'a> MatmulViews<'a> {
    /// The three matrices, nothing else.
    pub fn new(a: View<'a>, b: View<'a>, c: View<'a>) -> Self {
        Self {
            a,
            b,
            c,
            a_factors: None,
            b_factors: None,
            row_offsets: None,
            column_offsets: None,
            row_sums: None,
        }
    }

    /// Adds the factors of A's rows.
    #[must_use]
    pub fn with_a_factors(mut self, factors: View<'a>) -> Self {
        self.a_factors = Some(factors);
        self
    }

    /// Adds the factors of B's rows.
    #[must_use]
    pub fn with_b_factors(mut self, factors: View<'a>) -> Self {
        self.b_factors = Some(factors);
        self
    }
}

impl Matmul {
    /// Records the product. Nothing is submitted.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Alignment`], [`Error::Overlap`], [`Error::BufferUsage`], [`Error::Missing`],
    /// [`Error::Unexpected`] for views; [`Error::Device`], [`Error::DeviceLost`].
    pub fn encode(&self, pass: &mut wgpu::ComputePass<'_>, views: &MatmulViews<'_>) -> Result<()> {
        let Self { step, request } = self;
        let [a, b, c] = request.shapes();
        let matrices = [
            ("A", views.a, request.a.bytes(a)),
            ("B", views.b, request.b.bytes(b)),
            ("C", views.c, request.c.bytes(c)),
        ];
        for (what, view, bytes) in matrices {
            step.check(what, view, bytes)?;
        }
        step.check_apart(("C", views.c), ("A", views.a), request.shared)?;
        step.check_apart(("C", views.c), ("B", views.b), request.shared)?;
        let factors = |factors: Option<RowFactors>, rows| factors.map(|factors| factors.bytes(rows));
        let numbers = |origin: Option<usize>, count| origin.map(|origin| bytes_of_numbers(origin, count));
        let read = [
            ("the factors of A", views.a_factors, factors(request.a_factors, a.0)),
            ("the factors of B", views.b_factors, factors(request.b_factors, b.0)),
            ("what is added to the rows", views.row_offsets, numbers(request.row_offsets, c.0)),
            ("what is added to the columns", views.column_offsets, numbers(request.column_offsets, c.1)),
            ("the sums of A", views.row_sums, numbers(request.row_sums, c.0)),
        ];
        for (what, view, wanted) in read {
            match (view, wanted) {
                (Some(view), Some(bytes)) => {
                    step.check(what, view, bytes)?;
                    step.check_apart(("C", views.c), (what, view), false)?;
                    if request.shared {
                        // A and B are bound for writing, too.
                        step.check_apart(("A", views.a), (what, view), false)?;
                        step.check_apart(("B", views.b), (what, view), false)?;
                    }
                }
                (None, Some(_)) => return Err(Error::Missing { what, needed_by: "the product" }),
                (Some(_), None) => return Err(Error::Unexpected { what, planned: "without it" }),
                (None, None) => {}
            }
        }
        if let Some(sums) = views.row_sums {
            let others = read.iter().take(4).filter_map(|(what, view, _)| Some((*what, (*view)?)));
            for (what, view) in [("A", views.a), ("B", views.b)].into_iter().chain(others) {
                step.check_apart(("the sums of A", sums), (what, view), false)?;
            }
        }
        step.record(pass, |name| match name {
            "a" => Some(views.a).filter(|_| request.k > 0),
            "b" => Some(views.b).filter(|_| request.k > 0),
            "c" => Some(views.c),
            "a_scales" => views.a_factors.filter(|_| request.k > 0),
            "b_scales" => views.b_factors.filter(|_| request.k > 0),
            "row_offsets" => views.row_offsets,
            "column_offsets" => views.column_offsets,
            "row_sums" => views.row_sums,
            _ => None,
        })
    }

    /// Sets what multiplies the product and whether it is added to C, for passes submitted from now on.
    ///
    /// # Errors
    /// [`Error::Parameter`] for alpha, [`Error::Device`].
    pub fn update(&mut self, alpha: f32, accumulate: bool) -> Result<()> {
        let request = MatmulRequest { alpha, accumulate, ..self.request };
        let (_, params) = request.resolve(self.step.key.tile, true)?;
        self.request = request;
        self.step.update(|own| (own.alpha, own.accumulate) = (params.alpha, params.accumulate));
        self.step.upload()
    }

    /// Sets what multiplies the product, from the next upload of its parameters on.
    pub(in crate::gpu) fn set_alpha(&mut self, alpha: f32) {
        self.request.alpha = alpha;
        self.step.update(|params| params.alpha = alpha);
    }

    /// The kernel's key, tile included.
    pub fn key(&self) -> MatmulKey {
        self.step.key
    }

    /// Workgroups in each dimension.
    pub fn grid(&self) -> (u32, u32) {
        self.step.grid
    }
}
