//! Classes sharded over processes: each rank has some of the classes, the ranks exchange a few numbers per row over MPI,
//! and together they give the loss and the gradient of all classes, which rank 0 compares with its own of the whole.
//!
//! `scripts/shards` installs what is missing and runs it with 2, 4 and 8 ranks.

mod args;
mod batch;
mod rank;
mod whole;

use args::Args;
use batch::Problem;
use longtail::gpu::Context;
use longtail::method;
use mpi::traits::{Communicator, Root};
use std::process::ExitCode;
use std::time::Instant;

/// What may go wrong, in words.
pub type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(Some(args)) => args,
        Ok(None) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(reason) => {
            eprintln!("{reason}; --help tells more");
            return ExitCode::from(2);
        }
    };
    let Some(universe) = mpi::initialize() else {
        eprintln!("MPI does not start: run this with mpirun");
        return ExitCode::FAILURE;
    };
    let world = universe.world();
    match run(&world, &args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("rank {}: {reason}", world.rank());
            // The other ranks wait for this one: end them all.
            world.abort(1)
        }
    }
}

/// Whether every method gave what one process gives.
fn run(world: &impl Communicator, args: &Args) -> Result<bool, Failure> {
    let (index, shards) = (usize::try_from(world.rank())?, usize::try_from(world.size())?);
    let context = Context::new()?;
    if index == 0 {
        let info = context.adapter_info();
        println!(
            "{shards} ranks on {} ({}), {} rows x {} classes, {} logits",
            info.name, info.driver_info, args.rows, args.classes, args.element
        );
        println!(
            "{:<22} {:>6} {:>13} {:>13} {:>9} {:>11} {:>10} {:>10}",
            "method", "rounds", "sent, bytes", "held, bytes", "ms", "loss", "loss off", "grad off"
        );
    }
    let mut all_agree = true;
    for name in &args.methods {
        let method = method::find(name).ok_or_else(|| format!("there is no method {name}"))?;
        let problem = Problem::new(method, args)?;
        let mut rank = rank::Rank::new(&context, &problem, index, shards)?;
        // The first step is the one to compare: gates and cumulative counts go on from step to step.
        let (loss, gradient) = rank.step(world)?;
        rank.upload_logits();
        // By the second one the kernels are compiled.
        let start = Instant::now();
        rank.step(world)?;
        let took = start.elapsed().as_secs_f64() * 1e3;
        let gathered = gather(world, &gradient, &problem, shards);
        if index == 0 {
            let (want_loss, want) = whole::loss_and_grad(&context, &problem)?;
            let top = want.iter().fold(f32::MIN_POSITIVE, |top, g| top.max(g.abs()));
            let off = want.iter().zip(&gathered).fold(0.0f32, |off, (a, b)| off.max((a - b).abs())) / top;
            let loss_off = ((loss - want_loss) / want_loss).abs();
            // NaN is not below the tolerance.
            let agrees = loss_off <= 1e-5 && off <= problem.tolerance();
            all_agree &= agrees;
            let (sent, held) = (rank.sent(), rank.held());
            println!(
                "{name:<22} {:>6} {sent:>13} {held:>13} {took:>9.2} {loss:>11.6} {loss_off:>10.1e} {off:>10.1e}{}",
                rank.rounds(),
                if agrees { "" } else { "  DIFFERS" }
            );
        }
    }
    let mut agreed = [u8::from(all_agree)];
    world.process_at_rank(0).broadcast_into(&mut agreed);
    if index == 0 && agreed[0] == 1 {
        println!("all agree with one process that has all classes");
    }
    Ok(agreed[0] == 1)
}

/// The whole gradient on rank 0, nothing elsewhere.
fn gather(world: &impl Communicator, own: &[f32], problem: &Problem, shards: usize) -> Vec<f32> {
    use mpi::datatype::PartitionMut;
    use mpi::traits::Root as _;
    let root = world.process_at_rank(0);
    if world.rank() != 0 {
        root.gather_varcount_into(own);
        return Vec::new();
    }
    let count = |range: std::ops::Range<usize>| (problem.rows * range.len()) as i32;
    let counts: Vec<i32> = (0..shards).map(|shard| count(problem.range(shard, shards))).collect();
    let starts: Vec<i32> = counts
        .iter()
        .scan(0, |start, count| {
            let this = *start;
            *start += count;
            Some(this)
        })
        .collect();
    let mut parts = vec![0f32; problem.rows * problem.classes];
    root.gather_varcount_into_root(own, &mut PartitionMut::new(&mut parts[..], counts, &starts[..]));
    // From shard after shard to row after row.
    let mut whole = vec![0f32; parts.len()];
    for (shard, start) in starts.iter().enumerate() {
        let range = problem.range(shard, shards);
        for row in 0..problem.rows {
            let from = *start as usize + row * range.len();
            whole[row * problem.classes..][range.clone()].copy_from_slice(&parts[from..from + range.len()]);
        }
    }
    whole
}
