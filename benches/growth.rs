//! Time and memory against N and against K, on log axes: `cargo bench --bench growth [-- --write]`.
//!
//! A slope of 1 means that twice the logits take twice the time. Where the row layout changes with K, both sides of the
//! change are measured, at the neighbouring Ks: what a logit costs should not jump there.

mod support;

use longtail::gpu::{Context, RowChoice};
use longtail::{method, wgpu};
use plotters::prelude::*;
use std::fmt::Write as _;
use std::path::Path;
use support::clock::warm;
use support::{Data, Problem, Setup, record, software};

type Failure = Box<dyn std::error::Error>;

const METHODS: [&str; 2] = ["cross_entropy", "seesaw"];
/// Ks for this many rows, then Ns for this many classes.
const ROWS: usize = 64;
const CLASSES: usize = 1024;
/// Rows on both sides of a change of layout: enough that what a pass costs in itself does not count.
const LAYOUT_ROWS: usize = 512;
const MOST_CLASSES: usize = 1 << 17;
const MOST_ROWS: usize = 1 << 12;
const ROUNDS: usize = 15;
const HELP: &str = "Usage: cargo bench --bench growth [-- --write]

Times loss and gradient of cross-entropy and seesaw for 64 rows of 128 to 131072 classes, for 16 to 4096 rows of 1024
classes, and for 512 rows at both sides of each K at which the row layout changes. Prints the adapter, each point, the slopes of time
and memory on log axes (1 is proportional), and the jump of the time per logit at each change of layout. Each gradient is
compared with the f64 reference before it is timed.
  --write   keep the points as benches/record/ADAPTER-DRIVER/DATE-growth.txt, and the plot as DATE-growth.svg
";

/// A measured problem.
struct Point {
    method: &'static str,
    /// What varies: "K", "N", or "layout".
    series: &'static str,
    rows: usize,
    classes: usize,
    seconds: f64,
    bytes: u64,
    choice: RowChoice,
}

impl Point {
    fn per_logit(&self) -> f64 {
        self.seconds / (self.rows * self.classes) as f64 * 1e9
    }
}

/// Problems that take turns, so that other work on the machine meets all alike; the least round counts.
fn measure(
    context: &Context,
    method: &'static str,
    series: &'static str,
    shapes: &[(usize, usize)],
) -> Result<Vec<Point>, Failure> {
    let software = software(context);
    let found = method::find(method).ok_or("the method is gone")?;
    let mut problems = Vec::new();
    for &(rows, classes) in shapes {
        let problem = Problem::new(context, found, &Data::new(rows, classes), Setup::default())?;
        // Rounds of about 10 ms.
        let once = problem.run(2).steady(software).as_secs_f64() / 2.0;
        problems.push((problem, ((0.01 / once.max(1e-7)) as u64).clamp(1, 2000), f64::INFINITY));
    }
    if let Some((problem, passes, _)) = problems.first() {
        warm(software, || _ = problem.run(*passes));
    }
    for _ in 0..ROUNDS {
        for (problem, passes, least) in &mut problems {
            *least = least.min(problem.run(*passes).steady(software).as_secs_f64() / *passes as f64);
        }
    }
    let points = problems.iter().zip(shapes).map(|((problem, _, seconds), &(rows, classes))| Point {
        method,
        series,
        rows,
        classes,
        seconds: *seconds,
        bytes: problem.plan.bytes(),
        choice: problem.plan.choice(),
    });
    Ok(points.collect())
}

/// The Ks at which the layout of `LAYOUT_ROWS` rows becomes another, found by halving between powers of two. Where registers
/// per thread follow K step by step, only changes of the kind count.
fn changes(context: &Context, method: &'static str) -> Result<Vec<usize>, Failure> {
    let found = method::find(method).ok_or("the method is gone")?;
    let kind = |classes: usize| -> Result<(u32, u32, bool, u32), Failure> {
        let counts = longtail::ClassCounts::new(vec![1; classes])?;
        let request = longtail::gpu::PlanRequest::new(LAYOUT_ROWS, classes);
        let choice = context.kernels().plan(&(found.build)(&counts)?, &request)?.choice();
        Ok((choice.lanes, choice.workgroup, choice.chip > 0, choice.split))
    };
    let mut changes = Vec::new();
    let mut low = 8;
    while low < MOST_CLASSES {
        let high = low * 2;
        let (mut from, mut to) = (low, high);
        if kind(from)? != kind(to)? {
            while to - from > 1 {
                let middle = from.midpoint(to);
                if kind(middle)? == kind(low)? { from = middle } else { to = middle }
            }
            changes.push(to);
        }
        low = high;
    }
    Ok(changes)
}

/// The slope of the least squares line through the logarithms.
fn slope(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / logs.len() as f64;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = logs.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    covariance / logs.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}

