//! Products that cannot be: each wrong argument has its typed error.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;

use gpu::{Arena, context};
use longtail::Element;
use longtail::Error;
use longtail::gpu::matmul::{Layout, Matmul, MatmulRequest, MatmulViews, RowFactors, Tile};
use longtail::gpu::{Kernels, View};

fn kernels() -> &'static Kernels {
    context().kernels()
}

fn request() -> MatmulRequest {
    MatmulRequest::new(Layout::Nt, 4, 6, 8).with_tile(Tile::direct(4, 1, 8))
}

fn refused(request: MatmulRequest) -> Error {
    kernels().matmul(&request).expect_err("is refused")
}

fn short(view: View<'_>) -> View<'_> {
    View { size: view.size - 4, ..view }
}

fn encode_with(matmul: &Matmul, views: &MatmulViews<'_>) -> longtail::Result<()> {
    let mut encoder = kernels().device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    matmul.encode(&mut pass, views)
}

#[test]
fn numbers() {
    for alpha in [f32::NAN, f32::INFINITY] {
        assert!(matches!(refused(request().with_alpha(alpha)), Error::Parameter { name: "alpha", .. }));
    }
    let strides = |a, b, c| refused(request().with_strides(a, b, c));
    assert!(matches!(strides(7, 0, 0), Error::Length { what: "A", expected: 8, found: 7 }));
    assert!(matches!(strides(0, 7, 0), Error::Length { what: "B", expected: 8, found: 7 }));
    assert!(matches!(strides(0, 0, 5), Error::Length { what: "C", expected: 6, found: 5 }));
    for parts in [0, 3, 16] {
        let factors = RowFactors { parts, origin: 0 };
        let error = refused(request().with_a_factors(factors));
        assert!(matches!(error, Error::Parameter { name: "a row's parts", .. }), "{error}");
        let error = refused(request().with_b_factors(factors));
        assert!(matches!(error, Error::Parameter { name: "a row's parts", .. }), "{error}");
    }
    // More than an index can name.
    let large = usize::MAX / 2;
    for (m, n, k) in [(large, 1, 1), (1, large, 1), (1, 1, large), (1 << 31, 2, 1), (1 << 20, 1 << 20, 1)] {
        let error = refused(MatmulRequest::new(Layout::Nt, m, n, k));
        assert!(matches!(error, Error::Limit { .. }), "{error}");
    }
    let error = refused(request().with_origins(large, 0, 0));
    assert!(matches!(error, Error::Limit { .. }), "{error}");
    let error = refused(request().with_strides(large, 0, 0));
    assert!(matches!(error, Error::Limit { .. }), "{error}");
}

#[test]
fn tiles() {
    let with = |change: fn(&mut Tile)| {
        let mut tile = Tile::staged(4, 4, 4, 8);
        change(&mut tile);
        refused(request().with_tile(tile))
    };
    let name = |error: Error| match error {
        Error::Parameter { name, .. } => name,
        other => panic!("{other}"),
    };
    for edge in [0, 1, 16] {
        assert_eq!(name(refused(request().with_tile(Tile::direct(edge, 1, 1)))), "a tile's edge");
    }
    assert_eq!(name(refused(request().with_tile(Tile::cooperative(4, 32)))), "a cooperative matrix's edge");
    assert_eq!(name(with(|tile| tile.threads_m = 0)), "a tile's threads");
    assert_eq!(name(with(|tile| tile.threads_n = 65)), "a tile's threads");
    assert_eq!(name(with(|tile| tile.depth = 0)), "a tile's depth");
    assert_eq!(name(with(|tile| tile.depth = 6)), "a tile's depth");
    assert_eq!(name(with(|tile| tile.subgroup = 32)), "a tile's subgroup");
    let mut direct = Tile::direct(4, 1, 1);
    direct.depth = 4;
    assert_eq!(name(refused(request().with_tile(direct))), "a tile's depth");
    let mut cooperative = Tile::cooperative(16, 32);
    cooperative.subgroup = 0;
    assert_eq!(name(refused(request().with_tile(cooperative))), "a tile's subgroup");
    // What the device cannot run.
    let limits = kernels().device().limits();
    let threads = refused(request().with_tile(Tile::direct(4, 64, 64)));
    assert!(matches!(threads, Error::Limit { needed: 4096, .. }), "{threads}");
    let bytes = refused(request().with_tile(Tile::staged(8, 16, 16, 128)));
    let allowed = u64::from(limits.max_compute_workgroup_storage_size);
    assert!(
        matches!(bytes, Error::Limit { needed: 131_072, allowed: found, .. } if found == allowed),
        "{bytes}"
    );
    // Cooperative matrices are f16, and this device says that it has none.
    let error = refused(request().with_tile(Tile::cooperative(16, 32)));
    assert!(matches!(error, Error::Combination { first: "cooperative matrices", .. }), "{error}");
    let info = kernels().device().adapter_info();
    let halves = |subgroup| {
        let tile = Tile::cooperative(16, subgroup);
        refused(request().with_elems(Element::F16, Element::F16, Element::F32).with_tile(tile))
    };
    if !kernels().device().features().contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
        && info.subgroup_min_size == info.subgroup_max_size
    {
        let error = halves(info.subgroup_max_size);
        assert!(matches!(error, Error::MissingFeature { .. }), "{error}");
    }
    // Subgroups of another size.
    let other = if info.subgroup_max_size == 64 { 32 } else { 64 };
    let error = halves(other);
    assert!(matches!(&error, Error::Limit { what, .. } if what == "threads in a subgroup"), "{error}");
    let mut broadcast = Tile::broadcast();
    broadcast.edge = 8;
    assert_eq!(name(refused(request().with_tile(broadcast))), "a broadcast tile's edge");
}

/// A product with views of the right sizes, and the same with one of them changed.
#[test]
fn views() {
    let request =
        request().with_a_factors(RowFactors::default()).with_b_factors(RowFactors { parts: 2, origin: 1 });
    let matmul = kernels().matmul(&request).unwrap();
    let mut arena = Arena::new(false);
    let ranges = [32, 48, 24, 4, 13, 64].map(|words| arena.add(&vec![0; words]));
    arena.upload(kernels());
    let [a, b, c, a_factors, b_factors, other] = ranges.map(|range| arena.view(range));
    let right = MatmulViews::new(a, b, c).with_a_factors(a_factors).with_b_factors(b_factors);
    let encode = |views: &MatmulViews<'_>| {
        let mut encoder =
            kernels().device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        matmul.encode(&mut pass, views)
    };
    assert_eq!(encode(&right), Ok(()));
    // Too short; longer is fine.
    let wrong = [
        ("A", 128, MatmulViews { a: short(a), ..right }),
        ("B", 192, MatmulViews { b: short(b), ..right }),
        ("C", 96, MatmulViews { c: short(c), ..right }),
        ("the factors of B", 52, right.with_b_factors(short(b_factors))),
    ];
    for (what, expected, views) in wrong {
        assert_eq!(encode(&views), Err(Error::Length { what, expected, found: expected - 4 }));
    }
    assert_eq!(encode(&MatmulViews { a: View { size: a.size + 4, ..a }, ..right }), Ok(()));
    // Beyond the buffer, off the alignment.
    let found = encode(&MatmulViews { a: View { size: 1 << 20, ..a }, ..right });
    assert!(matches!(found, Err(Error::Length { what: "A", .. })), "{found:?}");
    let found = encode(&MatmulViews { a: View::new(other.buffer, 4, 128), ..right });
    assert!(matches!(found, Err(Error::Alignment { what: "A", offset: 4, .. })), "{found:?}");
    // Missing and in vain.
    let found = encode(&MatmulViews { a_factors: None, ..right });
    assert!(matches!(found, Err(Error::Missing { what: "the factors of A", .. })), "{found:?}");
    let mut plain = request;
    plain.a_factors = None;
    let found = encode_with(&kernels().matmul(&plain).unwrap(), &right);
    assert!(matches!(found, Err(Error::Unexpected { what: "the factors of A", .. })), "{found:?}");
    // A buffer that is no storage.
    let buffer = kernels().device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 128,
        usage: wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let found = encode(&MatmulViews { a: View::whole(&buffer), ..right });
    assert!(matches!(found, Err(Error::BufferUsage { what: "A", missing: "STORAGE" })), "{found:?}");
}

