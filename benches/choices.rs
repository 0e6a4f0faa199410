//! Row layouts against each other, by criterion: `cargo bench --bench choices [-- FILTER]`.
//!
//! Ids are `choices/method/element/NxK/layout`. For each problem the plan's own choice is measured beside the others, in
//! rounds, so that other work on the machine meets all alike, and the last lines say how it did: 1.00 is the fastest.
//! Where rows are fewer than what keeps the device busy the wall's clock counts, since that is what splitting rows is
//! for; elsewhere the steadiest clock (see `losses`).

mod support;

use criterion::{BenchmarkId, Criterion, Throughput};
use longtail::gpu::{Context, RowChoice};
use longtail::{Element, method};
use std::time::Duration;
use support::{Data, Problem, Setup, software};

/// N x K, with the reason for each.
const ON_PROCESSOR: [(usize, usize); 9] = [
    (2048, 10),     // CIFAR-10-LT
    (512, 100),     // CIFAR-100-LT
    (256, 365),     // Places-LT
    (256, 1203),    // LVIS
    (128, 8142),    // iNaturalist 2018
    (32, 32_768),   // a vocabulary
    (8, 128_256),   // a large vocabulary
    (2, 262_144),   // few rows of a larger one
    (1, 1_000_000), // one row of identities
];

/// The same for a GPU, with as many rows as it takes to fill it, and few rows of many classes.
const ON_GPU: [(usize, usize); 9] = [
    (65_536, 10),
    (32_768, 100),
    (16_384, 365),
    (16_384, 1203),
    (4096, 8142),
    (2048, 32_768),
    (1024, 128_256),
    (16, 262_144),
    (1, 1_000_000),
];

/// Layouts worth a try, for rows of this many classes.
fn layouts(rows: usize, classes: usize, software: bool) -> Vec<RowChoice> {
    let mut all = Vec::new();
    let workgroups: &[u32] = if software { &[4, 8, 16] } else { &[32, 64, 128, 256, 512, 1024] };
    for &workgroup in workgroups {
        // A GPU's threads have a block of four columns at least, and 128 at most before rows are streamed by few.
        let columns = (classes as u32).div_ceil(workgroup);
        if !software && (columns < 4 && workgroup > 32 || columns > 128 && workgroup < 256) {
            continue;
        }
        for lanes in [1, 4] {
            if lanes == 4 && rows < 4 {
                continue;
            }
            all.extend([
                RowChoice::stream(lanes, workgroup),
                RowChoice::stream(lanes, workgroup).with_kernels_apart(),
            ]);
            let chip = (classes as u32 + 1).div_ceil(workgroup);
            if chip <= if software { 152 } else { 32 } {
                all.push(RowChoice::on_chip(lanes, workgroup, chip));
            }
            if classes >= 32_768 && rows <= 8 && (!software || workgroup == 8) {
                all.extend([2, 4, 16].map(|split| RowChoice::stream(lanes, workgroup).with_split(split)));
            }
        }
    }
    all
}

fn name(choice: RowChoice) -> String {
    let RowChoice { lanes, workgroup, chip, split, native_f16, apart } = choice;
    let native = if native_f16 { ".native" } else { "" };
    let apart = if apart { ".apart" } else { "" };
    format!("x{lanes}.wg{workgroup}.chip{chip}.split{split}{native}{apart}")
}

/// Two layouts that are the same kernels.
fn same(a: RowChoice, b: RowChoice) -> bool {
    let held = |choice: RowChoice| RowChoice { chip: choice.chip.next_multiple_of(4), ..choice };
    held(a) == held(b)
}

const HELP: &str = "
Times loss and gradient in every row layout worth a try on the adapter that it prints, after comparing the gradient with
the f64 reference. Ids are choices/method/element/NxK/layout; FILTER selects problems whose id contains it.
";

fn main() {
    if std::env::args().any(|argument| argument == "--help") {
        println!("{HELP}");
    }
    let mut criterion = Criterion::default().configure_from_args();
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let context = Context::new().expect("an adapter");
    let software = software(&context);
    println!("adapter: {} ({})", context.adapter_info().name, context.adapter_info().driver_info);
    let native = context.kernels().device().features().contains(longtail::wgpu::Features::SHADER_F16);
    let mut verdicts = Vec::new();
    for name in ["cross_entropy", "seesaw"] {
        let method = method::find(name).expect("is in the table");
        for element in [Element::F32, Element::F16] {
            for (rows, classes) in if software { ON_PROCESSOR } else { ON_GPU } {
                let title = format!("choices/{}/{element}/{rows}x{classes}", method.name);
                if !title.contains(&filter) && !filter.is_empty() {
                    continue;
                }
                let data = Data::new(rows, classes);
                let setup = |choice| Setup { element, choice, ..Setup::default() };
                let own = Problem::new(&context, method, &data, setup(None)).expect("a plan");
                let chosen = own.plan.choice();
                let mut others = layouts(rows, classes, software);
                if native && element == Element::F16 {
                    others
                        .extend(layouts(rows, classes, software).into_iter().map(RowChoice::with_native_f16));
                }
                others.retain(|&other| !same(other, chosen));
                let mut problems = vec![(chosen, own)];
                for other in others {
                    // What the device cannot run is no choice.
                    if let Ok(problem) = Problem::new(&context, method, &data, setup(Some(other))) {
                        problems.push((other, problem));
                    }
                }
                verdicts.push(compare(&mut criterion, &title, &problems, software));
            }
        }
    }
    criterion.final_summary();
    println!("\nthe plan's choice, and the fastest layout (1.00 is the fastest's time):");
    for verdict in verdicts {
        println!("{verdict}");
    }
}

/// Measures every layout of a problem, and says how the first one, the plan's choice, did.
fn compare(
    criterion: &mut Criterion,
    title: &str,
    problems: &[(RowChoice, Problem)],
    software: bool,
) -> String {
    let busy = std::thread::available_parallelism().map_or(1, |count| count.get());
    let few = problems.iter().any(|(choice, _)| choice.split > 1) && software && busy > 1;
    let clock = |took: support::Took| if few { took.wall } else { took.steady(software) };
    // Rounds of about 10 ms for each layout; the least of them counts.
    let once = problems.iter().map(|(_, problem)| clock(problem.run(2)) / 2).min().unwrap_or_default();
    let passes = (10_000_000 / once.as_nanos().max(1)).clamp(1, 500) as u64;
    let mut least = vec![Duration::MAX; problems.len()];
    for _ in 0..9 {
        for (least, (_, problem)) in least.iter_mut().zip(problems) {
            *least = (*least).min(clock(problem.run(passes)) / passes as u32);
        }
    }
    let mut group = criterion.benchmark_group(title);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(20))
        .measurement_time(Duration::from_millis(100));
    for (choice, problem) in problems {
        group.throughput(Throughput::Bytes(problem.minimal_bytes()));
        group.bench_function(BenchmarkId::from_parameter(name(*choice)), |bencher| {
            bencher.iter_custom(|passes| clock(problem.run(passes)));
        });
    }
    group.finish();
    let fastest = least.iter().zip(problems).min_by_key(|(least, _)| **least);
    let Some((best, (fastest, _))) = fastest else { return String::new() };
    let ratio = least[0].as_secs_f64() / best.as_secs_f64();
    let microseconds = least[0].as_secs_f64() * 1e6;
    let (chosen, fastest) = (name(problems[0].0), name(*fastest));
    format!("{title:<40} {chosen:<32} {microseconds:>9.1} us {ratio:>5.2}  {fastest}")
}
