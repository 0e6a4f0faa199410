//! One table of all methods and shapes: `cargo bench --bench summary [-- --write] [FILTER]`.
//!
//! Problems of a shape take turns in rounds, and the fastest round counts, so that other work on the machine meets all
//! alike and disturbs little. Each is compared with the f64 reference before it is timed. `--write` keeps the table as
//! `benches/record/ADAPTER-DRIVER/DATE.csv`.

mod support;

use longtail::method::{self, Method};
use longtail::{Element, gpu::Context};
use std::fmt::Write as _;
use support::clock::warm;
use support::unfused::{Unfused, widths};
use support::{Data, Pass, Problem, Setup, Took, record, shapes, software};

/// Those timed with the other element types and passes as well.
const VARIED: [&str; 2] = ["cross_entropy", "seesaw"];
const HELP: &str = "Usage: cargo bench --bench summary [-- [--write] [FILTER...]]

Times loss and gradient of every method whose name contains a FILTER, and cross-entropy, on each shape; cross-entropy and
seesaw with f16 and bf16 and in the other passes too. Prints the adapter, and for each problem: time, GB/s of the
minimal traffic (logits read once, gradient written once), the share of this device's measured copy bandwidth, the ratio
to plain cross-entropy, the ratio to a pipeline of unfused WGSL kernels where there is one (1 is equal, 4 is four times
as fast), what is on the device besides logits, targets and gradient. Before it is timed, each gradient is compared with
the f64 reference: within 1e-4 of the largest entry, more for f16 and bf16 by their rounding.
  --write   keep the results as benches/record/ADAPTER-DRIVER/DATE.csv
";

/// A problem, or its unfused baseline.
enum Timed {
    Fused(Box<Problem>),
    Unfused(Box<Unfused>),
}

impl Timed {
    fn run(&self, passes: u64) -> Took {
        match self {
            Self::Fused(problem) => problem.run(passes),
            Self::Unfused(pipeline) => pipeline.run(passes),
        }
    }
}

/// What is timed in a shape.
struct Entry {
    method: &'static str,
    setup: Setup,
    timed: Timed,
    seconds: f64,
}

impl Entry {
    /// Of `width` 0: the fused one, else the baseline with workgroups of that width.
    fn new(
        context: &Context,
        method: &'static str,
        setup: Setup,
        data: &Data,
        width: u32,
    ) -> Result<Option<Self>, Box<dyn std::error::Error>> {
        let timed = match width {
            0 => {
                let method = method::find(method).ok_or("the method is gone")?;
                Timed::Fused(Box::new(Problem::new(context, method, data, setup)?))
            }
            width => match Unfused::new(context, method, data, width)? {
                None => return Ok(None),
                Some(pipeline) => Timed::Unfused(Box::new(pipeline)),
            },
        };
        Ok(Some(Self { method, setup, timed, seconds: f64::INFINITY }))
    }
}

/// All of a shape.
fn entries(
    context: &Context,
    filters: &[String],
    data: &Data,
) -> Result<Vec<Entry>, Box<dyn std::error::Error>> {
    let asked =
        |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let chosen = |method: &&Method| method.name == "cross_entropy" || asked(method.name);
    let methods: Vec<_> = method::SOFTMAX.iter().filter(chosen).collect();
    let mut all = Vec::new();
    for some in methods.chunks(data.at_a_time()) {
        let elements = |method: &Method| match VARIED.contains(&method.name) {
            true => vec![Element::F32, Element::F16, Element::Bf16],
            false => vec![Element::F32],
        };
        let wanted = some.iter().flat_map(|&method| elements(method).into_iter().map(move |e| (method, e)));
        data.prepare(&wanted.collect::<Vec<_>>())?;
        of_methods(context, some, data, &mut all)?;
    }
    Ok(all)
}

