//! Matrices of every element type in guarded buffers, and products of them run on the adapter and in f64.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::gpu::{Arena, GUARD};
use crate::inputs::Draws;
use longtail::Element;
use longtail::gpu::Kernels;
use longtail::gpu::matmul::{Layout, Matmul, MatmulRequest, MatmulViews, MatrixSpec};

/// Half a unit in the last place of f32, relative.
pub const U: f64 = 1.0 / 16_777_216.0;

/// The nearest number of an element type, ties to even, by the definition of its unit in the last place.
pub fn rounded(elem: Element, value: f64) -> f64 {
    let (digits, lowest) = match elem {
        Element::F16 => (10, -14),
        Element::Bf16 => (7, -126),
        _ => return f64::from(value as f32),
    };
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let exponent = (value.abs().log2().floor() as i32).max(lowest);
    let unit = 2f64.powi(exponent - digits);
    let near = (value / unit).round_ties_even() * unit;
    let largest = if elem == Element::F16 { 65504.0 } else { f64::from(f32::MAX) };
    if near.abs() > largest { f64::INFINITY.copysign(near) } else { near }
}

/// How far the nearest number of an element type may be from one of this size.
pub fn rounding(elem: Element, size: f64) -> f64 {
    match elem {
        Element::F16 => size / 2048.0 + 2f64.powi(-25),
        Element::Bf16 => size / 256.0,
        _ => size * U,
    }
}

/// The bits of a number that the type has.
pub fn bits(elem: Element, value: f64) -> u32 {
    let single = (value as f32).to_bits();
    match elem {
        Element::F16 => {
            let sign = u32::from(value.is_sign_negative()) << 15;
            let size = value.abs();
            let magnitude = if size < 2f64.powi(-14) {
                (size * 2f64.powi(24)) as u32
            } else if size.is_infinite() {
                0x7c00
            } else {
                let exponent = size.log2().floor();
                let exponent = if 2f64.powf(exponent) > size { exponent - 1.0 } else { exponent };
                let fraction = (size / 2f64.powf(exponent) - 1.0) * 1024.0;
                (((exponent + 15.0) as u32) << 10) + fraction as u32
            };
            sign | if size.is_nan() { 0x7e00 } else { magnitude }
        }
        Element::Bf16 => single >> 16,
        _ => single,
    }
}

/// The number that bits stand for.
pub fn number(elem: Element, bits: u32) -> f64 {
    match elem {
        Element::F16 => {
            let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
            let (exponent, fraction) = (bits >> 10 & 31, f64::from(bits & 1023));
            sign * match exponent {
                0 => fraction * 2f64.powi(-24),
                31 if fraction == 0.0 => f64::INFINITY,
                31 => f64::NAN,
                _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent as i32 - 15),
            }
        }
        Element::Bf16 => f64::from(f32::from_bits(bits << 16)),
        _ => f64::from(f32::from_bits(bits)),
    }
}

/// A matrix in memory: guards before it, between its rows and after it.
#[derive(Debug, Clone)]
pub struct Matrix {
    pub spec: MatrixSpec,
    pub rows: usize,
    pub columns: usize,
    /// Row-major, without gaps.
    pub values: Vec<f64>,
    /// The elements of the binding.
    memory: Vec<u32>,
}

impl Matrix {
    /// Values of unit variance that the type has; every eleventh is 0.
    pub fn random(spec: MatrixSpec, rows: usize, columns: usize, draws: &mut Draws) -> Self {
        let value = |position: usize, draws: &mut Draws| match position % 11 {
            7 => 0.0,
            _ => rounded(spec.elem, f64::from(draws.normal())),
        };
        let values = (0..rows * columns).map(|position| value(position, draws)).collect();
        Self::new(spec, rows, columns, values)
    }

    pub fn new(spec: MatrixSpec, rows: usize, columns: usize, values: Vec<f64>) -> Self {
        assert_eq!(values.len(), rows * columns);
        let mut matrix = Self { spec, rows, columns, values, memory: Vec::new() };
        let length = if rows * columns == 0 { 0 } else { matrix.place(rows - 1, columns) };
        let per_word = if spec.elem == Element::F32 { 1 } else { 2 };
        matrix.memory = vec![guard(spec.elem); length.next_multiple_of(per_word)];
        for row in 0..rows {
            for column in 0..columns {
                let place = matrix.place(row, column);
                matrix.memory[place] = bits(spec.elem, matrix.values[row * columns + column]);
            }
        }
        matrix
    }

    fn place(&self, row: usize, column: usize) -> usize {
        let stride = if self.spec.stride == 0 { self.columns } else { self.spec.stride };
        self.spec.origin + row * stride + column
    }

    /// More guards after the matrix, in the same binding: as many as 16 more rows would take.
    fn add_tail(&mut self) {
        let length = self.memory.len() + 16 * self.columns.max(self.spec.stride).next_multiple_of(2);
        self.memory.resize(length, guard(self.spec.elem));
    }

