//! Small problems (128 x 100): what the host spends on them. `cargo bench --bench small [-- --plans N]`.
//!
//! On a GPU a problem of this size is done before the next one is recorded, so the host's share is what counts.

mod support;

use longtail::gpu::Context;
use longtail::{method, wgpu};
use std::time::{Duration, Instant};
use support::{Data, Pass, Problem, Setup, software};

const ROWS: usize = 128;
const CLASSES: usize = 100;
const ROUNDS: usize = 41;
const TARGET: f64 = 20.0;
const HELP: &str = "Usage: cargo bench --bench small [-- --plans N]

Host microseconds of recording loss and gradient of 128 x 100 logits, by this thread's own processor time (and by the
wall's clock), the least of 41 rounds: `encode` of one plan into an open encoder, and what a submission costs beside it.
N plans (default 64) with buffers of their own go into one submission. Prints the adapter and whether encode is below 20
microseconds. Each gradient is compared with the f64 reference first.
";

/// This thread's time on a processor, where the system tells (Linux).
fn thread_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Microseconds by this thread's time, and by the wall's clock.
#[derive(Clone, Copy)]
struct Cost {
    thread: f64,
    wall: f64,
}

impl Cost {
    const NONE: Self = Self { thread: f64::INFINITY, wall: f64::INFINITY };

    fn of(work: impl FnOnce()) -> Self {
        let (thread, wall) = (thread_time(), Instant::now());
        work();
        let wall = wall.elapsed();
        let thread = thread_time().zip(thread).map(|(after, before)| after.saturating_sub(before));
        Self { thread: thread.unwrap_or(wall).as_secs_f64() * 1e6, wall: wall.as_secs_f64() * 1e6 }
    }

    fn least(self, other: Self) -> Self {
        Self { thread: self.thread.min(other.thread), wall: self.wall.min(other.wall) }
    }

    fn per(self, count: usize) -> Self {
        Self { thread: self.thread / count as f64, wall: self.wall / count as f64 }
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
        "adapter: {} ({}); {ROWS} x {CLASSES}, {plans} plans in one submission",
        info.name, info.driver_info
    );
    println!("each gradient is compared with the f64 reference first\n");
    println!(
        "{:<18} {:<17} {:>11} {:>11} {:>11} {:>11} {:>11} {:>11}",
        "method", "mode", "encode us", "(wall)", "finish us", "submit us", "run alone", "run of all"
    );
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
            let (mut encode, mut finish, mut submit) = (Cost::NONE, Cost::NONE, Cost::NONE);
            let (mut alone, mut together) = (f64::INFINITY, f64::INFINITY);
            let software = software(&context);
            for _ in 0..ROUNDS {
                let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                let cost = Cost::of(|| all.iter().for_each(|problem| problem.record(&mut encoder)));
                encode = encode.least(cost);
                let mut commands = None;
                finish = finish.least(Cost::of(|| commands = Some(encoder.finish())));
                submit = submit.least(Cost::of(|| _ = queue.submit(commands.take())));
                device.poll(wgpu::PollType::wait_indefinitely())?;
                let took = all[0].run(1).steady(software);
                alone = alone.min(took.as_secs_f64() * 1e6);
                let took = all[0].run(plans as u64).steady(software);
                together = together.min(took.as_secs_f64() * 1e6 / plans as f64);
            }
            let (encode, finish, submit) = (encode.per(plans), finish.per(plans), submit.per(plans));
            if pass == Pass::LossAndGrad {
                worst = worst.max(encode.thread);
            }
            println!(
                "{name:<18} {pass:<17} {:>11.2} {:>11.2} {:>11.2} {:>11.2} {alone:>11.1} {together:>11.1}",
                encode.thread, encode.wall, finish.thread, submit.thread
            );
        }
    }
    let verdict = if worst < TARGET { "below" } else { "above" };
    println!("\nencode of loss and gradient: at most {worst:.2} us, {verdict} the {TARGET} us aimed at");
    println!(
        "finish and submit are per plan; run is the pass itself with all of the host's work, in a submission of"
    );
    println!("its own and with {plans} passes in one");
    Ok(())
}
