//! A library with a batch of its own, ready to be timed.

use crate::burn_losses::Step;
use crate::support::{Problem, Took, clock};

const WARM: usize = 6;
/// Seconds that a round of a contender takes, about.
const ROUND: f64 = 0.15;

/// A library, a loss and a shape.
pub struct Contender {
    pub library: &'static str,
    pub version: String,
    pub method: &'static str,
    pub shape: (usize, usize),
    /// Bytes on the device besides logits, labels and gradient, where known.
    pub extra: Option<u64>,
    /// The largest difference from the reference's gradient, of its largest entry.
    pub error: f64,
    /// Seconds of a pass by the wall's and the processors' clocks, the least of the rounds so far.
    pub least: (f64, f64),
    passes: usize,
    run: Box<dyn FnMut(usize) -> Took>,
}

impl Contender {
    /// longtail, every pass a submission of its own.
    pub fn longtail(method: &'static str, shape: (usize, usize), problem: Problem) -> Self {
        let (extra, error) = (Some(problem.plan.bytes()), problem.error);
        let run = move |passes: usize| {
            clock::clocked(|| {
                (0..passes).for_each(|_| problem.submit());
                problem.wait();
            })
        };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self::new(("longtail", version), method, shape, extra, error, Box::new(run))
    }

    /// Burn, with the difference that was found.
    pub fn burn(
        method: &'static str,
        shape: (usize, usize),
        mut step: Step,
        version: String,
        error: f64,
    ) -> Self {
        let run = move |passes: usize| {
            clock::clocked(|| {
                let mut last = None;
                (0..passes).for_each(|_| last = Some(step.run()));
                step.wait();
            })
        };
        Self::new(("burn-wgpu", version), method, shape, None, error, Box::new(run))
    }

    fn new(
        (library, version): (&'static str, String),
        method: &'static str,
        shape: (usize, usize),
        extra: Option<u64>,
        error: f64,
        mut run: Box<dyn FnMut(usize) -> Took>,
    ) -> Self {
        // Until autotune has settled.
        (0..WARM).for_each(|_| _ = run(1));
        let once = run(2).wall.as_secs_f64() / 2.0;
        let passes = ((ROUND / once) as usize).clamp(1, 200);
        let least = (f64::INFINITY, f64::INFINITY);
        Self { library, version, method, shape, extra, error, least, passes, run }
    }

    /// A round more.
    pub fn round(&mut self) {
        let took = (self.run)(self.passes);
        let passes = self.passes as f64;
        self.least.0 = self.least.0.min(took.wall.as_secs_f64() / passes);
        self.least.1 = self.least.1.min(took.processor.as_secs_f64() / passes);
    }
}
