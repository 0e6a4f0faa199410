//! Matrix kernels with a small wrong edit, each of which the comparisons have to notice: a comparison that cannot fail
//! proves nothing.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/matrix.rs"]
mod matrix;
#[path = "support/matrix_rows.rs"]
mod matrix_rows;
#[path = "support/mutants.rs"]
mod mutants;

use std::panic::AssertUnwindSafe;

use gpu::context;
use longtail::Element;
use longtail::gpu::Kernels;
use longtail::gpu::matmul::{
    Layout, MatmulRequest, MatrixSpec, RowFactors, RowNormsRequest, ThroughNormRequest, Tile,
};
use longtail::head::RowNorm;
use matrix::{Case, Matrix};
use matrix_rows::Rows;
use mutants::Tally;

const DIRECT: Tile = Tile {
    manner: longtail::gpu::matmul::Manner::Direct,
    edge: 8,
    threads_m: 2,
    threads_n: 4,
    depth: 0,
    subgroup: 0,
    matrices_m: 0,
    matrices_n: 0,
};

/// What only its text has.
const HANDING: [&str; 7] = [
    "subgroupBroadcast",
    "lane / 4u",
    "4u * lane",
    "store_eight",
    "lane % 4u",
    "lane >= 4u",
    "m + 8u + lane",
];

/// The tile whose threads hand over, where the device has subgroups for it.
fn handing_tile() -> Tile {
    let device = context().kernels().device();
    let info = device.adapter_info();
    let eight = (info.subgroup_min_size, info.subgroup_max_size) == (8, 8);
    match eight && device.features().contains(wgpu::Features::SUBGROUP) {
        true => Tile::broadcast(),
        false => DIRECT,
    }
}

/// What a mutant is run on.
#[derive(Clone, Copy)]
enum Subject {
    Product(MatmulRequest),
    /// Positive numbers, but for one infinity: at the end of the third row of A, or of the third column of B.
    Infinite(MatmulRequest, bool),
    Rows(ThroughNormRequest),
}

impl Subject {
    /// The text of the kernels that run, and whether what they give is right.
    fn conforms(self, kernels: &Kernels) -> (String, bool) {
        match self {
            Subject::Product(request) => {
                let text = kernels.matmul(&request).map(|matmul| matmul.key().wgsl()).unwrap_or_default();
                let case = Case::new(request, 5);
                let run = std::panic::catch_unwind(AssertUnwindSafe(|| case.run(kernels)));
                let right = matches!(run, Ok(Ok((_, found))) if case.ratio(&found) <= 1.0);
                (text, right)
            }
            Subject::Infinite(request, in_a) => {
                let text = kernels.matmul(&request).map(|matmul| matmul.key().wgsl()).unwrap_or_default();
                let mut case = Case::new(request, 5);
                for (matrix, infinite) in [(&mut case.a, in_a), (&mut case.b, !in_a)] {
                    let (rows, columns) = (matrix.rows, matrix.columns);
                    let mut values: Vec<f64> = matrix.values.iter().map(|value| value.abs() + 0.5).collect();
                    // The end of what the sum runs over, in the third row or column of C.
                    let along_rows = columns == request.k;
                    let place = if along_rows { 3 * columns - 1 } else { (rows - 1) * columns + 2 };
                    values[place] = if infinite { f64::INFINITY } else { values[place] };
                    *matrix = Matrix::new(matrix.spec, rows, columns, values);
                }
                let found = case.run(kernels).map(|(_, found)| found).unwrap_or_default();
                let third = |place: usize| if in_a { place / request.n == 2 } else { place % request.n == 2 };
                let mut places = found.iter().enumerate();
                let right = places.all(|(place, value)| match third(place) {
                    true => *value == f64::INFINITY,
                    false => value.is_finite(),
                });
                (text, right && !found.is_empty())
            }
            Subject::Rows(through) => {
                let text = |key: longtail::gpu::matmul::MatmulKey| key.wgsl();
                let both = [
                    kernels.row_norms(&through.rows).map(|norms| text(norms.key())),
                    kernels.through_norm(&through).map(|pass| text(pass.key())),
                ];
                let case = Rows::new(through.rows, 5);
                let run = std::panic::catch_unwind(AssertUnwindSafe(|| case.check(kernels, &through)));
                (both.into_iter().flatten().collect(), run.is_ok())
            }
        }
    }
}

