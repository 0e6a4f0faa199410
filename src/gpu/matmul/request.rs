//! What is asked of a product: shapes, elements, places, and their checks.

use super::key::{MatmulKernel, MatmulKey};
use super::params::MatmulParams;
use super::tile::{Manner, Tile};
use super::words::Words;
use crate::{Element, Error, Result};

/// Which rows are multiplied with which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Layout {
    /// `A[m, k] B[n, k]^T`: rows with rows. The default.
    #[default]
    Nt,
    /// `A[m, k] B[k, n]`.
    Nn,
    /// `A[k, m]^T B[k, n]`: columns with columns.
    Tn,
}

/// A row-major matrix in its binding: element `(row, column)` is at `origin + row stride + column`, counted in
/// elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MatrixSpec {
    /// The type of its elements.
    pub elem: Element,
    /// Elements between the starts of two rows; 0 is the number of columns.
    pub stride: usize,
    /// The element of the binding with which it begins.
    pub origin: usize,
}

/// A factor for every row, or for each of the equal parts of every row: f32, at `origin + row parts + part`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowFactors {
    /// Factors in each row; a divisor of the matrix's columns.
    pub parts: usize,
    /// The element of the binding with which they begin.
    pub origin: usize,
}

impl Default for RowFactors {
    /// One for each row, from the start of the binding.
    fn default() -> Self {
        Self { parts: 1, origin: 0 }
    }
}

/// A product: made by [`new`](Self::new), changed by `with_` methods or directly.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct MatmulRequest {
    /// Which rows are multiplied with which.
    pub layout: Layout,
    /// Rows of C. 0 is legal.
    pub m: usize,
    /// Columns of C. 0 is legal.
    pub n: usize,
    /// What the sums run over. 0 is legal: C becomes 0, or stays.
    pub k: usize,
    /// Where A is. Default f32, contiguous.
    pub a: MatrixSpec,
    /// Where B is. Default f32, contiguous.
    pub b: MatrixSpec,
    /// Where C is. Default f32, contiguous.
    pub c: MatrixSpec,
    /// Multiplies the product. Finite. Default 1.
    pub alpha: f32,
    /// Whether the product is added to C. Default no.
    pub accumulate: bool,
    /// Factors that multiply the rows of A. Default none.
    pub a_factors: Option<RowFactors>,
    /// Factors that multiply the rows of B. Default none.
    pub b_factors: Option<RowFactors>,
    /// A number for each row of C that is added to the product, f32, from this element of its binding on. Default none.
    pub row_offsets: Option<usize>,
    /// A number for each column of C that is added to the product, f32, from this element of its binding on. Default none.
    pub column_offsets: Option<usize>,
    /// Where the sums over k of what stands before the rows of C go, f32, from this element of their binding on: of A's rows,
    /// or of its columns where A is `[k, m]`. They are added to what is there as C is. Costs next to nothing. Not together
    /// with factors of A, and not by cooperative products. Default nowhere.
    pub row_sums: Option<usize>,
    /// Whether A or B share a buffer with C, apart from it (pooled engines). Default no.
    pub shared: bool,
    /// The tile. Default by shape and adapter.
    pub tile: Option<Tile>,
}

impl MatmulRequest {
    /// `C[m, n] = A B` over `k`, all f32 and contiguous.
    pub fn new(layout: Layout, m: usize, n: usize, k: usize) -> Self {
        Self {
            layout,
            m,
            n,
            k,
            a: MatrixSpec::default(),
            b: MatrixSpec::default(),
            c: MatrixSpec::default(),
            alpha: 1.0,
            accumulate: false,
            a_factors: None,
            b_factors: None,
            row_offsets: None,
            column_offsets: None,
            row_sums: None,
            shared: false,
            tile: None,
        }
    }

    /// Sets the types of the elements of A, B and C.
    #[must_use]
    pub fn with_elems(mut self, a: Element, b: Element, c: Element) -> Self {
        (self.a.elem, self.b.elem, self.c.elem) = (a, b, c);
        self
    }

    /// Sets the distances between rows of A, B and C, in elements.
    #[must_use]
    pub fn with_strides(mut self, a: usize, b: usize, c: usize) -> Self {
        (self.a.stride, self.b.stride, self.c.stride) = (a, b, c);
        self
    }

    /// Sets where A, B and C begin in their bindings, in elements.
    #[must_use]
    pub fn with_origins(mut self, a: usize, b: usize, c: usize) -> Self {
        (self.a.origin, self.b.origin, self.c.origin) = (a, b, c);
        self
    }

    /// Sets what multiplies the product.
    #[must_use]
    pub fn with_alpha(mut self, alpha: f32) -> Self {
        self.alpha = alpha;
        self
    }

    /// Adds the product to C.
    #[must_use]
    pub fn with_accumulate(mut self) -> Self {
        self.accumulate = true;
        self
    }

    /// Multiplies the rows of A by factors.
    #[must_use]
    pub fn with_a_factors(mut self, factors: RowFactors) -> Self {
        self.a_factors = Some(factors);
        self
    }

