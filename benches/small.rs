//! Small problems (128 x 100): what the host spends on them. `cargo bench --bench small [-- [--write] [--plans N]]`.
//!
//! On a GPU a problem of this size is done before the next one is recorded, so the host's share is what counts.

mod support;

use longtail::gpu::Context;
use longtail::{method, wgpu};
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use support::clock::{timed, warm};
use support::{Data, Pass, Problem, Setup, record, software};

const ROWS: usize = 128;
const CLASSES: usize = 100;
const ENCODE_ROUNDS: usize = 200;
const ROUNDS: usize = 41;
const TARGET: f64 = 20.0;
const HELP: &str = "Usage: cargo bench --bench small [-- [--write] [--plans N]]

Host microseconds of recording loss and gradient of 128 x 100 logits: encode of one plan into an open encoder, the least
of 200 rounds by the wall's clock and the mean of this thread's own processor time; what finish and submit cost per plan
beside it; and what a pass takes in all, in a submission of its own and among those of all plans. N plans (default 64)
with buffers of their own go into one submission. Prints the adapter and whether encode is below 20 microseconds. Each
gradient is compared with the f64 reference first.
  --plans N  plans in a submission, default 64
  --write    keep the results as benches/record/ADAPTER-DRIVER/DATE-small.txt
";

/// This thread's time on a processor, where the system tells (Linux).
fn thread_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// What a piece of work costs, many times over.
#[derive(Clone, Copy)]
struct Cost {
    /// The least by the wall's clock, in seconds.
    least: f64,
    /// All of this thread's time, where the system tells.
    thread: Option<Duration>,
}

impl Default for Cost {
    fn default() -> Self {
        Self { least: f64::INFINITY, thread: Some(Duration::ZERO) }
    }
}

impl Cost {
    fn add(&mut self, work: impl FnOnce()) {
        let (thread, wall) = (thread_time(), Instant::now());
        work();
        self.least = self.least.min(wall.elapsed().as_secs_f64());
        let spent = thread_time().zip(thread).map(|(after, before)| after.saturating_sub(before));
        self.thread = self.thread.zip(spent).map(|(sum, spent)| sum + spent);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{HELP}");
        return Ok(());
    }
    let plans = match arguments.iter().position(|argument| argument == "--plans") {
        None => 64,
        Some(at) => arguments.get(at + 1).ok_or("--plans needs a number")?.parse::<usize>()?.max(1),
    };
    let context = Context::new()?;
    let (device, queue) = (context.kernels().device(), context.kernels().queue());
    let info = context.adapter_info();
    println!(
        "adapter: {} ({}); each gradient is compared with the f64 reference first",
        info.name, info.driver_info
    );
    let mut text = format!(
        "# cargo bench --bench small -- --write --plans {plans}\n# {} {}\n{ROWS} x {CLASSES}, {plans} plans in one \
         submission\n\n",
        info.name, info.driver_info
    );
    writeln!(
        text,
        "{:<18} {:<17} {:>11} {:>11} {:>11} {:>11} {:>11} {:>11}",
        "method", "mode", "encode us", "(thread)", "finish us", "submit us", "run alone", "run of all"
    )?;
    let data = Data::new(ROWS, CLASSES);
    let mut worst = 0.0f64;
    for name in ["cross_entropy", "balanced_softmax", "mixup", "equalization", "seesaw"] {
        for pass in [Pass::LossAndGrad, Pass::ForwardBackward] {
            let method = method::find(name).ok_or("the method is gone")?;
            let setup = Setup { pass, ..Setup::default() };
            let mut all = Vec::new();
            for _ in 0..plans {
                all.push(Problem::new(&context, method, &data, setup)?);
            }
            let open = || device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            // The thread's clock moves in steps of some milliseconds, so its time is that of all rounds together.
            let (mut encode, mut finish) = (Cost::default(), Cost::default());
            for _ in 0..ENCODE_ROUNDS {
                let mut encoder = open();
                encode.add(|| all.iter().for_each(|problem| problem.record(&mut encoder)));
                finish.add(|| drop(encoder.finish()));
            }
            let mut submit = Cost::default();
            let (mut alone, mut together) = (f64::INFINITY, f64::INFINITY);
            let software = software(&context);
            warm(software, || _ = all[0].run(100));
            for _ in 0..ROUNDS {
                let mut encoder = open();
                all.iter().for_each(|problem| problem.record(&mut encoder));
                let commands = encoder.finish();
                submit.add(|| _ = queue.submit([commands]));
                device.poll(wgpu::PollType::wait_indefinitely())?;
                let took = all[0].run(1).steady(software);
                alone = alone.min(took.as_secs_f64() * 1e6);
                let all = |encoder: &mut _| all.iter().for_each(|problem: &Problem| problem.record(encoder));
                let took = timed(&context, all).steady(software);
                together = together.min(took.as_secs_f64() * 1e6 / plans as f64);
            }
            let per_plan = |cost: Cost| cost.least * 1e6 / plans as f64;
            let encode_thread =
                encode.thread.map(|time| time.as_secs_f64() * 1e6 / (ENCODE_ROUNDS * plans) as f64);
            let thread = encode_thread.map(|time| format!("{time:.2}")).unwrap_or_default();
            if pass == Pass::LossAndGrad {
                worst = worst.max(per_plan(encode));
            }
            writeln!(
                text,
                "{name:<18} {pass:<17} {:>11.2} {thread:>11} {:>11.2} {:>11.2} {alone:>11.1} {together:>11.1}",
                per_plan(encode),
                per_plan(finish),
                per_plan(submit)
            )?;
        }
    }
    let verdict = if worst < TARGET { "below" } else { "above" };
    write!(
        text,
        "\nencode of loss and gradient: at most {worst:.2} us, {verdict} the {TARGET} us aimed at\nfinish and submit are per \
         plan; run is the pass itself with all of the host's work, in a submission of its own\nand with {plans} plans in \
         one\n"
    )?;
    print!("{text}");
    if arguments.iter().any(|argument| argument == "--write") {
        println!("written to {}", record::keep(info, "-small.txt", &text)?.display());
    }
    Ok(())
}