#[test]
fn views_that_meet() {
    let mut arena = Arena::new(true);
    let ranges = [32, 48, 24, 13].map(|words| arena.add(&vec![0; words]));
    arena.upload(kernels());
    let [a, b, c, factors] = ranges.map(|range| arena.view(range));
    let encode = |request, views| encode_with(&kernels().matmul(&request).unwrap(), &views);
    let overlap = |found: longtail::Result<()>, other: &str| match found {
        Err(Error::Overlap { first: "C", second, .. }) => assert_eq!(second, other),
        other => panic!("{other:?}"),
    };
    // One buffer needs a shared request; bytes are never shared.
    overlap(encode(request(), MatmulViews::new(a, b, c)), "A");
    assert_eq!(encode(request().with_shared(), MatmulViews::new(a, b, c)), Ok(()));
    overlap(encode(request().with_shared(), MatmulViews::new(a, b, View { size: 96, ..a })), "A");
    overlap(encode(request().with_shared(), MatmulViews::new(a, b, View { size: 96, ..b })), "B");
    // A and B may be the same.
    let square = MatmulRequest::new(Layout::Nt, 4, 4, 8).with_shared();
    assert_eq!(encode(square, MatmulViews::new(a, a, c)), Ok(()));
    // Factors are only read: their buffer holds nothing that may be written.
    let scaled = request().with_shared().with_a_factors(RowFactors::default());
    overlap(encode(scaled, MatmulViews::new(a, b, c).with_a_factors(factors)), "the factors of A");
    // Sums are written: they need a buffer of their own.
    let summed = request().with_shared().with_row_sums(0);
    let views = MatmulViews { row_sums: Some(factors), ..MatmulViews::new(a, b, c) };
    overlap(encode(summed, views), "the sums of A");
    let mut apart = Arena::new(false);
    let range = apart.add(&[0; 13]);
    apart.upload(kernels());
    let own = apart.view(range);
    let offsets = request().with_shared().with_row_sums(0).with_row_offsets(0);
    let views = MatmulViews { row_sums: Some(own), row_offsets: Some(own), ..MatmulViews::new(a, b, c) };
    let found = encode(offsets, views);
    assert!(matches!(found, Err(Error::Overlap { first: "the sums of A", .. })), "{found:?}");
}