    /// The memory in 32-bit words.
    pub fn words(&self) -> Vec<u32> {
        match self.spec.elem {
            Element::F32 => self.memory.clone(),
            _ => self.memory.chunks(2).map(|pair| pair[0] | pair[1] << 16).collect(),
        }
    }

    /// The values in memory that came back; panics if an element outside of the matrix has changed.
    pub fn read(&self, words: &[u32]) -> Vec<f64> {
        let memory: Vec<u32> = match self.spec.elem {
            Element::F32 => words.to_vec(),
            _ => words.iter().flat_map(|word| [word & 0xffff, word >> 16]).collect(),
        };
        let mut owned = vec![false; memory.len()];
        let mut values = Vec::with_capacity(self.values.len());
        for row in 0..self.rows {
            for column in 0..self.columns {
                let place = self.place(row, column);
                owned[place] = true;
                values.push(number(self.spec.elem, memory[place]));
            }
        }
        for (place, (owned, value)) in owned.iter().zip(&memory).enumerate() {
            assert!(*owned || *value == self.memory[place], "element {place} was written: {value:#x}");
        }
        values
    }
}

/// What fills elements that no kernel may touch, NaN in every type.
fn guard(elem: Element) -> u32 {
    match elem {
        Element::F16 => 0x7e5a,
        Element::Bf16 => 0x7fca,
        _ => GUARD,
    }
}

/// A product with its data.
pub struct Case {
    pub request: MatmulRequest,
    pub a: Matrix,
    pub b: Matrix,
    pub c: Matrix,
    pub a_factors: Vec<f32>,
    pub b_factors: Vec<f32>,
    pub row_offsets: Vec<f32>,
    pub column_offsets: Vec<f32>,
    /// What is there before the sums of A.
    pub row_sums: Vec<f32>,
}

impl Case {
    pub fn new(request: MatmulRequest, seed: u32) -> Self {
        let MatmulRequest { m, n, k, .. } = request;
        let (a, b) = match request.layout {
            Layout::Nt => ((m, k), (n, k)),
            Layout::Nn => ((m, k), (k, n)),
            _ => ((k, m), (k, n)),
        };
        let mut draws = Draws::new(seed);
        let mut random = |spec, (rows, columns)| Matrix::random(spec, rows, columns, &mut draws);
        let (a, b, mut c) = (random(request.a, a), random(request.b, b), random(request.c, (m, n)));
        if seed % 2 == 1 {
            c.add_tail();
        }
        let mut factors = |wanted: Option<_>, rows: usize| match wanted {
            Some(longtail::gpu::matmul::RowFactors { parts, origin }) => {
                let factor = |position| if position < origin { f32::NAN } else { 0.25 + draws.unit() };
                (0..origin + rows * parts).map(factor).collect()
            }
            None => Vec::new(),
        };
        let (a_factors, b_factors) = (factors(request.a_factors, a.rows), factors(request.b_factors, b.rows));
        let mut numbers = |wanted: Option<usize>, count: usize| match wanted {
            Some(origin) => {
                let number = |position| if position < origin { f32::NAN } else { draws.normal() };
                (0..origin + count).map(number).collect()
            }
            None => Vec::new(),
        };
        let row_offsets = numbers(request.row_offsets, m);
        let column_offsets = numbers(request.column_offsets, n);
        let mut row_sums = numbers(request.row_sums, m);
        // Nothing but C's rows.
        row_sums.extend([f32::NAN; 3].iter().filter(|_| request.row_sums.is_some()));
        Self { request, a, b, c, a_factors, b_factors, row_offsets, column_offsets, row_sums }
    }

    /// Element `(row, column)` of a factor matrix with its factor.
    fn input(
        matrix: &Matrix,
        factors: &[f32],
        spec: Option<longtail::gpu::matmul::RowFactors>,
        row: usize,
        column: usize,
    ) -> f64 {
        let value = matrix.values[row * matrix.columns + column];
        match spec {
            Some(spec) => {
                let part = column / (matrix.columns / spec.parts);
                value * f64::from(factors[spec.origin + row * spec.parts + part])
            }
            None => value,
        }
    }

    /// Each element of C in f64, and the size of what was summed for it.
    pub fn exact(&self) -> Vec<(f64, f64)> {
        let MatmulRequest { m, n, k, alpha, accumulate, .. } = self.request;
        let at = |row: usize, column: usize| {
            let (mut sum, mut size) = (0.0, 0.0);
            for i in 0..k {
                let (a, b) = match self.request.layout {
                    Layout::Nt => ((row, i), (column, i)),
                    Layout::Nn => ((row, i), (i, column)),
                    _ => ((i, row), (i, column)),
                };
                let a = Self::input(&self.a, &self.a_factors, self.request.a_factors, a.0, a.1);
                let b = Self::input(&self.b, &self.b_factors, self.request.b_factors, b.0, b.1);
                sum += a * b;
                size += (a * b).abs();
            }
            let before = if accumulate { self.c.values[row * n + column] } else { 0.0 };
            let offset = |numbers: &[f32], origin: Option<usize>, at: usize| {
                origin.map_or(0.0, |origin| f64::from(numbers[origin + at]))
            };
            let added = [
                before,
                offset(&self.row_offsets, self.request.row_offsets, row),
                offset(&self.column_offsets, self.request.column_offsets, column),
            ];
            let sizes: f64 = added.iter().map(|added| added.abs()).sum();
            (f64::from(alpha) * sum + added.iter().sum::<f64>(), f64::from(alpha).abs() * size + sizes)
        };
        (0..m)
            .flat_map(|row| (0..n).map(move |column| (row, column)))
            .map(|(row, column)| at(row, column))
            .collect()
    }

