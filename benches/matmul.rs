//! Products and row normalisation of classifier heads. On a GPU a table of products comes first, with several tiles, by the
//! device's clock; then all by criterion: processor time on software adapters, the device's elsewhere.
//!
//! `cargo bench --bench matmul [-- --table | FILTER]`

#[path = "../tests/support/cooperative.rs"]
mod cooperative;
#[path = "support/passes.rs"]
mod passes;

use std::time::{Duration, Instant};

use cooperative::{Cooperative, cooperative};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group};
use longtail::Element;
use longtail::gpu::matmul::{
    Layout, Manner, Matmul, MatmulRequest, MatmulViews, RowNormsRequest, ThroughNormRequest, Tile,
};
use longtail::gpu::{Context, Kernels, View};
use longtail::head::RowNorm;
use passes::clock::{timed_by, warm};
use passes::{buffer, timed};
use rand::{RngExt as _, SeedableRng as _};

type Failure = Box<dyn std::error::Error>;
/// Batch, dimension, classes of a head; m, n, k of a product.
type Shape = (usize, usize, usize);

const ROUNDS: usize = 5;
const ROUND_SECONDS: f64 = 0.03;
/// A GPU that idles has a low clock, and takes a while to raise it.
const HELP: &str = "Usage: cargo bench --bench matmul [-- --table | FILTER | criterion's options]

Times products and row normalisation of classifier heads on the adapter that it prints. On a GPU a table comes first unless
there is a FILTER: the three products of a head, two products with two tiles, those of halves, and where the adapter has
cooperative matrices (tensor cores) products of halves by tiles of several sizes; each the least of 5 rounds of about 30 ms by the device's
clock. `*` is the tile that a plan chooses. What the device refuses is skipped. Then criterion measures matmul/ and rows/ ids:
for 2 to 3 seconds each on a software adapter, for 0.3 on a GPU.
  --table   print the table alone, for smaller products on a software adapter
  FILTER    measure the ids that contain it, without the table
";

/// A product with its matrices.
struct Product {
    matmul: Matmul,
    a: wgpu::Buffer,
    b: wgpu::Buffer,
    c: wgpu::Buffer,
}

impl Product {
    fn new(kernels: &Kernels, request: &MatmulRequest) -> Result<Self, Failure> {
        let MatmulRequest { m, n, k, .. } = *request;
        let matmul = kernels.matmul(request)?;
        let a = numbers(kernels, request.a.elem, m * k)?;
        let b = numbers(kernels, request.b.elem, n * k)?;
        let c = empty(kernels, bytes(request.c.elem, m * n))?;
        Ok(Self { matmul, a, b, c })
    }

    fn encode(&self, pass: &mut wgpu::ComputePass<'_>) -> longtail::Result<()> {
        let views = MatmulViews::new(View::whole(&self.a), View::whole(&self.b), View::whole(&self.c));
        self.matmul.encode(pass, &views)
    }
}

fn bytes(elem: Element, count: usize) -> u64 {
    (count as u64 * elem.bytes()).next_multiple_of(4)
}

/// A buffer for a matrix, if the device can bind one of this size.
fn empty(kernels: &Kernels, size: u64) -> Result<wgpu::Buffer, Failure> {
    let limits = kernels.device().limits();
    let allowed = limits.max_buffer_size.min(limits.max_storage_buffer_binding_size);
    if size > allowed {
        return Err(format!("a matrix of {size} bytes, and the device allows {allowed}").into());
    }
    Ok(kernels.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    }))
}

/// A matrix of numbers from 0.5 to 1 of either sign: all bits that may vary do, since a chip's power, and with it its clock,
/// depends on them. A piece is made here and copied over the matrix on the device, which takes no time for 1 GiB.
fn numbers(kernels: &Kernels, elem: Element, count: usize) -> Result<wgpu::Buffer, Failure> {
    // Which bits vary, and the exponent of 0.5.
    let (vary, fixed) = match elem {
        Element::F32 => (0x807f_ffff, 0x3f00_0000),
        Element::F16 => (0x83ff_83ff, 0x3800_3800),
        _ => (0x807f_807f, 0x3f00_3f00),
    };
    let matrix = empty(kernels, bytes(elem, count))?;
    let size = matrix.size().min(4 << 20);
    let mut random = rand::rngs::SmallRng::seed_from_u64(7);
    let words: Vec<u32> = (0..size / 4).map(|_| random.random::<u32>() & vary | fixed).collect();
    let piece = empty(kernels, size)?;
    kernels.queue().write_buffer(&piece, 0, bytemuck::cast_slice(&words));
    let mut encoder = kernels.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    for start in (0..matrix.size()).step_by(size as usize) {
        let length = size.min(matrix.size() - start);
        encoder.copy_buffer_to_buffer(&piece, 0, &matrix, start, length);
    }
    kernels.queue().submit([encoder.finish()]);
    Ok(matrix)
}