/// Offsets and sums: missing, in vain, too short, and what they do not go with.
#[test]
fn numbers_of_rows_and_columns() {
    let mut arena = Arena::new(false);
    let ranges = [32, 48, 24, 5, 6, 4].map(|words| arena.add(&vec![0; words]));
    arena.upload(kernels());
    let [a, b, c, rows, columns, sums] = ranges.map(|range| arena.view(range));
    let full = request().with_row_offsets(1).with_column_offsets(0).with_row_sums(0);
    let views = MatmulViews {
        row_offsets: Some(rows),
        column_offsets: Some(columns),
        row_sums: Some(sums),
        ..MatmulViews::new(a, b, c)
    };
    let matmul = kernels().matmul(&full).unwrap();
    assert_eq!(encode_with(&matmul, &views), Ok(()));
    let wrong = [
        ("what is added to the rows", 20, MatmulViews { row_offsets: Some(short(rows)), ..views }),
        ("what is added to the columns", 24, MatmulViews { column_offsets: Some(short(columns)), ..views }),
        ("the sums of A", 16, MatmulViews { row_sums: Some(short(sums)), ..views }),
    ];
    for (what, expected, views) in wrong {
        let found = encode_with(&matmul, &views);
        assert_eq!(found, Err(Error::Length { what, expected, found: expected - 4 }));
    }
    let found = encode_with(&matmul, &MatmulViews { row_sums: None, ..views });
    assert!(matches!(found, Err(Error::Missing { what: "the sums of A", .. })), "{found:?}");
    let found = encode_with(&kernels().matmul(&request()).unwrap(), &views);
    assert!(matches!(found, Err(Error::Unexpected { what: "what is added to the rows", .. })), "{found:?}");
    let error = refused(request().with_row_sums(0).with_a_factors(RowFactors::default()));
    assert!(matches!(error, Error::Combination { first: "sums of A", .. }), "{error}");
    let error = refused(request().with_row_offsets(1 << 40));
    assert!(matches!(error, Error::Limit { .. }), "{error}");
}

/// Software adapters end loops early: a product that would need longer ones is refused.
#[test]
fn long_sums() {
    let product = |k| kernels().matmul(&MatmulRequest::new(Layout::Nt, 1, 1, k));
    assert!(product(131_072).is_ok());
    if kernels().device().adapter_info().device_type == wgpu::DeviceType::Cpu {
        let found = product(131_073);
        assert!(matches!(found, Err(Error::Limit { needed: 131_073, .. })), "{found:?}");
    }
}