fn main() -> Result<(), Failure> {
    if std::env::args().any(|argument| argument == "--help" || argument == "-h") {
        print!("{HELP}");
        return Ok(());
    }
    let context = Context::new()?;
    let info = context.adapter_info();
    let clock = if software(&context) { "processor" } else { "device" };
    let mut text = format!(
        "# cargo bench --bench growth -- --write\n# {} {}; {clock} time, the least of {ROUNDS} rounds\n",
        info.name, info.driver_info
    );
    println!(
        "adapter: {} ({}); each gradient is compared with the f64 reference first",
        info.name, info.driver_info
    );
    let mut points = Vec::new();
    let powers = |from: usize, to: usize| {
        std::iter::successors(Some(from), |x| Some(x * 2)).take_while(move |x| *x <= to)
    };
    for method in METHODS {
        let shapes: Vec<_> = powers(128, MOST_CLASSES).map(|classes| (ROWS, classes)).collect();
        points.extend(measure(&context, method, "K", &shapes)?);
        let shapes: Vec<_> = powers(16, MOST_ROWS).map(|rows| (rows, CLASSES)).collect();
        points.extend(measure(&context, method, "N", &shapes)?);
        for change in changes(&context, method)? {
            points.extend(measure(
                &context,
                method,
                "layout",
                &[(LAYOUT_ROWS, change - 1), (LAYOUT_ROWS, change)],
            )?);
        }
    }
    writeln!(
        text,
        "{:<14} {:<7} {:>6} {:>7} {:>11} {:>9} {:>11}  layout",
        "method", "varies", "rows", "classes", "us", "ns/logit", "extra bytes"
    )?;
    for point in &points {
        let Point { method, series, rows, classes, bytes, choice, .. } = point;
        let (micros, per_logit) = (point.seconds * 1e6, point.per_logit());
        let RowChoice { lanes, workgroup, chip, split, .. } = choice;
        writeln!(
            text,
            "{method:<14} {series:<7} {rows:>6} {classes:>7} {micros:>11.1} {per_logit:>9.3} {bytes:>11}  \
             x{lanes}.wg{workgroup}.chip{chip}.split{split}"
        )?;
    }
    for method in METHODS {
        for series in ["K", "N"] {
            let of = |value: fn(&Point) -> f64| {
                let chosen = points.iter().filter(|point| point.method == method && point.series == series);
                let x = |point: &Point| if series == "K" { point.classes } else { point.rows };
                chosen.map(|point| (x(point) as f64, value(point))).collect::<Vec<_>>()
            };
            let (time, memory) = (of(|point| point.seconds), of(|point| point.bytes as f64));
            // A submission has a fixed cost, which the larger half hardly feels.
            let larger = |points: &[(f64, f64)]| slope(&points[points.len() / 2..]);
            writeln!(
                text,
                "{method}: slope against {series}: time {:.3}, its larger half {:.3}; extra memory {:.3}, its larger \
                 half {:.3}",
                slope(&time),
                larger(&time),
                slope(&memory),
                larger(&memory)
            )?;
        }
        let sides: Vec<&Point> =
            points.iter().filter(|point| point.method == method && point.series == "layout").collect();
        for pair in sides.chunks_exact(2) {
            let jump = pair[1].per_logit() / pair[0].per_logit() - 1.0;
            writeln!(
                text,
                "{method}: layout changes at K = {}: {:+.1} % per logit",
                pair[1].classes,
                jump * 100.0
            )?;
        }
    }
    print!("{text}");
    if std::env::args().any(|argument| argument == "--write") {
        let path = record::keep(info, "-growth.txt", &text)?;
        let plot = path.with_extension("svg");
        draw(&plot, info, &points)?;
        println!("written to {} and {}", path.display(), plot.display());
    }
    Ok(())
}

/// Time against the number of logits, and the plan's memory, all on log axes, with a line of slope 1.
fn draw(path: &Path, info: &wgpu::AdapterInfo, points: &[Point]) -> Result<(), Failure> {
    let area = SVGBackend::new(path, (1000, 460)).into_drawing_area();
    area.fill(&WHITE)?;
    let area = area.titled(&format!("longtail on {}", info.name), ("sans-serif", 16))?;
    let (left, right) = area.split_horizontally(500);
    let logits = |point: &Point| (point.rows * point.classes) as f64;
    panel(&left, points, "microseconds", logits, |point| point.seconds * 1e6)?;
    panel(&right, points, "extra bytes on the device", logits, |point| point.bytes as f64)
}

/// Distinct to colour-blind eyes as well (Okabe and Ito, 2008).
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 0, 0), RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115)];

fn panel(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    points: &[Point],
    unit: &str,
    x: fn(&Point) -> f64,
    y: fn(&Point) -> f64,
) -> Result<(), Failure> {
    let points: Vec<&Point> = points.iter().filter(|point| point.series != "layout").collect();
    let span = |value: fn(&Point) -> f64| {
        points
            .iter()
            .map(|point| value(point))
            .fold((f64::MAX, 0.0f64), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (xs, ys) = (span(x), span(y));
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(74)
        .build_cartesian_2d((xs.0 * 0.8..xs.1 * 1.25).log_scale(), (ys.0 * 0.6..ys.1 * 4.0).log_scale())?;
    let short = |value: &f64| format!("{value:e}");
    chart
        .configure_mesh()
        .x_desc("logits, N x K")
        .y_desc(unit)
        .x_label_formatter(&short)
        .y_label_formatter(&short)
        .light_line_style(WHITE)
        .draw()?;
    if let Some(last) = points.iter().max_by(|a, b| x(a).total_cmp(&x(b))) {
        // Proportional to the largest, as far as the axes go.
        let (x0, y0) = (x(last), y(last));
        let from = xs.0.max(x0 * ys.0 / y0);
        let line = [(from, y0 * from / x0), (x0, y0)];
        chart.draw_series(DashedLineSeries::new(line, 5, 4, BLACK.mix(0.4).into()))?;
    }
    let mut colours = COLOURS.iter().cycle();
    for method in METHODS {
        for (series, fixed) in [("K", format!("N = {ROWS}")), ("N", format!("K = {CLASSES}"))] {
            let chosen = points.iter().filter(|point| point.method == method && point.series == series);
            let style = colours.next().unwrap_or(&BLACK).stroke_width(2);
            let line = chosen.map(|point| (x(point), y(point)));
            chart
                .draw_series(LineSeries::new(line, style).point_size(3))?
                .label(format!("{method}, {fixed}"))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}
