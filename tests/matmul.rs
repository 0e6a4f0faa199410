//! Products on the adapter against f64: every shape, element type, place and tile, within the bound of the error
//! analysis in `support/matrix.rs`.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/matrix.rs"]
mod matrix;

use gpu::context;
use longtail::Element;
use longtail::gpu::matmul::{Layout, Manner, MatmulRequest, MatrixSpec, RowFactors, Tile, Words};
use matrix::{Case, Matrix, bits, number, rounded};

const LAYOUTS: [Layout; 3] = [Layout::Nt, Layout::Nn, Layout::Tn];
const SIZES: [usize; 6] = [1, 3, 17, 64, 65, 257];
const ELEMS: [Element; 3] = [Element::F32, Element::F16, Element::Bf16];

/// Small tiles of every manner, which compile fast and fit every device.
fn tiles() -> Vec<Tile> {
    let kernels = context().kernels();
    let limits = kernels.device().limits();
    let info = kernels.device().adapter_info();
    let subgroup = kernels.device().features().contains(wgpu::Features::SUBGROUP)
        && (info.subgroup_min_size, info.subgroup_max_size) == (8, 8);
    let all = [
        Tile::direct(4, 1, 1),
        Tile::direct(8, 1, 8),
        Tile::direct(4, 8, 2),
        Tile::broadcast(),
        Tile::staged(4, 1, 1, 4),
        Tile::staged(4, 8, 2, 16),
        Tile::staged(8, 2, 4, 8),
        Tile::staged(8, 8, 8, 16),
        Tile::staged(8, 16, 16, 8),
    ];
    all.into_iter()
        .filter(|tile| {
            (tile.subgroup == 0 || subgroup)
                && tile.workgroup() <= limits.max_compute_invocations_per_workgroup
                && tile.workgroup_bytes() <= limits.max_compute_workgroup_storage_size
        })
        .collect()
}

fn report(cases: usize) {
    println!("{cases} products on the GPU");
    assert!(cases > 0, "no GPU case ran");
}

