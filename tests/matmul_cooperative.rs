//! Products of halves by cooperative matrices (tensor cores) against f64, on adapters that have them. On others each test
//! says that no case ran. The texts of all tiles are checked without an adapter.

#[path = "support/cooperative.rs"]
mod cooperative;
#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/matrix.rs"]
mod matrix;
#[path = "support/mutants.rs"]
mod mutants;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;

use cooperative::{Cooperative, cooperative};
use gpu::context;
use longtail::Element;
use longtail::gpu::Kernels;
use longtail::gpu::matmul::{
    Layout, Manner, MatmulKernel, MatmulKey, MatmulRequest, RowFactors, Tile, Words,
};
use matrix::{Case, Matrix, U, rounded, rounding};
use naga::AddressSpace;
use naga::valid::{Capabilities, ValidationFlags, Validator};

const LAYOUTS: [Layout; 3] = [Layout::Nt, Layout::Nn, Layout::Tn];

/// The smallest half that is not subnormal.
const NORMAL: f64 = 1.0 / 16_384.0;

/// The cooperative matrices of the adapter under test; without any, says so.
fn there() -> Option<&'static Cooperative> {
    static THERE: OnceLock<Option<Cooperative>> = OnceLock::new();
    let info = context().adapter_info();
    let found = THERE.get_or_init(|| {
        let found = cooperative(info).unwrap_or_else(|error| panic!("cooperative matrices: {error}"));
        if let Some(Cooperative { edges, subgroup, .. }) = &found {
            println!("cooperative matrices of edges {edges:?}, subgroups of {subgroup}");
        }
        found
    });
    if found.is_none() {
        println!("no cooperative matrices on {}: 0 cases ran", info.name);
    }
    found.as_ref()
}

/// The tile that is chosen, for each edge that the adapter has.
fn own_tiles(there: &Cooperative) -> impl Iterator<Item = Tile> {
    there.edges.iter().map(|edge| Tile::cooperative(*edge, there.subgroup))
}

fn halves(layout: Layout, (m, n, k): (usize, usize, usize)) -> MatmulRequest {
    MatmulRequest::new(layout, m, n, k).with_elems(Element::F16, Element::F16, Element::F32)
}

/// A product's data. Subnormal halves are made 0, which is what a device may take them for.
fn case(request: MatmulRequest, seed: u32) -> Case {
    let mut case = Case::new(request, seed);
    for matrix in [&mut case.a, &mut case.b] {
        let values = matrix.values.iter().map(|value| if value.abs() < NORMAL { 0.0 } else { *value });
        *matrix = Matrix::new(matrix.spec, matrix.rows, matrix.columns, values.collect());
    }
    case
}

/// The largest error over what is allowed, and where it is.
///
/// The product of two halves has 22 bits, so f32 has it exactly. Tensor cores add up blocks of products, 4 or more, with
/// what was there before: they shift all to the largest exponent and may cut off what does not fit, which is up to one unit
/// in the last place, `2 U`, of a number that `size` bounds. So much is lost for each product and once more for each block:
/// `(k + k / 4) 2 U size` in all. Then as in `Case::ratio`: two roundings for factors, one for alpha, one for what is added
/// to and two for offsets, and the rounding to the type of C. A subnormal half in C may have become 0.
fn worst(case: &Case, found: &[f64]) -> (f64, String) {
    let MatmulRequest { n, k, c, .. } = case.request;
    let offsets = case.request.row_offsets.is_some() || case.request.column_offsets.is_some();
    let roundings = 2.0 * (k + k.div_ceil(4)) as f64 + if offsets { 6.0 } else { 4.0 };
    let exact = case.exact();
    assert_eq!(exact.len(), found.len());
    let mut worst = (0.0, String::new());
    for (place, (found, (exact, size))) in found.iter().zip(&exact).enumerate() {
        let sum = roundings * U * size;
        let mut allowed = 1.01 * (sum + rounding(c.elem, exact.abs() + sum)) + 1e-37;
        if c.elem == Element::F16 && exact.abs() < NORMAL {
            allowed += NORMAL;
        }
        let error = (found - exact).abs();
        // NaN is as wrong as can be.
        let ratio = if error.is_nan() { f64::INFINITY } else { error / allowed };
        if ratio > worst.0 {
            let (row, column) = (place / n, place % n);
            worst = (ratio, format!("row {row} column {column} is {found:e}, not {exact:e}"));
        }
    }
    worst
}

/// What a test has seen. Failures are kept until its end: a run on such an adapter is to tell all that is wrong.
struct Tally<'a> {
    kernels: &'a Kernels,
    cases: u32,
    tightest: f64,
    failures: String,
}