/// The products of a head: logits, features' gradient, weights' gradient.
fn of_head((batch, dim, classes): Shape) -> [(&'static str, MatmulRequest); 3] {
    [
        ("logits", MatmulRequest::new(Layout::Nt, batch, classes, dim)),
        ("features", MatmulRequest::new(Layout::Nn, batch, dim, classes)),
        ("weights", MatmulRequest::new(Layout::Tn, classes, dim, batch)),
    ]
}

/// Seconds that a product takes, of `times` in one pass.
fn round(kernels: &Kernels, product: &Product, times: u64) -> Result<f64, Failure> {
    let software = kernels.device().adapter_info().device_type == wgpu::DeviceType::Cpu;
    let mut recorded = Ok(());
    let took = timed_by(kernels, |encoder| {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        recorded = (0..times).try_for_each(|_| product.encode(&mut pass));
    });
    recorded?;
    Ok(took.steady(software).as_secs_f64() / times as f64)
}

/// Runs a product again and again until a GPU's clock is up.
fn warm_by_product(kernels: &Kernels) -> Result<(), Failure> {
    let product = Product::new(kernels, &MatmulRequest::new(Layout::Nt, 2048, 2048, 2048))?;
    let mut ran = Ok(());
    warm(false, || ran = round(kernels, &product, 1).map(drop));
    ran
}

/// The least of several rounds, and the tile.
fn measure(kernels: &Kernels, request: &MatmulRequest) -> Result<(Tile, f64), Failure> {
    let product = Product::new(kernels, request)?;
    // The first one waits for the matrices.
    round(kernels, &product, 1)?;
    let once = round(kernels, &product, 1)?;
    let times = ((ROUND_SECONDS / once.max(1e-7)) as u64).clamp(1, 1000);
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        least = least.min(round(kernels, &product, times)?);
    }
    Ok((product.matmul.key().tile, least))
}

/// Measures a product and prints what it took, or why it did not run.
fn print_row(kernels: &Kernels, request: &MatmulRequest) {
    let MatmulRequest { layout, m, n, k, .. } = *request;
    let shape = format!("{m} x {n} x {k}");
    let result = measure(kernels, request);
    let tile = match (request.tile, &result) {
        (Some(tile), _) => name(&tile),
        (None, Ok((tile, _))) => format!("* {}", name(tile)),
        (None, Err(_)) => "*".into(),
    };
    print!("{:<6} {shape:<20} {:<8} {tile:<28}", format!("{layout:?}"), request.a.elem.to_string());
    match result {
        Ok((_, seconds)) => {
            let rate = 2.0 * (m * n) as f64 * k as f64 / seconds / 1e12;
            println!(" {:>9.3} {rate:>8.2}", seconds * 1e3);
        }
        Err(error) => println!(" skipped: {error}"),
    }
}

/// Manner, edge, threads, depth; of cooperative tiles subgroups, their matrices, depth.
fn name(tile: &Tile) -> String {
    let Tile { manner, edge, threads_m, threads_n, depth, matrices_m, matrices_n, .. } = tile;
    match manner {
        Manner::Cooperative => format!("Coop {threads_m}x{threads_n} of {matrices_m}x{matrices_n} {depth}"),
        _ => format!("{manner:?} {edge} {threads_m}x{threads_n} {depth}"),
    }
}