fn product(layout: Layout) -> MatmulRequest {
    MatmulRequest::new(layout, 35, 69, 21).with_tile(DIRECT)
}

fn mutants() -> Vec<(Subject, &'static str, &'static str)> {
    let plain = |layout| Subject::Product(product(layout));
    let infinite = |layout, in_a| Subject::Infinite(product(layout), in_a);
    let fours = Subject::Product(MatmulRequest::new(Layout::Nt, 36, 72, 20).with_tile(DIRECT));
    let small = Subject::Product(product(Layout::Nt).with_tile(Tile::direct(4, 2, 4)));
    let staged = Subject::Product(product(Layout::Nn).with_tile(Tile::staged(4, 4, 4, 8)));
    let staged_tn = Subject::Product(product(Layout::Tn).with_tile(Tile::staged(8, 2, 2, 8)));
    let tall = Subject::Product(MatmulRequest::new(Layout::Nt, 90, 20, 6).with_tile(Tile::direct(4, 2, 4)));
    let wide = Subject::Product(MatmulRequest::new(Layout::Nt, 20, 90, 6).with_tile(Tile::direct(4, 2, 4)));
    let handed = |layout| Subject::Product(product(layout).with_tile(handing_tile()));
    let strided = Subject::Product(product(Layout::Nn).with_strides(23, 70, 71).with_origins(3, 1, 5));
    let updated = Subject::Product(product(Layout::Nt).with_accumulate().with_alpha(-0.5));
    let halves = |c, stride| {
        let mut request = product(Layout::Nt).with_elems(Element::F16, Element::Bf16, c);
        request.c.stride = stride;
        Subject::Product(request)
    };
    let half_fours = |c| {
        let request = MatmulRequest::new(Layout::Nt, 36, 72, 20).with_tile(DIRECT);
        Subject::Product(request.with_elems(Element::Bf16, Element::F16, c))
    };
    let factors = Subject::Product(
        product(Layout::Nn)
            .with_a_factors(RowFactors { parts: 3, origin: 2 })
            .with_b_factors(RowFactors { parts: 1, origin: 1 }),
    );
    let parts_of_four = Subject::Product(
        MatmulRequest::new(Layout::Nt, 9, 10, 36)
            .with_tile(Tile::direct(4, 2, 4))
            .with_a_factors(RowFactors { parts: 3, origin: 0 })
            .with_b_factors(RowFactors { parts: 2, origin: 0 }),
    );
    let late_request = product(Layout::Nt)
        .with_a_factors(RowFactors { parts: 1, origin: 2 })
        .with_b_factors(RowFactors { parts: 1, origin: 1 });
    let late = Subject::Product(late_request);
    let handed_late = Subject::Product(late_request.with_tile(handing_tile()));
    let handed_factors = Subject::Product(
        product(Layout::Nn).with_b_factors(RowFactors { parts: 1, origin: 1 }).with_tile(handing_tile()),
    );
    let offsets =
        Subject::Product(product(Layout::Nt).with_row_offsets(2).with_column_offsets(3).with_alpha(0.5));
    let sums = |tile, layout| Subject::Product(product(layout).with_tile(tile).with_row_sums(3));
    let added_sums = Subject::Product(product(Layout::Tn).with_row_sums(3).with_accumulate());
    let rows = |norm| {
        let mut request = RowNormsRequest::new(5, 90, norm);
        request.factors = RowFactors { parts: 2, origin: 3 };
        Subject::Rows(ThroughNormRequest::in_place(request))
    };
    let apart = Subject::Rows(ThroughNormRequest::apart(
        RowNormsRequest::new(5, 90, RowNorm::offset(0.5)),
        MatrixSpec { stride: 91, ..MatrixSpec::default() },
        MatrixSpec::default(),
    ));
    vec![
        // Which element meets which.
        (plain(Layout::Nt), "return transpose(mat4x4<f32>(\n    load_a", "return (mat4x4<f32>(\n    load_a"),
        (plain(Layout::Nt), "return transpose(mat4x4<f32>(\n    load_b", "return (mat4x4<f32>(\n    load_b"),
        (plain(Layout::Tn), "load_a(k + 3u, m)", "load_a(k + 2u, m)"),
        (plain(Layout::Nn), "load_b(k + 1u, n)", "load_b(k, n)"),
        (plain(Layout::Nt), "a[2], b[2]), a[3], b[3])", "a[2], b[2]), a[3], b[2])"),
        (plain(Layout::Nt), "q[1] + a.y * b", "q[1] + a.x * b"),
        (
            plain(Layout::Nt),
            "(*t).q10 = add_product((*t).q10, a1, b0)",
            "(*t).q10 = add_product((*t).q10, a0, b0)",
        ),
        (plain(Layout::Nt), "store_quad(m, n + SPREAD_N, t.q01)", "store_quad(m, n + SPREAD_N, t.q10)"),
        (small, "store_row(m + 2u, n, q[2])", "store_row(m + 2u, n, q[3])"),
        // Where things are.
        (strided, "params.a_origin + min", "min"),
        (strided, "* params.b_stride", "* params.n"),
        (strided, "params.c_origin + row * params.c_stride + column;", "row * params.c_stride + column;"),
        (
            wide,
            "group % params.tiles_m, group / params.tiles_m",
            "group / params.tiles_m, group % params.tiles_m",
        ),
        (tall, "group / tiles_n, group % tiles_n", "group % tiles_n, group / tiles_n"),
        (
            plain(Layout::Nt),
            "thread / THREADS_N, thread % THREADS_N",
            "thread % THREADS_N, thread / THREADS_N",
        ),
        (fours, "min(column, a_columns() - 4u)) >> 2u", "min(column, a_columns() - 8u)) >> 2u"),
        // Borders.
        (infinite(Layout::Nt, true), "inside & vec4<bool>(row < a_rows())", "vec4<bool>(row < a_rows())"),
        (infinite(Layout::Nt, false), "inside & vec4<bool>(row < b_rows())", "vec4<bool>(row < b_rows())"),
        (infinite(Layout::Tn, true), "inside & vec4<bool>(row < a_rows())", "inside"),
        (infinite(Layout::Tn, false), "inside & vec4<bool>(row < b_rows())", "inside"),
        (plain(Layout::Nt), "if (row >= params.m || column >= end) {", "if (column >= end) {"),
        (plain(Layout::Nt), "if (column + 1u < end) {", "if (column < end) {"),
        (plain(Layout::Nt), "k < params.k; k += 4u", "k + 4u < params.k; k += 4u"),
        (fours, "values, row < a_rows() && column < a_columns()", "values * 2.0, row < a_rows()"),
        // What is multiplied and added.
        (updated, "params.alpha * (value", "(value"),
        (updated, "params.accumulate != 0u", "params.accumulate == 0u"),
        (updated, "sum += load_c(row, column);", "sum -= load_c(row, column);"),
        (plain(Layout::Nt), "var tile: Tile;", "var tile: Tile; tile.q00[0].x = 1e-4;"),
        // Slabs.
        (staged, "start += DEPTH", "start += DEPTH + 4u"),
        (staged, "slab_a[at + QUADS_M] = values[1];", "slab_a[at + QUADS_M] = values[0];"),
        (staged, "slab_b[at + 3u * QUADS_N] = values[3];", ""),
        (staged, "block / (DEPTH / 4u), block % (DEPTH / 4u)", "block % (DEPTH / 4u), block / (DEPTH / 4u)"),
        (staged_tn, "block % quads, block / quads", "block / quads, block % quads"),
        (staged_tn, "k < DEPTH; k += 4u", "k < DEPTH; k += 8u"),
        // Handing over.
        (handed(Layout::Nt), "subgroupBroadcast(own, 6u)", "subgroupBroadcast(own, 5u)"),
        (handed(Layout::Tn), "subgroupBroadcast(own, 1u)", "subgroupBroadcast(own, 0u)"),
        (handed(Layout::Tn), "m + 4u * (lane / 4u)", "m + 4u * (lane % 4u)"),
        (handed(Layout::Nt), "place.y + 4u * lane", "place.y + 8u * lane"),
        (handed(Layout::Nt), "store_eight(m + 16u, n, lane, c,", "store_eight(m + 16u, n, lane, b,"),
        // 16 bits.
        (halves(Element::F32, 69), "16u * (at & 1u)", "16u * (1u - (at & 1u))"),
        (halves(Element::F32, 69), "let bits = (b[at >> 1u]", "let bits = (b[(at + 2u) >> 1u]"),
        (
            half_fours(Element::F32),
            "vec4<f32>(low.x, high.x, low.y, high.y)",
            "vec4<f32>(low.x, low.y, high.x, high.y)",
        ),
        (
            half_fours(Element::F32),
            "unpack2x16float(words.x), unpack2x16float(words.y)",
            "unpack2x16float(words.y), unpack2x16float(words.x)",
        ),
        (halves(Element::F16, 70), "power + 0x06800000u", "power + 0x07000000u"),
        (halves(Element::Bf16, 70), "bits + 0x7fffu + ((bits >> 16u) & 1u)", "bits"),
        (halves(Element::F16, 70), "(word & 0xffffu) | (c[at] & 0xffff0000u)", "word"),
        (
            halves(Element::F16, 70),
            "write_pair(at + 1u, column + 2u, end, value.zw)",
            "write_pair(at + 1u, column + 2u, end, value.xy)",
        ),
        (
            half_fours(Element::F16),
            "encode_16(value.xy), encode_16(value.zw)",
            "encode_16(value.xy), encode_16(value.xy)",
        ),
        (half_fours(Element::Bf16), "pack_bf16(value.x, value.y)", "pack_bf16(value.y, value.x)"),
        // Factors.
        (factors, "params.a_scale_origin + min(row", "min(row"),
        (factors, ") / params.a_part", ") / (params.a_part + 1u)"),
        (factors, "load_b(k + 1u, n) * scale_b(k + 1u, n)", "load_b(k + 1u, n) * scale_b(k, n)"),
        (factors, "* params.a_parts;", "* params.b_parts;"),
        (parts_of_four, "min(column / params.a_part", "min(0u * column"),
        (parts_of_four, "params.b_part % 4u == 0u", "params.b_part % 2u == 0u"),
        (late, "params.a_scale_origin + min(m", "min(m"),
        (late, "b_scales[at.z], b_scales[at.w]", "b_scales[at.w], b_scales[at.w]"),
        (late, "row.x * column.factor", "column.factor"),
        (late, "ColumnEnd(late_b(n)", "ColumnEnd(late_b(n + 4u)"),
        (handed_late, "let own = row_end(m + lane);", "let own = row_end(m);"),
        (handed_late, "subgroupBroadcast(own, 7u), column", "subgroupBroadcast(own, 6u), column"),
        (handed_factors, "params.b_scale_origin + min(k + lane % 4u", "min(k + lane % 4u"),
        (handed_factors, "min(k + lane % 4u", "min(k + lane % 2u"),
        (handed_factors, "block[3] * subgroupBroadcast(own, 3u)", "block[3] * subgroupBroadcast(own, 2u)"),
        // Offsets and sums.
        (offsets, "params.row_offset_origin + min(m", "min(m"),
        (offsets, "params.column_offset_origin + min", "min"),
        (offsets, "column_offsets[at.z], column_offsets[at.w]", "column_offsets[at.z], column_offsets[at.z]"),
        (offsets, "product + (row.y + column.offset)", "product + row.y"),
        (offsets, "product + (row.y + column.offset)", "product + column.offset"),
        (offsets, "product + (row.y + column.offset)", "product + params.alpha * (row.y + column.offset)"),
        (sums(DIRECT, Layout::Nt), "params.row_sum_origin + m", "m"),
        (added_sums, "row_sums[at] += sum;", "row_sums[at] = sum;"),
        (sums(DIRECT, Layout::Nn), "(a[0] + a[1]) + (a[2] + a[3])", "(a[0] + a[1]) + (a[2] + a[2])"),
        (
            sums(DIRECT, Layout::Nn),
            "put_row_sums(m + SPREAD_M, n, t.s1)",
            "put_row_sums(m + SPREAD_M, n, t.s0)",
        ),
        (sums(DIRECT, Layout::Nn), "add_rows((*t).s1, a1)", "add_rows((*t).s1, a0)"),
        (sums(DIRECT, Layout::Nn), "if (m >= params.m) {", "if (m > params.m) {"),
        (sums(Tile::direct(4, 2, 4), Layout::Nn), "add_rows((*t).s, a)", "(*t).s"),
        (
            sums(Tile::direct(4, 2, 4), Layout::Nn),
            "put_row_sum(m + 3u, sums.w)",
            "put_row_sum(m + 3u, sums.z)",
        ),
        (
            sums(handing_tile(), Layout::Nn),
            "put_row_sum(m + 8u + lane, row_sum(s1",
            "put_row_sum(m + 8u + lane, row_sum(s0",
        ),
        (
            sums(handing_tile(), Layout::Tn),
            "select(first, second, lane >= 4u)",
            "select(second, first, lane >= 4u)",
        ),
        (sums(handing_tile(), Layout::Tn), "lane >= 4u)[lane % 4u]", "lane >= 4u)[lane % 2u]"),
        // Rows.
        (rows(RowNorm::unit()), "squares += x * x;", "squares += abs(x);"),
        (
            rows(RowNorm::unit()),
            "(squares.x + squares.y) + (squares.z + squares.w)",
            "squares.x + squares.y + squares.z",
        ),
        (rows(RowNorm::unit()), "columns < vec4<u32>(end)", "columns <= vec4<u32>(end)"),
        (
            rows(RowNorm::unit()),
            "row_sums[thread] += row_sums[thread + half];",
            "row_sums[thread] += row_sums[half];",
        ),
        (rows(RowNorm::unit()), "params.a_scale_origin + part.scale] = sum", "part.scale] = sum"),
        (rows(RowNorm::unit()), "factor.along * product", "-factor.along * product"),
        (rows(RowNorm::power(0.7)), "params.power / norm / divisor", "1.0 / norm / divisor"),
        (rows(RowNorm::power(0.7)), "pow(divisor, -params.power)", "pow(divisor, params.power)"),
        (rows(RowNorm::offset(0.5)), "max(norm, params.eps) + params.offset", "max(norm, params.eps)"),
        (rows(RowNorm::offset(0.5)), "params.power / norm / divisor", "params.power / norm / norm"),
        (rows(RowNorm { eps: 100.0, ..RowNorm::unit() }), "norm >= params.eps && norm > 0.0", "norm > 0.0"),
        (rows(RowNorm::unit()), "(index % params.a_parts) * params.a_part", "0u"),
        (apart, "factor.scale * slope", "slope"),
        (
            apart,
            "load_gradient(part.row, column) - along * load_a(part.row, column)",
            "load_gradient(part.row, column)",
        ),
        (
            apart,
            "params.b_origin + min(row, b_rows() - 1u) * params.b_stride",
            "min(row, b_rows() - 1u) * params.a_stride",
        ),
    ]
}

#[test]
fn every_mutant_is_noticed() {
    let kernels = context().kernels();
    let mut tally = Tally::default();
    // What a mutant does to the comparison is a panic in many cases; its text is of no interest.
    std::panic::set_hook(Box::new(|_| {}));
    for (subject, from, to) in mutants() {
        if handing_tile() == DIRECT && HANDING.iter().any(|name| from.contains(name)) {
            continue;
        }
        tally.check_right("a product", kernels, (from, to), |kernels| subject.conforms(kernels));
    }
    drop(std::panic::take_hook());
    tally.close();
}