impl<'a> Tally<'a> {
    fn new(there: &'a Cooperative) -> Self {
        Self { kernels: &there.kernels, cases: 0, tightest: 0.0, failures: String::new() }
    }

    /// Runs a product and compares it with f64.
    fn check(&mut self, request: MatmulRequest) {
        let case = case(request, self.cases);
        self.cases += 1;
        match case.run(self.kernels) {
            Ok((matmul, found)) => {
                let (ratio, place) = worst(&case, &found);
                let key = matmul.key();
                if ratio > 1.0 {
                    let _ = writeln!(
                        self.failures,
                        "{ratio:.2} of what is allowed: {place}: {}, {request:?}",
                        key.label()
                    );
                }
                if key.tile.manner != Manner::Cooperative {
                    let _ = writeln!(self.failures, "not cooperative: {}, {request:?}", key.label());
                }
                self.tightest = self.tightest.max(ratio);
            }
            Err(error) => {
                let _ = writeln!(self.failures, "{error}: {request:?}");
            }
        }
    }

    fn end(self) {
        println!(
            "{} cooperative products on the GPU; tightest: {:.2} of what is allowed",
            self.cases, self.tightest
        );
        assert!(self.cases > 0, "no GPU case ran");
        assert!(self.failures.is_empty(), "{}", self.failures);
    }
}

/// Every side on a tile's border, one less and one more; k odd, shorter than a slab, shorter than a matrix; every type of C.
#[test]
fn every_border() {
    let Some(there) = there() else { return };
    let mut tally = Tally::new(there);
    for tile in own_tiles(there) {
        let (m, n) = (tile.group_m() as usize, tile.group_n() as usize);
        let (depth, edge) = (tile.depth as usize, tile.edge as usize);
        let shapes = [
            (m, n, 2 * depth),
            (m - 1, n, depth),
            (m + 1, n, depth),
            (m, n - 1, depth),
            (m, n + 1, depth),
            (m, n, depth - 1),
            (m, n, depth + 1),
            (m - 1, n + 1, 3 * depth - 5),
            // By eights and by fours, with an end in each dimension.
            (m + 8, n - 8, 3 * depth - 8),
            (m - 4, n + 4, depth + 4),
            (2 * m + 1, n - 3, edge - 1),
            (3, 5, 1),
        ];
        for layout in LAYOUTS {
            for shape in shapes {
                for elem in [Element::F32, Element::F16, Element::Bf16] {
                    let mut request = halves(layout, shape).with_tile(tile);
                    request.c.elem = elem;
                    // Odd rows of bf16 are refused, whatever the tile.
                    if elem != Element::Bf16 || shape.1.is_multiple_of(2) {
                        tally.check(request);
                    }
                }
            }
        }
    }
    tally.end();
}

/// Subgroups and their matrices along each side, and depths in matrices.
const TILES: [[u32; 5]; 11] = [
    [1, 1, 1, 1, 1],
    [1, 1, 3, 2, 1],
    [1, 2, 1, 1, 4],
    [2, 1, 2, 5, 3],
    [2, 2, 2, 2, 4],
    [4, 4, 2, 2, 1],
    [2, 2, 4, 4, 2],
    [2, 4, 4, 2, 4],
    [4, 2, 2, 4, 2],
    [2, 4, 4, 4, 2],
    [4, 2, 4, 4, 2],
];

fn tile_of([threads_m, threads_n, matrices_m, matrices_n, depth]: [u32; 5], own: Tile) -> Tile {
    Tile { threads_m, threads_n, matrices_m, matrices_n, depth: depth * own.edge, ..own }
}

/// Use (A, B or C) and bits of a float of all types of cooperative matrices in SPIR-V: naga gives what is loaded from memory
/// the type of that memory, whatever the text says, and drivers know no others.
fn matrices(words: &[u32]) -> Vec<(u32, u32)> {
    let (mut numbers, mut floats, mut found) = (HashMap::new(), HashMap::new(), Vec::new());
    let mut rest = &words[5..];
    while let Some(first) = rest.first() {
        let (instruction, after) = rest.split_at((first >> 16) as usize);
        match *instruction {
            // OpTypeFloat, OpConstant, OpTypeCooperativeMatrixKHR.
            [first, id, bits] if first & 0xffff == 22 => drop(floats.insert(id, bits)),
            [first, _, id, value] if first & 0xffff == 43 => drop(numbers.insert(id, value)),
            [first, _, of, _, _, _, role] if first & 0xffff == 4456 => {
                found.push((numbers[&role], floats.get(&of).copied().unwrap_or(0)));
            }
            _ => {}
        }
        rest = after;
    }
    found.sort_unstable();
    found
}