/// Cooperative tiles beside the one that is chosen: 128 x 128, 128 x 256, 256 x 128 elements of C, two depths.
fn cooperative_tiles(there: &Cooperative) -> Vec<Tile> {
    let Some(edge) = there.edges.first() else { return Vec::new() };
    let own = Tile::cooperative(*edge, there.subgroup);
    let sizes =
        [(2, 4, 4, 2), (4, 2, 2, 4), (2, 2, 4, 4), (2, 4, 4, 4), (4, 2, 4, 4), (4, 4, 4, 2), (4, 4, 2, 4)];
    let limits = there.kernels.device().limits();
    let mut tiles = Vec::new();
    for depth in [2 * edge, 4 * edge] {
        for (threads_m, threads_n, matrices_m, matrices_n) in sizes {
            tiles.push(Tile { threads_m, threads_n, matrices_m, matrices_n, depth, ..own });
        }
    }
    // The wide ones are too deep for most devices.
    tiles.retain(|tile| *tile != own && tile.workgroup_bytes() <= limits.max_compute_workgroup_storage_size);
    tiles
}

/// The products of halves by cooperative matrices: with each tile where rows meet rows, with the chosen one elsewhere.
fn cooperative_table(there: &Cooperative) {
    let shapes: [Shape; 3] = [(4096, 8142, 512), (4096, 4096, 4096), (8192, 8192, 8192)];
    let halves = |layout, (m, n, k)| {
        MatmulRequest::new(layout, m, n, k).with_elems(Element::F16, Element::F16, Element::F32)
    };
    for shape in shapes {
        let request = halves(Layout::Nt, shape);
        print_row(&there.kernels, &request);
        for tile in cooperative_tiles(there) {
            print_row(&there.kernels, &request.with_tile(tile));
        }
    }
    for layout in [Layout::Nn, Layout::Tn] {
        print_row(&there.kernels, &halves(layout, (4096, 4096, 4096)));
    }
}