    /// Multiplies the rows of B by factors.
    #[must_use]
    pub fn with_b_factors(mut self, factors: RowFactors) -> Self {
        self.b_factors = Some(factors);
        self
    }

    /// Adds a number to each row of C.
    #[must_use]
    pub fn with_row_offsets(mut self, origin: usize) -> Self {
        self.row_offsets = Some(origin);
        self
    }

    /// Adds a number to each column of C.
    #[must_use]
    pub fn with_column_offsets(mut self, origin: usize) -> Self {
        self.column_offsets = Some(origin);
        self
    }

    /// Asks for the sums of what stands before the rows of C.
    #[must_use]
    pub fn with_row_sums(mut self, origin: usize) -> Self {
        self.row_sums = Some(origin);
        self
    }

    /// Lets A and B share a buffer with C.
    #[must_use]
    pub fn with_shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Forces the tile, for tests and measurements.
    #[must_use]
    pub fn with_tile(mut self, tile: Tile) -> Self {
        self.tile = Some(tile);
        self
    }

    /// Rows and columns of A, of B and of C in memory.
    pub(super) fn shapes(&self) -> [(usize, usize); 3] {
        let Self { m, n, k, .. } = *self;
        match self.layout {
            Layout::Nt => [(m, k), (n, k), (m, n)],
            Layout::Nn => [(m, k), (k, n), (m, n)],
            Layout::Tn => [(k, m), (k, n), (m, n)],
        }
    }

    /// Checks numbers and places; gives the kernel's key and parameters, without the grid, for a tile.
    pub(super) fn resolve(&self, tile: Tile, native_f16: bool) -> Result<(MatmulKey, MatmulParams)> {
        if !self.alpha.is_finite() {
            let (name, value) = ("alpha", f64::from(self.alpha));
            return Err(Error::Parameter { name, value, expected: "finite" });
        }
        if self.row_sums.is_some() && (self.a_factors.is_some() || tile.manner == Manner::Cooperative) {
            return Err(Error::Combination {
                first: "sums of A",
                second: "factors of A, or cooperative matrices",
                cure: "sum up in a product without them",
            });
        }
        let [a_shape, b_shape, c_shape] = self.shapes();
        let a = self.a.place("A", a_shape)?;
        let b = self.b.place("B", b_shape)?;
        let c = self.c.place("C", c_shape)?;
        let a_factors = self.a_factors.unwrap_or_default().place("the factors of A", a_shape)?;
        let b_factors = self.b_factors.unwrap_or_default().place("the factors of B", b_shape)?;
        let key = MatmulKey {
            kernel: MatmulKernel::Product,
            layout: self.layout,
            a: self.a.read(a_shape, tile),
            b: self.b.read(b_shape, tile),
            c: self.c.written("C", c_shape, native_f16)?,
            a_factors: self.a_factors.is_some(),
            b_factors: self.b_factors.is_some(),
            a_parts: self.a_factors.is_some_and(|factors| factors.parts > 1),
            b_parts: self.b_factors.is_some_and(|factors| factors.parts > 1),
            row_offsets: self.row_offsets.is_some(),
            column_offsets: self.column_offsets.is_some(),
            row_sums: self.row_sums.is_some(),
            shared: self.shared,
            tile,
        };
        let numbers = |what, origin: Option<usize>, count: usize| {
            index(what, origin.unwrap_or_default().checked_add(count))?;
            index(what, origin.or(Some(0)))
        };
        let params = MatmulParams {
            m: dimension("the rows of C", self.m)?,
            n: dimension("the columns of C", self.n)?,
            k: dimension("the sum's length", self.k)?,
            a_stride: a.stride,
            b_stride: b.stride,
            c_stride: c.stride,
            a_origin: a.origin,
            b_origin: b.origin,
            c_origin: c.origin,
            a_scale_origin: a_factors.origin,
            b_scale_origin: b_factors.origin,
            a_part: a_factors.part,
            b_part: b_factors.part,
            a_parts: a_factors.parts,
            b_parts: b_factors.parts,
            row_offset_origin: numbers("what is added to the rows", self.row_offsets, self.m)?,
            column_offset_origin: numbers("what is added to the columns", self.column_offsets, self.n)?,
            row_sum_origin: numbers("the sums of A", self.row_sums, self.m)?,
            accumulate: u32::from(self.accumulate),
            alpha: self.alpha,
            ..MatmulParams::default()
        };
        Ok((key, params))
    }
}

/// A matrix's numbers as the kernels take them.
pub(in crate::gpu) struct Place {
    pub(in crate::gpu) stride: u32,
    pub(in crate::gpu) origin: u32,
}

impl MatrixSpec {
    /// Contiguous from the start of the binding.
    pub fn new(elem: Element) -> Self {
        Self { elem, stride: 0, origin: 0 }
    }

    fn row_stride(&self, columns: usize) -> usize {
        if self.stride == 0 { columns } else { self.stride }
    }