    /// Panics for sums of A that are not within what `ratio` allows a product with ones.
    fn check_sums(&self, words: &[u32]) {
        let Some(origin) = self.request.row_sums else { return };
        let MatmulRequest { m, k, accumulate, .. } = self.request;
        for (place, word) in words.iter().enumerate() {
            let (found, before) = (f32::from_bits(*word), self.row_sums[place]);
            if !(origin..origin + m).contains(&place) {
                assert_eq!(*word, before.to_bits(), "number {place} beside the sums was written");
                continue;
            }
            let row = place - origin;
            let elements = (0..k).map(|i| match self.request.layout {
                Layout::Tn => self.a.values[i * m + row],
                _ => self.a.values[row * k + i],
            });
            let before = if accumulate { f64::from(before) } else { 0.0 };
            let (sum, size) =
                elements.fold((before, before.abs()), |(sum, size), a| (sum + a, size + a.abs()));
            let error = (f64::from(found) - sum).abs();
            assert!(error <= 1.01 * (k as f64 + 4.0) * U * size + 1e-37, "sum {row}: {found} for {sum}");
        }
    }

    /// Runs the product with guards around everything.
    pub fn run(&self, kernels: &Kernels) -> longtail::Result<(Matmul, Vec<f64>)> {
        let matmul = kernels.matmul(&self.request)?;
        let mut arena = Arena::new(self.request.shared);
        let a = arena.add(&self.a.words());
        let b = arena.add(&self.b.words());
        let c = arena.add(&self.c.words());
        arena.upload(kernels);
        // Factors have their own buffers, also where the matrices share one.
        let mut factors = Arena::new(false);
        let words = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
        let a_factors = factors.add(&words(&self.a_factors));
        let b_factors = factors.add(&words(&self.b_factors));
        let row_offsets = factors.add(&words(&self.row_offsets));
        let column_offsets = factors.add(&words(&self.column_offsets));
        factors.upload(kernels);
        // Sums are written.
        let mut sums = Arena::new(false);
        let row_sums = sums.add(&words(&self.row_sums));
        sums.upload(kernels);
        let mut views = MatmulViews::new(arena.view(a), arena.view(b), arena.view(c));
        views.a_factors = self.request.a_factors.map(|_| factors.view(a_factors));
        views.b_factors = self.request.b_factors.map(|_| factors.view(b_factors));
        views.row_offsets = self.request.row_offsets.map(|_| factors.view(row_offsets));
        views.column_offsets = self.request.column_offsets.map(|_| factors.view(column_offsets));
        views.row_sums = self.request.row_sums.map(|_| sums.view(row_sums));
        let mut encoder = kernels.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            matmul.encode(&mut pass, &views)?;
        }
        kernels.queue().submit([encoder.finish()]);
        let found = self.c.read(&arena.read(kernels, &[c])[c]);
        factors.read(kernels, &[]);
        self.check_sums(&sums.read(kernels, &[row_sums])[row_sums]);
        Ok((matmul, found))
    }

    /// The largest error over what is allowed:
    ///
    /// each term of a sum meets at most one rounding for each factor, one for the product, k - 1 for the sums, one for
    /// alpha, one for what is added to and two for offsets where there are any, each of `U` relative to a partial sum that `size` bounds; then the rounding
    /// to the type of C. First-order, hence a hundredth more.
    pub fn ratio(&self, found: &[f64]) -> f64 {
        let k = self.request.k as f64;
        let has_offsets = self.request.row_offsets.is_some() || self.request.column_offsets.is_some();
        let offsets = if has_offsets { 2.0 } else { 0.0 };
        let exact = self.exact();
        assert_eq!(exact.len(), found.len());
        let ratio = |(found, (exact, size)): (&f64, &(f64, f64))| {
            let sum = (k + 4.0 + offsets) * U * size;
            let allowed = 1.01 * (sum + rounding(self.request.c.elem, exact.abs() + sum)) + 1e-37;
            let error = (found - exact).abs();
            // NaN is as wrong as can be.
            if error.is_nan() { f64::INFINITY } else { error / allowed }
        };
        found.iter().zip(&exact).map(ratio).fold(0.0, f64::max)
    }

    /// Runs and compares.
    #[track_caller]
    pub fn check(&self, kernels: &Kernels) -> Matmul {
        let (matmul, found) = self.run(kernels).unwrap_or_else(|error| panic!("{:?}: {error}", self.request));
        let ratio = self.ratio(&found);
        assert!(ratio <= 1.0, "{ratio} of what is allowed: {:?}, {}", self.request, matmul.key().label());
        matmul
    }
}