/// Prints the table; on a software adapter only if it is `asked` for.
fn table(asked: bool) -> Result<(), Failure> {
    let context = Context::new()?;
    let (info, kernels) = (context.adapter_info(), context.kernels());
    let software = info.device_type == wgpu::DeviceType::Cpu;
    if software && !asked {
        return Ok(());
    }
    let start = Instant::now();
    // Whatever the device says of a product, the others are of interest.
    let go_on = |kernels: &Kernels| {
        kernels
            .device()
            .on_uncaptured_error(std::sync::Arc::new(|error: wgpu::Error| println!("the device: {error}")));
    };
    go_on(kernels);
    println!("adapter: {} ({:?}, {})", info.name, info.backend, info.driver_info);
    println!("least of {ROUNDS} rounds; C in f32; tile: manner edge threads depth, * by the plan");
    println!("{:<6} {:<20} {:<8} {:<28} {:>9} {:>8}", "layout", "m x n x k", "A, B", "tile", "ms", "TFLOP/s");
    let (heads, squares): (&[Shape], &[Shape]) = match software {
        true => (&[(256, 256, 1203)], &[(256, 512, 256)]),
        false => (&[(4096, 512, 8142), (8192, 2048, 32_768)], &[(4096, 8142, 512), (4096, 4096, 4096)]),
    };
    if !software {
        warm_by_product(kernels)?;
    }
    for (_, request) in heads.iter().flat_map(|shape| of_head(*shape)) {
        print_row(kernels, &request);
    }
    let requests = squares.iter().map(|&(m, n, k)| MatmulRequest::new(Layout::Nt, m, n, k));
    for request in requests.clone() {
        print_row(kernels, &request);
        print_row(kernels, &request.with_tile(Tile::staged(8, 8, 16, 16)));
    }
    for request in requests {
        print_row(kernels, &request.with_elems(Element::F16, Element::F16, Element::F32));
    }
    match cooperative(info) {
        Ok(Some(there)) => {
            go_on(&there.kernels);
            warm_by_product(&there.kernels)?;
            cooperative_table(&there);
        }
        Ok(None) => println!("no cooperative matrices on {}", info.name),
        Err(error) => println!("no device with cooperative matrices: {error}"),
    }
    println!("the table took {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Ten samples for each id, in so many seconds on a software adapter and in less on a GPU.
fn settle(group: &mut BenchmarkGroup<'_, WallTime>, context: &Context, seconds: u64) {
    group.sample_size(10).measurement_time(Duration::from_secs(seconds));
    if context.adapter_info().device_type != wgpu::DeviceType::Cpu {
        group.measurement_time(Duration::from_millis(300)).warm_up_time(Duration::from_millis(100));
    }
}

fn bench_product(
    group: &mut BenchmarkGroup<'_, WallTime>,
    context: &Context,
    name: String,
    request: &MatmulRequest,
) {
    // Criterion comes back for each sample, and does not come for an id that is filtered out.
    let mut product = None;
    group.throughput(Throughput::Elements((request.m * request.n * request.k) as u64));
    group.bench_function(name, |bencher| {
        let product =
            product.get_or_insert_with(|| Product::new(context.kernels(), request).expect("a legal request"));
        bencher.iter_custom(|times| timed(context, times, |pass| product.encode(pass).expect("encoding")));
    });
}

fn products(criterion: &mut Criterion) {
    let context = Context::new().expect("an adapter");
    println!("adapter: {:?}", context.adapter_info());
    let software = context.adapter_info().device_type == wgpu::DeviceType::Cpu;
    // Batch, dimension, classes.
    let shapes: &[Shape] = match software {
        true => &[(256, 256, 100), (256, 256, 1203), (256, 128, 8142)],
        false => &[(256, 256, 1203), (4096, 512, 8142), (8192, 2048, 32_768)],
    };
    let mut group = criterion.benchmark_group("matmul");
    settle(&mut group, &context, 3);
    for &(batch, dim, classes) in shapes {
        for (name, request) in of_head((batch, dim, classes)) {
            for elem in [Element::F32, Element::F16] {
                let request = request.with_elems(elem, elem, Element::F32);
                let name = format!("{name}/{batch}x{dim}x{classes}/{elem:?}");
                bench_product(&mut group, &context, name, &request);
            }
        }
    }
    let tiles = [
        Tile::broadcast(),
        Tile::direct(4, 2, 4),
        Tile::direct(8, 2, 4),
        Tile::direct(8, 1, 8),
        Tile::staged(8, 8, 8, 16),
        Tile::staged(8, 16, 16, 8),
    ];
    for tile in tiles {
        let request = MatmulRequest::new(Layout::Nt, 256, 512, 256).with_tile(tile);
        if context.kernels().matmul(&request).is_err() {
            continue;
        }
        let name = format!("tiles/{:?}{}.{}x{}", tile.manner, tile.edge, tile.threads_m, tile.threads_n);
        bench_product(&mut group, &context, name, &request);
    }
    group.finish();
}

fn rows(criterion: &mut Criterion) {
    let context = Context::new().expect("an adapter");
    let kernels = context.kernels();
    let mut group = criterion.benchmark_group("rows");
    settle(&mut group, &context, 2);
    for (rows, dim) in [(256, 256), (8142, 256)] {
        let request = RowNormsRequest::new(rows, dim, RowNorm::unit());
        let (norms, through) =
            (kernels.row_norms(&request), kernels.through_norm(&ThroughNormRequest::in_place(request)));
        let (norms, through) = (norms.expect("legal"), through.expect("legal"));
        let [x, gradient] = [(); 2].map(|()| buffer(&context, rows * dim, 4));
        let [sums, factors] = [(); 2].map(|()| buffer(&context, rows, 4));
        let view = View::whole;
        group.throughput(Throughput::Elements((rows * dim) as u64));
        group.bench_function(format!("norms/{rows}x{dim}"), |bencher| {
            bencher.iter_custom(|times| {
                timed(&context, times, |pass| {
                    norms.encode(pass, view(&x), view(&sums), view(&factors)).expect("encoding");
                })
            });
        });
        group.bench_function(format!("through_norm/{rows}x{dim}"), |bencher| {
            bencher.iter_custom(|times| {
                timed(&context, times, |pass| {
                    through.encode(pass, view(&x), view(&sums), None, view(&gradient)).expect("encoding");
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, products, rows);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |names: &[&str]| arguments.iter().any(|argument| names.contains(&argument.as_str()));
    let helped = has(&["--help", "-h"]);
    if helped {
        println!("{HELP}");
    }
    // Criterion measures where `cargo bench` has said --bench, and else only runs everything once.
    let filtered = arguments.iter().any(|argument| !argument.starts_with('-'));
    let measured = has(&["--bench"]) && !has(&["--list", "--test"]) && !filtered;
    let asked = has(&["--table"]);
    if !helped && (asked || measured) {
        if let Err(error) = table(asked) {
            eprintln!("no table: {error}");
            std::process::exit(1);
        }
    }
    if helped || !asked {
        benches();
        Criterion::default().configure_from_args().final_summary();
    }
}