    pub(in crate::gpu) fn place(&self, what: &'static str, (rows, columns): (usize, usize)) -> Result<Place> {
        let stride = self.row_stride(columns);
        if stride < columns {
            return Err(Error::Length { what, expected: columns as u64, found: stride as u64 });
        }
        // So many elements that no index overflows.
        index(what, self.elements((rows, columns)))?;
        Ok(Place { stride: index(what, Some(stride))?, origin: index(what, Some(self.origin))? })
    }

    /// Elements of the binding up to the last one of the matrix; nothing for an empty one.
    fn elements(&self, (rows, columns): (usize, usize)) -> Option<usize> {
        if rows == 0 || columns == 0 {
            return Some(0);
        }
        let last = (rows - 1).checked_mul(self.row_stride(columns))?;
        last.checked_add(columns)?.checked_add(self.origin)
    }

    /// Bytes of the binding that the matrix needs, whole words.
    pub(in crate::gpu) fn bytes(&self, shape: (usize, usize)) -> u64 {
        (self.elements(shape).unwrap_or(usize::MAX) as u64)
            .saturating_mul(self.elem.bytes())
            .next_multiple_of(4)
    }

    /// Whether every row begins and ends on a multiple of so many elements.
    fn even(&self, columns: usize, step: usize) -> bool {
        [columns, self.row_stride(columns), self.origin].iter().all(|n| n.is_multiple_of(step))
    }

    /// How a product with this tile reads it: cooperative ones by eights where they can.
    fn read(&self, shape: (usize, usize), tile: Tile) -> Words {
        match self.words(shape) {
            Words::F16x4 if tile.manner == Manner::Cooperative && self.even(shape.1, 8) => Words::F16x8,
            words => words,
        }
    }

    /// How the kernels read it: by fours where every row begins and ends on one.
    pub(in crate::gpu) fn words(&self, (_, columns): (usize, usize)) -> Words {
        match (self.elem, self.even(columns, 4)) {
            (Element::F32, false) => Words::F32,
            (Element::F32, true) => Words::F32x4,
            (Element::F16, false) => Words::F16,
            (Element::F16, true) => Words::F16x4,
            (Element::Bf16, false) => Words::Bf16,
            (Element::Bf16, true) => Words::Bf16x4,
        }
    }

    /// How the kernels write it: two elements of 16 bits in a word must belong to one row.
    pub(super) fn written(
        &self,
        what: &'static str,
        shape: (usize, usize),
        native_f16: bool,
    ) -> Result<Words> {
        let words = self.words(shape);
        // The first row's start counts, and the distance to the next one if there is a next one.
        let stride = if shape.0 > 1 { self.row_stride(shape.1) } else { 0 };
        let even = stride.is_multiple_of(2) && self.origin.is_multiple_of(2);
        match words {
            Words::F16 if !even && native_f16 => Ok(Words::F16Native),
            Words::F16 | Words::Bf16 if !even => Err(Error::Alignment {
                what,
                offset: (if self.origin.is_multiple_of(2) { stride } else { self.origin } as u64) * 2,
                required: 4,
            }),
            _ => Ok(words),
        }
    }
}

/// Factors' numbers as the kernels take them.
pub(in crate::gpu) struct FactorPlace {
    pub(in crate::gpu) origin: u32,
    pub(in crate::gpu) part: u32,
    pub(in crate::gpu) parts: u32,
}

impl RowFactors {
    pub(in crate::gpu) fn place(
        &self,
        what: &'static str,
        (rows, columns): (usize, usize),
    ) -> Result<FactorPlace> {
        if self.parts == 0 || !columns.is_multiple_of(self.parts) {
            let value = self.parts as f64;
            let expected = "at least 1 and a divisor of the number of columns";
            return Err(Error::Parameter { name: "a row's parts", value, expected });
        }
        index(what, rows.checked_mul(self.parts).and_then(|count| count.checked_add(self.origin)))?;
        Ok(FactorPlace {
            origin: index(what, Some(self.origin))?,
            part: index(what, Some((columns / self.parts).max(1)))?,
            parts: index(what, Some(self.parts))?,
        })
    }

    /// Bytes of the binding that they need.
    pub(in crate::gpu) fn bytes(&self, rows: usize) -> u64 {
        let count = if rows == 0 { 0 } else { self.origin + rows * self.parts };
        4 * count as u64
    }
}

/// Bytes of the binding that so many numbers need from an element on.
pub(super) fn bytes_of_numbers(origin: usize, count: usize) -> u64 {
    if count == 0 { 0 } else { (origin as u64).saturating_add(count as u64).saturating_mul(4) }
}

/// A number of elements as the kernels count them.
fn index(what: &'static str, value: Option<usize>) -> Result<u32> {
    let allowed = 1u32 << 31;
    match value.and_then(|value| u32::try_from(value).ok()) {
        Some(value) if value <= allowed => Ok(value),
        _ => Err(Error::Limit {
            what: format!("the elements of {what}"),
            needed: value.map_or(u64::MAX, |value| value as u64),
            allowed: u64::from(allowed),
            cure: "use fewer rows at a time",
        }),
    }
}

/// A dimension, which tiles may round up.
pub(in crate::gpu) fn dimension(what: &'static str, value: usize) -> Result<u32> {
    index(what, Some(value))
}