/// The text of every tile for every way to read and to write is valid, and has the workgroup memory that the host believes.
#[test]
fn every_text() {
    let needed = Capabilities::SHADER_FLOAT16
        | Capabilities::SHADER_FLOAT16_IN_FLOAT32
        | Capabilities::COOPERATIVE_MATRIX
        | Capabilities::SUBGROUP;
    let words = [Words::F16, Words::F16x4, Words::F16x8];
    let mut texts = 0;
    for tile in TILES.map(|sizes| tile_of(sizes, Tile::cooperative(16, 32))) {
        for (layout, a) in LAYOUTS.into_iter().flat_map(|layout| words.map(|a| (layout, a))) {
            for (bits, c) in [Words::F32x4, Words::F32, Words::F16, Words::Bf16x4].into_iter().enumerate() {
                let key = MatmulKey {
                    kernel: MatmulKernel::Product,
                    layout,
                    a,
                    b: words[(texts + bits) % 3],
                    c,
                    a_factors: texts % 5 == 1,
                    b_factors: texts % 7 == 2,
                    a_parts: texts % 10 == 1,
                    b_parts: texts % 14 == 2,
                    row_offsets: texts % 11 == 3,
                    column_offsets: texts % 13 == 4,
                    row_sums: false,
                    shared: texts % 3 == 2,
                    tile,
                };
                let text = key.wgsl();
                assert!(!text.contains('$') || text.contains("`each $x`"), "{text}");
                let module = naga::front::wgsl::parse_str(&text).unwrap_or_else(|error| {
                    panic!("{}: {}\n{text}", key.label(), error.emit_to_string(&text))
                });
                let info = Validator::new(ValidationFlags::all(), needed).validate(&module);
                let info = info.unwrap_or_else(|error| {
                    panic!("{}: {}\n{text}", key.label(), error.emit_to_string(&text))
                });
                let shared = module
                    .global_variables
                    .iter()
                    .filter(|(_, global)| global.space == AddressSpace::WorkGroup);
                let bytes: u32 =
                    shared.map(|(_, global)| module.types[global.ty].inner.size(module.to_ctx())).sum();
                assert_eq!(bytes, key.workgroup_bytes(), "{}", key.label());
                assert!(bytes <= 48 * 1024, "{}: {bytes} bytes of workgroup memory", key.label());
                let options = naga::back::spv::Options { lang_version: (1, 6), ..Default::default() };
                let words = naga::back::spv::write_vec(&module, &info, &options, None).unwrap();
                assert_eq!(matrices(&words), [(0, 16), (1, 16), (2, 32)], "{}\n{text}", key.label());
                texts += 1;
            }
        }
    }
}

/// More subgroups and matrices along either side, one alone, and slabs of other depths.
#[test]
fn every_tile() {
    let Some(there) = there() else { return };
    let limits = there.kernels.device().limits();
    let most = limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x);
    let mut tally = Tally::new(there);
    for own in own_tiles(there) {
        for tile in TILES.map(|sizes| tile_of(sizes, own)) {
            if tile.workgroup() > most || tile.workgroup_bytes() > limits.max_compute_workgroup_storage_size {
                continue;
            }
            let (m, n) = (tile.group_m() as usize, tile.group_n() as usize);
            let depth = tile.depth as usize;
            for layout in LAYOUTS {
                for shape in [
                    (m, n, 2 * depth),
                    (m + 8, 2 * n - 8, depth + 8),
                    (m - 1, n + 1, depth + 1),
                    (m + 2, 2 * n - 3, depth - 1),
                ] {
                    tally.check(halves(layout, shape).with_tile(tile));
                }
            }
        }
    }
    tally.end();
}

