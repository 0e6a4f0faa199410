//! Norms of rows, and gradients through their normalisation.

use std::sync::Arc;

use super::key::{MatmulKernel, MatmulKey};
use super::params::MatmulParams;
use super::request::{Layout, MatrixSpec, RowFactors, dimension};
use super::step::Step;
use super::tile::Tile;
use super::words::Words;
use crate::gpu::choice::AdapterClass;
use crate::gpu::kernels::Kernels;
use crate::gpu::uniforms::Uniforms;
use crate::gpu::view::View;
use crate::head::RowNorm;
use crate::{Element, Error, Result};

/// Norms of the rows of a matrix `x` `[rows, columns]`, each row cut into equal parts with norms of their own.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RowNormsRequest {
    /// Rows. 0 is legal.
    pub rows: usize,
    /// Columns. 0 is legal: norms of 0.
    pub columns: usize,
    /// Where the matrix is. Default f32, contiguous.
    pub x: MatrixSpec,
    /// Where sums and factors go, in bindings of the same layout. Default one for each row, from the start.
    pub factors: RowFactors,
    /// What the factors are to make of the rows.
    pub norm: RowNorm,
}

impl RowNormsRequest {
    /// Of `[rows, columns]`, f32 and contiguous, in one part.
    pub fn new(rows: usize, columns: usize, norm: RowNorm) -> Self {
        Self { rows, columns, x: MatrixSpec::default(), factors: RowFactors::default(), norm }
    }

    fn resolve(&self) -> Result<(Words, MatmulParams)> {
        self.norm.check(["the rows' power", "the rows' eps", "the rows' offset"])?;
        let shape = (self.rows, self.columns);
        let x = self.x.place("the rows", shape)?;
        let factors = self.factors.place("the rows' factors", shape)?;
        let columns = dimension("the columns", self.columns)?;
        // A part that does not begin on a four is read element by element.
        let by_part = MatrixSpec { stride: self.columns / self.factors.parts.max(1), ..self.x };
        let words = match by_part.stride.is_multiple_of(4) {
            true => self.x.words(shape),
            false => by_part.words((0, by_part.stride)),
        };
        let params = MatmulParams {
            m: dimension("the rows", self.rows)?,
            n: columns,
            k: columns,
            a_stride: x.stride,
            a_origin: x.origin,
            a_scale_origin: factors.origin,
            a_part: factors.part,
            a_parts: factors.parts,
            b_part: 1,
            b_parts: 1,
            alpha: 1.0,
            power: narrow(self.norm.power),
            eps: narrow(self.norm.eps),
            offset: narrow(self.norm.offset),
            ..MatmulParams::default()
        };
        Ok((words, params))
    }

    fn groups(&self) -> u64 {
        (self.rows as u64).saturating_mul(self.factors.parts as u64)
    }
}

/// The gradient through the normalisation of the rows of `x`.
///
/// ```text
/// dx = (g - power x (x . g) / (|x| (|x| + offset))) / (max(|x|, eps) + offset)^power
/// ```
/// part by part, without the second term where `|x|` is below `eps` or 0; see [`RowNorm`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ThroughNormRequest {
    /// The rows and their normalisation, as for [`Kernels::row_norms`], whose sums are read.
    pub rows: RowNormsRequest,
    /// Where the gradient by normalised rows is; `None`: where the result goes, which overwrites it.
    pub gradient: Option<MatrixSpec>,
    /// Where the result goes. Default f32, contiguous.
    pub result: MatrixSpec,
    /// Whether the result is added to what is there; not in place. Default no.
    pub accumulate: bool,
    /// Whether the rows or the gradient share a buffer with the result, apart from it. Default no.
    pub shared: bool,
}

impl ThroughNormRequest {
    /// In place of an f32, contiguous gradient.
    pub fn in_place(rows: RowNormsRequest) -> Self {
        let result = MatrixSpec::default();
        Self { rows, gradient: None, result, accumulate: false, shared: false }
    }

    /// From a gradient to a result apart from it.
    pub fn apart(rows: RowNormsRequest, gradient: MatrixSpec, result: MatrixSpec) -> Self {
        Self { gradient: Some(gradient), result, ..Self::in_place(rows) }
    }
}