#[test]
fn every_shape_in_every_role() {
    let mut cases = 0;
    for layout in LAYOUTS {
        for m in SIZES {
            for n in SIZES {
                for k in SIZES {
                    let case = Case::new(MatmulRequest::new(layout, m, n, k), (m * 7 + n * 5 + k) as u32);
                    case.check(context().kernels());
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 648);
    report(cases);
}

#[test]
fn every_element_type() {
    let mut cases = 0;
    let mut words = std::collections::HashSet::new();
    for a in ELEMS {
        for b in ELEMS {
            for c in ELEMS {
                // By fours, and not: what is odd on one matrix is even on another. An odd C of 16 bits is
                // `odd_rows_of_16_bits`.
                for (turn, (m, n, k)) in [(20, 12, 16), (6, 14, 7), (9, 6, 12)].into_iter().enumerate() {
                    // Each type meets each layout.
                    let request = MatmulRequest::new(LAYOUTS[(cases + turn) % 3], m, n, k)
                        .with_elems(a, b, c)
                        .with_tile(Tile::direct(4, 1, 8));
                    let matmul = Case::new(request, cases as u32).check(context().kernels());
                    words.extend([matmul.key().a, matmul.key().b, matmul.key().c]);
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(words.len(), 6, "{words:?}");
    report(cases);
}

#[test]
fn every_tile() {
    let mut cases = 0;
    for tile in tiles() {
        for layout in LAYOUTS {
            // Within a tile, on its border, beyond it; k within a slab, whole slabs, beyond.
            let (m, n) = (tile.group_m() as usize, tile.group_n() as usize);
            let depth = tile.depth.max(4) as usize;
            for (m, n, k) in [(m - 1, n + 1, depth + 1), (m, n, 2 * depth), (m + 2, 2 * n - 3, depth - 1)] {
                let request = MatmulRequest::new(layout, m, n, k).with_tile(tile);
                let matmul = Case::new(request, cases).check(context().kernels());
                assert_eq!(matmul.key().tile, tile);
                cases += 1;
            }
            if layout == LAYOUTS[cases as usize % 3] {
                let request = MatmulRequest::new(layout, 33, 68, 36).with_tile(tile);
                Case::new(request.with_elems(Element::F16, Element::Bf16, Element::F16), cases)
                    .check(context().kernels());
                cases += 1;
            }
        }
    }
    report(cases as usize);
}

#[test]
fn every_place() {
    let mut cases = 0;
    // Gaps between rows, beginnings inside of the binding; by fours and not.
    let gaps = [(0, 0, 0), (3, 0, 5), (1, 2, 3), (4, 8, 4), (64, 4, 0)];
    let origins = [(0, 0, 0), (5, 0, 3), (1, 7, 2), (4, 8, 12), (0, 64, 4)];
    for (turn, layout) in LAYOUTS.into_iter().enumerate() {
        for gap in gaps {
            for origin in origins {
                for (m, n, k) in [(11, 9, 5), (12, 8, 16)] {
                    let columns = match layout {
                        Layout::Nt => (k, k, n),
                        Layout::Nn => (k, n, n),
                        _ => (m, n, n),
                    };
                    let mut request = MatmulRequest::new(layout, m, n, k)
                        .with_strides(columns.0 + gap.0, columns.1 + gap.1, columns.2 + gap.2)
                        .with_origins(origin.0, origin.1, origin.2)
                        .with_alpha([1.0, -0.75, 3.0][cases % 3])
                        .with_tile([Tile::direct(4, 1, 8), Tile::staged(4, 2, 4, 8)][turn % 2]);
                    request.accumulate = cases % 2 == 1;
                    request.shared = cases % 4 > 1;
                    Case::new(request, cases as u32).check(context().kernels());
                    cases += 1;
                }
            }
        }
    }
    report(cases);
}

#[test]
fn factors_of_rows() {
    let mut cases = 0u32;
    for layout in LAYOUTS {
        for (m, n, k) in [(12, 24, 36), (66, 18, 30)] {
            let (a_columns, b_columns) = match layout {
                Layout::Nt => (k, k),
                Layout::Nn => (k, n),
                _ => (m, n),
            };
            for (a_parts, b_parts) in [(1, 0), (0, 1), (1, 1), (2, 1), (3, 6), (1, b_columns), (a_columns, 0)]
            {
                let factors = |columns: usize, parts: usize, origin| {
                    let wanted = parts > 0 && columns.is_multiple_of(parts);
                    wanted.then_some(RowFactors { parts, origin })
                };
                let mut request = MatmulRequest::new(layout, m, n, k).with_alpha(0.5);
                request.a_factors = factors(a_columns, a_parts, (cases % 3) as usize);
                request.b_factors = factors(b_columns, b_parts, (cases % 5) as usize);
                request.shared = cases.is_multiple_of(2);
                request.tile = Some([Tile::direct(4, 1, 8), Tile::staged(4, 4, 4, 8)][cases as usize % 2]);
                Case::new(request, cases).check(context().kernels());
                cases += 1;
                if tiles().contains(&Tile::broadcast()) && b_parts == 1 && m == 66 {
                    Case::new(request.with_tile(Tile::broadcast()), cases).check(context().kernels());
                    cases += 1;
                }
            }
        }
    }
    report(cases as usize);
}

/// One small tile of each manner.
fn manners() -> impl Iterator<Item = Tile> {
    let all = [Tile::direct(4, 1, 8), Tile::direct(8, 2, 4), Tile::staged(4, 4, 4, 8), Tile::broadcast()];
    let there = tiles();
    all.into_iter().filter(move |tile| tile.subgroup == 0 || there.contains(tile))
}

/// What is added to rows and columns when C is stored, and the sums of what stands before its rows, with factors beside
/// them: more rows and columns than a tile has, fewer, by fours, and a sum over nothing.
#[test]
fn offsets_and_sums() {
    let mut cases = 0u32;
    let mut check = |request: MatmulRequest| {
        Case::new(request, cases).check(context().kernels());
        cases += 1;
    };
    for layout in LAYOUTS {
        for tile in manners() {
            for (m, n, k) in [(67, 35, 21), (1, 3, 1)] {
                let base = MatmulRequest::new(layout, m, n, k).with_tile(tile).with_alpha(0.5);
                let base = base.with_b_factors(RowFactors { parts: 1, origin: 1 });
                let offsets = base.with_row_offsets(3).with_column_offsets(0);
                check(offsets.with_a_factors(RowFactors { parts: 1, origin: 1 }));
                check(base.with_row_sums(5));
                check(base.with_row_sums(0).with_accumulate());
            }
        }
        let fours = MatmulRequest::new(layout, 44, 40, 36).with_shared();
        check(fours.with_row_sums(2).with_column_offsets(1).with_accumulate());
        let nothing = MatmulRequest::new(layout, 5, 9, 0).with_tile(Tile::direct(4, 1, 8));
        check(nothing.with_row_offsets(2).with_row_sums(1));
    }
    report(cases as usize);
}

/// Rows of 16 bits that begin inside of a word: f16 needs the device's own type, bf16 has none.
#[test]
fn odd_rows_of_16_bits() {
    let kernels = context().kernels();
    let native = kernels.device().features().contains(wgpu::Features::SHADER_F16);
    let mut cases = 0;
    for elem in [Element::F16, Element::Bf16] {
        for (stride, origin) in [(0, 0), (7, 0), (8, 1), (0, 1)] {
            let mut request = MatmulRequest::new(Layout::Nt, 5, 7, 6).with_tile(Tile::direct(4, 1, 8));
            request.c = MatrixSpec { elem, stride, origin };
            request.accumulate = origin == 1;
            let case = Case::new(request, cases);
            cases += 1;
            if elem == Element::F16 && native {
                assert_eq!(case.check(kernels).key().c, Words::F16Native);
            } else {
                assert!(matches!(
                    case.run(kernels),
                    Err(longtail::Error::Alignment { what: "C", required: 4, .. })
                ));
            }
        }
        // One row has no next one, and a padded stride is even.
        for (m, stride) in [(1, 0), (5, 8)] {
            let mut request = MatmulRequest::new(Layout::Nt, m, 7, 6).with_tile(Tile::direct(4, 1, 8));
            request.c = MatrixSpec { elem, stride, origin: 2 };
            let matmul = Case::new(request, cases).check(kernels);
            assert_ne!(matmul.key().c, Words::F16Native);
            cases += 1;
        }
    }
    report(cases as usize);
}

/// Numbers that 16 bits do not have: rounded to the nearest, ties to even, subnormals, overflow.
#[test]
fn rounding_to_16_bits() {
    let values: Vec<f32> = [
        1.0,
        1.0 + 1.0 / 2048.0,
        1.0 + 3.0 / 2048.0,
        1.0 + 1.001 / 2048.0,
        1.0 + 1.0 / 256.0,
        1.0 + 3.0 / 256.0,
        -1.0 - 1.0 / 2048.0,
        65504.0,
        65519.0,
        65520.0,
        -65520.0,
        1e6,
        6.1e-5,
        5.9e-5,
        2.98e-8,
        2.99e-8,
        8.95e-8,
        1e-9,
        -3.0e-6,
        0.0,
        3.0e38,
        3.4e38,
        1.5e-39,
        0.1,
        123.456,
        -2.0f32.powi(-14),
        2.0f32.powi(-24),
        1.5 * 2.0f32.powi(-24),
    ]
    .to_vec();
    let n = values.len();
    let wide: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
    for elem in [Element::F16, Element::Bf16] {
        for stride in [n, n + 2] {
            let mut request = MatmulRequest::new(Layout::Nn, 1, n, 1).with_tile(Tile::direct(4, 1, 8));
            request.c = MatrixSpec { elem, stride, origin: 0 };
            let mut case = Case::new(request, 1);
            case.a = Matrix::new(MatrixSpec::default(), 1, 1, vec![1.0]);
            case.b = Matrix::new(MatrixSpec::default(), 1, n, wide.clone());
            let (_, found) = case.run(context().kernels()).unwrap();
            for (found, value) in found.iter().zip(&wide) {
                // Subnormal f32 may be flushed on the way.
                let expected = if value.abs() < 1.2e-38 { 0.0 } else { rounded(elem, *value) };
                assert!(
                    *found == expected || value.abs() < 1.2e-38,
                    "{elem:?}: {value:e} became {found:e}, not {expected:e}"
                );
                assert_eq!(number(elem, bits(elem, expected)), expected);
            }
        }
    }
    report(4);
}

#[test]
fn empty_products() {
    let kernels = context().kernels();
    let mut cases = 0;
    for layout in LAYOUTS {
        for tile in [None, Some(Tile::staged(4, 2, 4, 8))] {
            for accumulate in [false, true] {
                let mut request = MatmulRequest::new(layout, 5, 6, 0);
                (request.tile, request.accumulate) = (tile, accumulate);
                let case = Case::new(request, 3);
                let (_, found) = case.run(kernels).unwrap();
                let expected = if accumulate { case.c.values.clone() } else { vec![0.0; 30] };
                assert_eq!(found, expected);
                cases += 1;
            }
            for (m, n) in [(0, 4), (4, 0), (0, 0)] {
                let mut request = MatmulRequest::new(layout, m, n, 3);
                request.tile = tile;
                let (matmul, found) = Case::new(request, 3).run(kernels).unwrap();
                assert!(found.is_empty());
                assert_eq!(matmul.grid().0, 0);
            }
        }
    }
    report(cases);
}

#[test]
fn more_workgroups_than_one_dimension_has() {
    let kernels = context().kernels();
    let tile = Tile::direct(4, 1, 1);
    let request = MatmulRequest::new(Layout::Nt, 5, 4 * 40_000, 1).with_tile(tile);
    let matmul = Case::new(request, 5).check(kernels);
    assert!(matmul.grid().1 > 1, "{:?}", matmul.grid());
    let request = MatmulRequest::new(Layout::Tn, 4 * 70_000, 3, 2).with_tile(tile).with_alpha(2.0);
    let matmul = Case::new(request, 6).check(kernels);
    assert!(matmul.grid().1 > 1, "{:?}", matmul.grid());
    report(2);
}

/// The same request gives the same bits on every run, and adding in two steps is what was asked for.
#[test]
fn the_same_bits_on_every_run() {
    let kernels = context().kernels();
    let request = MatmulRequest::new(Layout::Nt, 70, 50, 300);
    let case = Case::new(request, 9);
    let (_, first) = case.run(kernels).unwrap();
    let (_, second) = case.run(kernels).unwrap();
    assert_eq!(first, second);
    // The half sums of a split k, added on the device: the sum of what the halves give, rounded once more.
    let half = |origin| {
        let mut request = MatmulRequest::new(Layout::Nt, 70, 50, 150);
        request.a = MatrixSpec { stride: 300, origin, ..request.a };
        request.b = MatrixSpec { stride: 300, origin, ..request.b };
        let mut case = Case::new(request, 9);
        let cut = |matrix: &Matrix, spec| {
            let rows = matrix.values.chunks(300).flat_map(|row| row[origin..origin + 150].to_vec());
            Matrix::new(spec, matrix.rows, 150, rows.collect())
        };
        case.a = cut(&Case::new(MatmulRequest::new(Layout::Nt, 70, 50, 300), 9).a, request.a);
        case.b = cut(&Case::new(MatmulRequest::new(Layout::Nt, 70, 50, 300), 9).b, request.b);
        case
    };
    let (_, low) = half(0).run(kernels).unwrap();
    let mut high = half(150);
    high.request.accumulate = true;
    high.c = Matrix::new(MatrixSpec::default(), 70, 50, low.clone());
    let (_, both) = high.run(kernels).unwrap();
    let (_, alone) = half(150).run(kernels).unwrap();
    for ((both, low), alone) in both.iter().zip(&low).zip(&alone) {
        assert_eq!(*both, f64::from(*low as f32 + *alone as f32));
    }
    report(6);
}

/// NaN and infinity reach the sums that they are part of and no others.
#[test]
fn what_is_not_finite_stays_in_its_row() {
    let kernels = context().kernels();
    for tile in [Tile::direct(8, 1, 8), Tile::staged(4, 4, 4, 8)] {
        for bad in [f64::NAN, f64::INFINITY] {
            let request = MatmulRequest::new(Layout::Nt, 18, 21, 13).with_tile(tile);
            let mut case = Case::new(request, 2);
            let mut values = case.a.values.clone();
            values.iter_mut().for_each(|value| *value = value.abs() + 0.5);
            values[7 * 13 + 12] = bad;
            case.a = Matrix::new(MatrixSpec::default(), 18, 13, values);
            case.b.values.iter_mut().for_each(|value| *value = value.abs() + 0.5);
            case.b = Matrix::new(MatrixSpec::default(), 21, 13, case.b.values.clone());
            let (_, found) = case.run(kernels).unwrap();
            for (position, value) in found.iter().enumerate() {
                // What stands for k beyond 13 adds nothing, not even to an infinity.
                let expected = if bad.is_nan() { value.is_nan() } else { *value == bad };
                let right = if position / 21 == 7 { expected } else { value.is_finite() };
                assert!(right, "{position}: {value}");
            }
        }
    }
    report(4);
}

/// What the adapter gets without being told, and updates of what multiplies.
#[test]
fn choices_and_updates() {
    let kernels = context().kernels();
    let software = context().adapter_info().device_type == wgpu::DeviceType::Cpu;
    let tile = kernels.matmul(&MatmulRequest::new(Layout::Nt, 512, 512, 8)).unwrap().key().tile;
    assert_eq!(tile.manner == Manner::Staged, !software, "{tile:?}");

    let case = Case::new(MatmulRequest::new(Layout::Nt, 9, 8, 4).with_accumulate().with_alpha(-2.0), 4);
    let mut matmul = kernels.matmul(&MatmulRequest::new(Layout::Nt, 9, 8, 4)).unwrap();
    matmul.update(-2.0, true).unwrap();
    let mut arena = gpu::Arena::new(false);
    let ranges = [&case.a, &case.b, &case.c].map(|matrix| arena.add(&matrix.words()));
    arena.upload(kernels);
    let views = ranges.map(|range| arena.view(range));
    let views = longtail::gpu::matmul::MatmulViews::new(views[0], views[1], views[2]);
    let mut encoder = kernels.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    matmul.encode(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()), &views).unwrap();
    kernels.queue().submit([encoder.finish()]);
    let found = case.c.read(&arena.read(kernels, &[ranges[2]])[ranges[2]]);
    assert!(case.ratio(&found) <= 1.0);
    assert!(matmul.update(f32::NAN, false).is_err());
    report(1);
}