/// Gaps between rows, beginnings inside of the binding, by eights, by fours and not; alpha, what is added to, one buffer for all.
#[test]
fn every_place() {
    let Some(there) = there() else { return };
    let mut tally = Tally::new(there);
    let gaps = [(0, 0, 0), (3, 0, 5), (1, 2, 3), (4, 8, 4), (64, 4, 0), (8, 16, 4)];
    let origins = [(0, 0, 0), (5, 0, 3), (1, 7, 2), (4, 8, 12), (0, 64, 4), (16, 8, 8)];
    for tile in own_tiles(there) {
        let (rows, columns) = (tile.group_m() as usize, tile.group_n() as usize);
        let depth = tile.depth as usize;
        for layout in LAYOUTS {
            for (gap, origin) in gaps.into_iter().zip(origins) {
                for (m, n, k) in [(rows + 1, columns - 2, depth + 3), (rows, columns, depth)] {
                    let wide = match layout {
                        Layout::Nt => (k, k, n),
                        Layout::Nn => (k, n, n),
                        _ => (m, n, n),
                    };
                    for (elem, accumulate) in [
                        (Element::F32, false),
                        (Element::F32, true),
                        (Element::F16, false),
                        (Element::F16, true),
                    ] {
                        let cases = tally.cases as usize;
                        let mut request = halves(layout, (m, n, k))
                            .with_strides(wide.0 + gap.0, wide.1 + gap.1, wide.2 + gap.2)
                            .with_origins(origin.0, origin.1, origin.2)
                            .with_alpha([1.0, -0.75, 3.0][cases / 2 % 3])
                            .with_tile(tile);
                        request.c.elem = elem;
                        request.accumulate = accumulate;
                        request.shared = cases % 3 == 1;
                        tally.check(request);
                    }
                }
            }
        }
    }
    tally.end();
}

/// What meets C when it is stored: numbers for rows and columns, and factors of whole rows that are rows or columns of C.
/// Other factors would be rounded to halves with what they multiply; no product with them is given such a tile.
#[test]
fn offsets_and_factors() {
    let Some(there) = there() else { return };
    let mut tally = Tally::new(there);
    for tile in own_tiles(there) {
        let (m, n, k) = (tile.group_m() as usize, tile.group_n() as usize, tile.depth as usize);
        for layout in LAYOUTS {
            for shape in [(m + 3, n + 3, k + 5), (m, n, k)] {
                let request = halves(layout, shape).with_tile(tile).with_alpha(0.5);
                tally.check(request.with_row_offsets(3));
                tally.check(request.with_column_offsets(1).with_accumulate());
                let mut request = request.with_row_offsets(0).with_column_offsets(2);
                if layout != Layout::Tn {
                    request = request.with_a_factors(RowFactors { parts: 1, origin: 1 });
                }
                if layout == Layout::Nt {
                    request = request.with_b_factors(RowFactors { parts: 1, origin: 2 });
                }
                tally.check(request);
            }
        }
    }
    tally.end();
}

/// Large products of halves get the widest matrices without being told, others do not; and they are right, a long sum too.
#[test]
fn large_products_choose_them() {
    let Some(there) = there() else { return };
    let mut tally = Tally::new(there);
    let own = own_tiles(there).next().unwrap();
    for layout in LAYOUTS {
        tally.check(halves(layout, (256, 301, 515)));
        tally.check(halves(layout, (192, 256, 512)));
    }
    tally.check(halves(Layout::Nt, (128, 132, 8192)));
    tally.end();
    let tile = |kernels: &Kernels, request| kernels.matmul(&request).unwrap().key().tile;
    let large = halves(Layout::Nt, (256, 301, 515));
    assert_eq!(tile(&there.kernels, large), own);
    assert_ne!(tile(context().kernels(), large).manner, Manner::Cooperative);
    let whole = MatmulRequest::new(Layout::Nt, 256, 301, 515);
    assert_ne!(tile(&there.kernels, whole).manner, Manner::Cooperative);
    let low = halves(Layout::Nt, (3, 301, 515));
    assert_ne!(tile(&there.kernels, low).manner, Manner::Cooperative);
}

/// The same bits on every run.
#[test]
fn the_same_bits_on_every_run() {
    let Some(there) = there() else { return };
    let case = case(halves(Layout::Nt, (200, 190, 777)), 9);
    let (_, first) = case.run(&there.kernels).unwrap();
    for _ in 0..3 {
        assert_eq!(case.run(&there.kernels).unwrap().1, first);
    }
    println!("4 cooperative products on the GPU");
}

