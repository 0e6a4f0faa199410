//! A library with a batch of its own, ready to be timed.

use crate::burn_losses::Step;
use crate::support::{Problem, Took, clock};
use longtail::Element;

const WARM: usize = 6;

/// Seconds that a round of a contender takes, about. A GPU's own clock is disturbed by nothing else.
fn round(software: bool) -> f64 {
    if software { 0.15 } else { 0.05 }
}

/// What is computed.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    pub method: &'static str,
    pub element: Element,
    pub shape: (usize, usize),
}

/// Seconds of a pass by three clocks, the least of the rounds so far.
#[derive(Debug, Clone, Copy)]
pub struct Least {
    pub wall: f64,
    pub processor: f64,
    /// Where the device has a clock and is no processor itself.
    pub device: Option<f64>,
}

/// A library and what it computes.
pub struct Contender {
    pub library: &'static str,
    pub version: String,
    pub subject: Subject,
    /// Bytes on the device besides logits, labels and gradient, where known.
    pub extra: Option<u64>,
    /// The largest difference from the reference's gradient, of its largest entry.
    pub error: f64,
    pub least: Least,
    passes: usize,
    run: Box<dyn FnMut(usize) -> Took>,
}

impl Contender {
    /// longtail. By the wall's clock every pass is a submission of its own, by the device's all are in one, so that it
    /// never waits for the host.
    pub fn longtail(subject: Subject, problem: Problem, software: bool) -> Self {
        let (extra, error) = (Some(problem.plan.bytes()), problem.error);
        let run = move |passes: usize| {
            let mut took = clock::clocked(|| {
                (0..passes).for_each(|_| problem.submit());
                problem.wait();
            });
            if !software {
                took.device = problem.run(passes as u64).device;
            }
            took
        };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self::new(("longtail", version), subject, extra, error, round(software), Box::new(run))
    }

    /// Burn, with the difference that was found.
    pub fn burn(subject: Subject, mut step: Step, version: String, error: f64, software: bool) -> Self {
        let run = move |passes: usize| {
            clock::clocked(|| {
                let mut last = None;
                (0..passes).for_each(|_| last = Some(step.run()));
                step.wait();
            })
        };
        Self::new(("burn-wgpu", version), subject, None, error, round(software), Box::new(run))
    }

    fn new(
        (library, version): (&'static str, String),
        subject: Subject,
        extra: Option<u64>,
        error: f64,
        round: f64,
        mut run: Box<dyn FnMut(usize) -> Took>,
    ) -> Self {
        // Until autotune has settled.
        (0..WARM).for_each(|_| _ = run(1));
        let once = run(2).wall.as_secs_f64() / 2.0;
        let passes = ((round / once) as usize).clamp(1, 200);
        let least = Least { wall: f64::INFINITY, processor: f64::INFINITY, device: None };
        Self { library, version, subject, extra, error, least, passes, run }
    }

    /// A round more.
    pub fn round(&mut self) {
        let took = (self.run)(self.passes);
        let passes = self.passes as f64;
        self.least.wall = self.least.wall.min(took.wall.as_secs_f64() / passes);
        self.least.processor = self.least.processor.min(took.processor.as_secs_f64() / passes);
        if let Some(device) = took.device {
            let device = device.as_secs_f64() / passes;
            self.least.device = Some(self.least.device.map_or(device, |least| least.min(device)));
        }
    }
}