fn narrow(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "the kernels compute in f32; the range is checked")]
    let value = value as f32;
    value
}

/// Threads for a part of a row: on the processor as wide as its vectors, on GPUs four elements each.
fn threads(adapter: AdapterClass, part: u32) -> u32 {
    let preferred = match adapter.software {
        true => 8,
        false => part.div_ceil(4).next_power_of_two().clamp(32, 256),
    };
    let most = adapter.max_workgroup.min(adapter.max_workgroup_bytes / 4).max(1);
    // The largest power of two that fits.
    preferred.min(1 << most.ilog2())
}

/// Whether each thread goes through rows of its own: on a processor, for rows that a loop of one thread can take.
pub(in crate::gpu) fn rows_own(adapter: AdapterClass, columns: usize) -> bool {
    adapter.software && columns <= 16_384
}

fn row_key(kernel: MatmulKernel, a: Words, parts: usize, workgroup: u32) -> MatmulKey {
    MatmulKey {
        kernel,
        layout: Layout::Nt,
        a,
        b: Words::F32,
        c: Words::F32,
        a_factors: false,
        b_factors: false,
        a_parts: parts > 1,
        b_parts: false,
        row_offsets: false,
        column_offsets: false,
        row_sums: false,
        shared: false,
        tile: Tile::direct(4, 1, workgroup),
    }
}

impl Kernels {
    /// Checks, compiles and allocates the norms of rows.
    ///
    /// # Errors
    /// As [`matmul`](Self::matmul).
    pub fn row_norms(&self, request: &RowNormsRequest) -> Result<RowNorms> {
        let uniforms = Uniforms::new(self)?;
        let norms = RowNorms::new(&uniforms, request)?;
        uniforms.upload()?;
        Ok(norms)
    }

    /// Checks, compiles and allocates a gradient through the normalisation of rows.
    ///
    /// # Errors
    /// As [`matmul`](Self::matmul); [`Error::Combination`] for adding in place.
    pub fn through_norm(&self, request: &ThroughNormRequest) -> Result<ThroughNorm> {
        let (a, mut params) = request.rows.resolve()?;
        let shape = (request.rows.rows, request.rows.columns);
        let part = request.rows.columns / request.rows.factors.parts;
        let in_place = request.gradient.is_none();
        if in_place && request.accumulate {
            return Err(Error::Combination {
                first: "a gradient in place",
                second: "adding to what is there",
                cure: "give the result a buffer of its own",
            });
        }
        let result = request.result.place("the result", shape)?;
        (params.c_stride, params.c_origin) = (result.stride, result.origin);
        let native = self.device.features().contains(wgpu::Features::SHADER_F16);
        let by_part = |spec: &MatrixSpec, words: Words| match part.is_multiple_of(4) {
            true => words,
            false => MatrixSpec { stride: 1, ..*spec }.words((0, 1)),
        };
        let mut c = by_part(&request.result, request.result.written("the result", shape, native)?);
        if request.result.elem != Element::F32 && !part.is_multiple_of(2) && request.rows.factors.parts > 1 {
            // Two parts meet in a word.
            c = match (request.result.elem, native) {
                (Element::F16, true) => Words::F16Native,
                _ => {
                    return Err(Error::Alignment {
                        what: "the result",
                        offset: 2 * part as u64,
                        required: 4,
                    });
                }
            };
        }
        let mut key = row_key(
            MatmulKernel::ThroughNorm { in_place },
            a,
            request.rows.factors.parts,
            threads(self.adapter, params.a_part),
        );
        (key.c, key.shared) = (c, request.shared);
        if let Some(gradient) = &request.gradient {
            let place = gradient.place("the gradient", shape)?;
            (params.b_stride, params.b_origin) = (place.stride, place.origin);
            key.b = by_part(gradient, gradient.words(shape));
        }
        params.accumulate = u32::from(request.accumulate);
        let groups = if request.rows.columns == 0 { 0 } else { request.rows.groups() };
        let uniforms = Uniforms::new(self)?;
        let step = Step::new(&uniforms, key, params, groups)?;
        uniforms.upload()?;
        Ok(ThroughNorm { step, request: *request })
    }
}