/// All of some methods.
fn of_methods(
    context: &Context,
    methods: &[&'static Method],
    data: &Data,
    all: &mut Vec<Entry>,
) -> Result<(), Box<dyn std::error::Error>> {
    for &method in methods {
        let mut setups = vec![Setup::default()];
        if VARIED.contains(&method.name) {
            setups.extend([Element::F16, Element::Bf16].map(|element| Setup { element, ..Setup::default() }));
            setups.push(Setup { pass: Pass::ForwardBackward, ..Setup::default() });
        }
        if method.name == "cross_entropy" {
            // Others depend on the values, which a pass in place changes for the next.
            setups.push(Setup { pass: Pass::InPlace, ..Setup::default() });
        }
        for setup in setups {
            all.extend(Entry::new(context, method.name, setup, data, 0)?);
        }
        for &width in widths(software(context)) {
            all.extend(Entry::new(context, method.name, Setup::default(), data, width)?);
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{HELP}");
        return Ok(());
    }
    let write = arguments.iter().any(|argument| argument == "--write");
    let filters: Vec<String> =
        arguments.iter().filter(|argument| !argument.starts_with('-')).cloned().collect();
    let context = Context::new()?;
    let software = software(&context);
    let info = context.adapter_info();
    let clock = if software { "processor" } else { "device" };
    // A device's own clock is disturbed by nothing else.
    let (rounds, round) = if software { (9, 0.02) } else { (5, 0.01) };
    println!(
        "adapter: {} ({}); times by the {clock}'s clock, the least of {rounds}; each gradient is compared with the f64 \
         reference first",
        info.name, info.driver_info
    );
    let mut csv = String::from(
        "method,element,rows,classes,mode,lanes,workgroup,chip,microseconds,gb_per_s,of_copy,ratio_to_cross_entropy,\
         ratio_to_unfused,extra_bytes,gradient_error\n",
    );
    for &(rows, classes) in shapes(software) {
        let data = Data::new(rows, classes);
        let mut entries = entries(&context, &filters, &data)?;
        let Some(Entry { timed: Timed::Fused(first), .. }) = entries.first() else {
            return Err("cross-entropy is gone".into());
        };
        let copies = first.copy();
        warm(software, || _ = first.run(20));
        // Passes of about that time together.
        let once = first.run(4).steady(software).as_secs_f64() / 4.0;
        let passes = ((round / once.max(1e-7)) as u64).clamp(1, 2000);
        let mut copy = f64::INFINITY;
        for _ in 0..rounds {
            copy = copy.min(copies.run(passes, software).steady(software).as_secs_f64() / passes as f64);
            for entry in &mut entries {
                let seconds = entry.timed.run(passes).steady(software).as_secs_f64() / passes as f64;
                entry.seconds = entry.seconds.min(seconds);
            }
        }
        println!("\n{rows} x {classes}: a copy takes {:.1} us", copy * 1e6);
        println!(
            "{:<28} {:<5} {:<17} {:>10} {:>8} {:>8} {:>8} {:>8} {:>12} {:>8}",
            "method", "", "mode", "us", "GB/s", "of copy", "of CE", "unfused", "extra bytes", "error"
        );
        csv.push_str(&table(&entries, &data, copy)?);
    }
    if write {
        let command = format!("cargo bench --bench summary -- --write {}", filters.join(" "));
        let head = format!("# {}\n# {} {}; {clock} time\n", command.trim_end(), info.name, info.driver_info);
        println!("\nwritten to {}", record::keep(info, ".csv", &(head + &csv))?.display());
    }
    Ok(())
}

/// Prints a shape's results and returns them as lines of the record.
fn table(entries: &[Entry], data: &Data, copy: f64) -> Result<String, std::fmt::Error> {
    let (rows, classes) = (data.rows, data.classes);
    let plain = entries.first().map_or(f64::NAN, |entry| entry.seconds);
    // The fastest width of each method's baseline.
    let baseline = |method: &str| {
        let all = entries.iter().filter(|entry| entry.method == method);
        let unfused = all.filter(|entry| matches!(entry.timed, Timed::Unfused(_)));
        unfused.min_by(|a, b| a.seconds.total_cmp(&b.seconds))
    };
    let mut csv = String::new();
    let mut line = |entry: &Entry| {
        let element = entry.setup.element;
        let (mode, layout, bytes, extra, error) = match &entry.timed {
            Timed::Fused(problem) => {
                let choice = problem.plan.choice();
                let layout = format!("{},{},{}", choice.lanes, choice.workgroup, choice.chip);
                let mode = entry.setup.pass.to_string();
                (mode, layout, problem.minimal_bytes(), problem.plan.bytes(), problem.error)
            }
            Timed::Unfused(pipeline) => {
                let layout = format!("1,{},0", pipeline.width());
                let bytes = 8 * (rows * classes) as u64;
                ("unfused".to_owned(), layout, bytes, pipeline.bytes(), pipeline.error())
            }
        };
        let rate = bytes as f64 / entry.seconds / 1e9;
        // The copy is of f32.
        let of_copy = copy / entry.seconds * bytes as f64 / (8 * rows * classes) as f64;
        let (ratio, micros) = (entry.seconds / plain, entry.seconds * 1e6);
        let unfused = baseline(entry.method).filter(|_| element == Element::F32);
        let unfused =
            unfused.map(|other| format!("{:.2}", other.seconds / entry.seconds)).unwrap_or_default();
        let (name, element) = (entry.method, element.to_string());
        println!(
            "{name:<28} {element:<5} {mode:<17} {micros:>10.1} {rate:>8.2} {of_copy:>8.3} {ratio:>8.2} {unfused:>8} \
             {extra:>12} {error:>8.0e}"
        );
        writeln!(
            csv,
            "{name},{element},{rows},{classes},{mode},{layout},{micros:.2},{rate:.3},{of_copy:.4},{ratio:.3},{unfused},\
             {extra},{error:.1e}"
        )
    };
    for entry in entries.iter().filter(|entry| matches!(entry.timed, Timed::Fused(_))) {
        line(entry)?;
        // The baseline below the usual pass of its method.
        if entry.setup.pass == Pass::LossAndGrad && entry.setup.element == Element::F32 {
            baseline(entry.method).map_or(Ok(()), &mut line)?;
        }
    }
    Ok(csv)
}