/// NaN and infinity reach the sums that they are part of and no others, nor does what stands for k beyond its end add to them.
#[test]
fn what_is_not_finite_stays_in_its_row() {
    let Some(there) = there() else { return };
    let mut cases = 0;
    for tile in own_tiles(there) {
        // By single halves, by fours, by eights.
        for (bad, k) in
            [f64::NAN, f64::INFINITY].into_iter().flat_map(|bad| [(bad, 13), (bad, 20), (bad, 24)])
        {
            let mut case = Case::new(halves(Layout::Nt, (18, 21, k)).with_tile(tile), 2);
            for (matrix, bad) in [(&mut case.a, Some(bad)), (&mut case.b, None)] {
                let positive = |value: &f64| rounded(Element::F16, value.abs() + 0.5);
                let mut values: Vec<f64> = matrix.values.iter().map(positive).collect();
                values[7 * k + 12] = bad.unwrap_or(values[7 * k + 12]);
                *matrix = Matrix::new(matrix.spec, matrix.rows, matrix.columns, values);
            }
            let (_, found) = case.run(&there.kernels).unwrap();
            for (place, value) in found.iter().enumerate() {
                let expected = if bad.is_nan() { value.is_nan() } else { *value == bad };
                let right = if place / 21 == 7 { expected } else { value.is_finite() };
                assert!(right, "{tile:?}: k {k}: {place}: {value}");
            }
            cases += 1;
        }
    }
    println!("{cases} cooperative products on the GPU");
}

/// Small wrong edits of the kernel, each of which the comparison has to notice. None leaves workgroup memory unwritten: what
/// the right kernel left there might be found.
#[test]
fn every_mutant_is_noticed() {
    let Some(there) = there() else { return };
    let own = own_tiles(there).next().unwrap();
    let (m, n, k) = (own.group_m() as usize, own.group_n() as usize, own.depth as usize);
    let mut tally = mutants::Tally::default();
    // Rows at odd places.
    let odd = case(halves(Layout::Nt, (m + 3, n + 5, k + k / 2 + 1)).with_tile(own), 5);
    // By eights.
    let even = case(halves(Layout::Nt, (m, 2 * n, 2 * k + 8)).with_tile(own).with_alpha(0.5), 6);
    let edits_of_odd = [
        // Which matrix meets which.
        ("1u * A_NEXT + 0u * A_DEEP", "0u * A_NEXT + 0u * A_DEEP"),
        ("1u * B_NEXT + 1u * B_DEEP", "1u * B_NEXT + 0u * B_DEEP"),
        ("(own.x / COOP) * A_NEXT", "(own.x / COOP) * A_DEEP"),
        ("coopLoadT<CoopA>", "coopLoad<CoopA>"),
        ("coopLoad<CoopB>", "coopLoadT<CoopB>"),
        ("coopMultiplyAdd(a0, b1, c01)", "coopMultiplyAdd(a0, b0, c01)"),
        ("coopMultiplyAdd(a1, b0, c10)", "coopMultiplyAdd(a1, b0, c00)"),
        // What is summed.
        ("outcome[at] = 0.0;", "outcome[at] = 0.01;"),
        ("start += DEPTH", "start += 2u * DEPTH"),
        ("let next = start + DEPTH", "let next = start"),
        ("vec4<u32>(1u, 3u, 5u, 7u)", "vec4<u32>(0u, 3u, 5u, 7u)"),
        ("(start & 1u) != 0u", "(start & 1u) == 0u"),
        ("min(word + 4u, last)", "min(word + 3u, last)"),
        // Where it goes.
        ("MATRICES_N * (subgroup % SUBGROUPS_N)", "MATRICES_N * (subgroup % SUBGROUPS_M)"),
        ("m + 4u * quad / COOP, n + 4u * quad % COOP", "m + 4u * quad % COOP, n + 4u * quad / COOP"),
        ("at = subgroup * COOP * COOP + 4u * quad", "at = 4u * quad"),
        ("write_outcome(m + 1u * COOP, n + 0u", "write_outcome(m + 1u * COOP, n + 1u"),
        ("coopStoreT(c11", "coopStoreT(c10"),
        ("coopStoreT(c", "coopStore(c"),
    ];
    let edits_of_even = [
        ("min(column, a_columns() - 8u)", "0u"),
        ("select(vec4<u32>(0u), words, inside)", "words"),
        ("let next = start + DEPTH", "let next = start"),
        ("two_halves(eight.w)", "two_halves(eight.z)"),
        ("params.alpha * (value", "(value"),
    ];
    let edits =
        edits_of_odd.map(|edit| (&odd, edit)).into_iter().chain(edits_of_even.map(|edit| (&even, edit)));
    for (case, edit) in edits {
        tally.check("a cooperative product", &there.kernels, edit, |kernels| {
            // A panic is a guard that was written over.
            match std::panic::catch_unwind(AssertUnwindSafe(|| case.run(kernels))) {
                Ok(Ok((matmul, found))) => (worst(case, &found).0, matmul.key().wgsl()),
                Ok(Err(error)) => panic!("{edit:?}: {error}"),
                Err(_) => (f64::INFINITY, String::new()),
            }
        });
    }
    tally.close();
}