/// Norms of rows, ready to be recorded.
#[derive(Debug)]
pub struct RowNorms {
    step: Step,
    request: RowNormsRequest,
}

impl RowNorms {
    /// Norms whose parameters are among `uniforms`.
    pub(in crate::gpu) fn new(uniforms: &Arc<Uniforms>, request: &RowNormsRequest) -> Result<Self> {
        let (words, params) = request.resolve()?;
        let workgroup = threads(uniforms.kernels().adapter, params.a_part);
        let mut key = row_key(MatmulKernel::Norms, words, request.factors.parts, workgroup);
        let mut groups = request.groups();
        if rows_own(uniforms.kernels().adapter, request.columns) {
            key.tile = Tile::direct(4, workgroup, 1);
            groups = groups.div_ceil(u64::from(workgroup));
        }
        Ok(Self { step: Step::new(uniforms, key, params, groups)?, request: *request })
    }

    /// Records the pass: `x` is read; `sums` gets the sums of squares and `factors` what normalises the rows, both f32 at
    /// `origin + row parts + part`. The two go to buffers of their own.
    ///
    /// # Errors
    /// As [`Matmul::encode`](super::Matmul::encode).
    pub fn encode(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        x: View<'_>,
        sums: View<'_>,
        factors: View<'_>,
    ) -> Result<()> {
        let Self { step, request } = self;
        step.check("the rows", x, request.x.bytes((request.rows, request.columns)))?;
        let written = [("the sums of squares", sums), ("the rows' factors", factors)];
        for (what, view) in written {
            step.check(what, view, request.factors.bytes(request.rows))?;
            step.check_apart((what, view), ("the rows", x), false)?;
        }
        step.check_apart(("the sums of squares", sums), ("the rows' factors", factors), true)?;
        step.record(pass, |name| match name {
            "a" => Some(x).filter(|_| request.columns > 0),
            "sums" => Some(sums),
            "factors" => Some(factors),
            _ => None,
        })
    }

    /// The kernel's key.
    pub fn key(&self) -> MatmulKey {
        self.step.key
    }
}

/// A gradient through the normalisation of rows, ready to be recorded.
#[derive(Debug)]
pub struct ThroughNorm {
    step: Step,
    request: ThroughNormRequest,
}

impl ThroughNorm {
    /// Records the pass. `gradient` is `None` in place; `sums` are what [`RowNorms`] has written, in a buffer of their
    /// own.
    ///
    /// # Errors
    /// As [`Matmul::encode`](super::Matmul::encode).
    pub fn encode(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        x: View<'_>,
        sums: View<'_>,
        gradient: Option<View<'_>>,
        result: View<'_>,
    ) -> Result<()> {
        let Self { step, request } = self;
        let shape = (request.rows.rows, request.rows.columns);
        step.check("the rows", x, request.rows.x.bytes(shape))?;
        step.check("the result", result, request.result.bytes(shape))?;
        step.check("the sums of squares", sums, request.rows.factors.bytes(request.rows.rows))?;
        step.check_apart(("the result", result), ("the rows", x), request.shared)?;
        step.check_apart(("the result", result), ("the sums of squares", sums), false)?;
        if request.shared {
            // Rows and gradient are bound for writing, too.
            for (what, view) in [("the rows", Some(x)), ("the gradient", gradient)] {
                let Some(view) = view else { continue };
                step.check_apart((what, view), ("the sums of squares", sums), false)?;
            }
        }
        match (gradient, &request.gradient) {
            (Some(view), Some(spec)) => {
                step.check("the gradient", view, spec.bytes(shape))?;
                step.check_apart(("the result", result), ("the gradient", view), request.shared)?;
            }
            (None, Some(_)) => {
                return Err(Error::Missing {
                    what: "the gradient",
                    needed_by: "a pass that is not in place",
                });
            }
            (Some(_), None) => {
                return Err(Error::Unexpected { what: "a gradient view", planned: "in place" });
            }
            (None, None) => {}
        }
        step.record(pass, |name| match name {
            "a" => Some(x),
            "b" => gradient,
            "c" => Some(result),
            "sums" => Some(sums),
            _ => None,
        })
    }

    /// The kernel's key.
    pub fn key(&self) -> MatmulKey {
        self.step.key
    }
}
