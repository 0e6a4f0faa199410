//! Products and row normalisation of classifier heads, by criterion: processor time on software adapters, wall time
//! elsewhere. `cargo bench --bench matmul`

#[path = "support/passes.rs"]
mod passes;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use longtail::Element;
use longtail::gpu::matmul::{Layout, MatmulRequest, MatmulViews, RowNormsRequest, ThroughNormRequest, Tile};
use longtail::gpu::{Context, View};
use longtail::head::RowNorm;
use passes::{buffer, timed};

fn product(context: &Context, request: &MatmulRequest, times: u64) -> Duration {
    let MatmulRequest { m, n, k, .. } = *request;
    let kernels = context.kernels();
    let matmul = kernels.matmul(request).expect("a legal request");
    let a = buffer(context, m * k, request.a.elem.bytes());
    let b = buffer(context, n * k, request.b.elem.bytes());
    let c = buffer(context, m * n, request.c.elem.bytes());
    let views = MatmulViews::new(View::whole(&a), View::whole(&b), View::whole(&c));
    timed(context, 1, |pass| matmul.encode(pass, &views).expect("encoding"));
    timed(context, times, |pass| matmul.encode(pass, &views).expect("encoding"))
}

fn products(criterion: &mut Criterion) {
    let context = Context::new().expect("an adapter");
    println!("adapter: {:?}", context.adapter_info());
    let software = context.adapter_info().device_type == wgpu::DeviceType::Cpu;
    // Batch, dimension, classes: logits, features' gradient, weights' gradient.
    let shapes: &[(usize, usize, usize)] = match software {
        true => &[(256, 256, 100), (256, 256, 1203), (256, 128, 8142)],
        false => &[(256, 256, 1203), (4096, 512, 8142), (8192, 2048, 32_768)],
    };
    let mut group = criterion.benchmark_group("matmul");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    let elems: &[Element] = &[Element::F32, Element::F16];
    for &(batch, dim, classes) in shapes {
        for (name, layout, m, n, k) in [
            ("logits", Layout::Nt, batch, classes, dim),
            ("features", Layout::Nn, batch, dim, classes),
            ("weights", Layout::Tn, classes, dim, batch),
        ] {
            for elem in elems {
                let request = MatmulRequest::new(layout, m, n, k).with_elems(*elem, *elem, Element::F32);
                group.throughput(Throughput::Elements((m * n * k) as u64));
                group.bench_function(format!("{name}/{batch}x{dim}x{classes}/{elem:?}"), |bencher| {
                    bencher.iter_custom(|times| product(&context, &request, times));
                });
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
        group.throughput(Throughput::Elements(256 * 512 * 256));
        if context.kernels().matmul(&request).is_err() {
            continue;
        }
        let name = format!("tiles/{:?}{}.{}x{}", tile.manner, tile.edge, tile.threads_m, tile.threads_n);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| product(&context, &request, times));
        });
    }
    group.finish();
}

fn rows(criterion: &mut Criterion) {
    let context = Context::new().expect("an adapter");
    let kernels = context.kernels();
    let mut group = criterion.benchmark_group("rows");
    group.sample_size(10).measurement_time(Duration::from_secs(2));
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
criterion_main!(benches);
