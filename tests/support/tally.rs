//! Comparing batches with the reference, and counting them.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::cases::Subject;
use crate::gpu::{Manner, Up, context, run};
use crate::inputs::{Data, counts};
use crate::keys::Known;
use crate::tolerance;
use longtail::gpu::{Kernels, Plan, Program};
use longtail::{Reduction, Upstream, reference};
use std::fmt::Write as _;
use std::sync::OnceLock;

/// The kernels that `tests/shaders.rs` checks: no plan may ask for another.
fn known_keys() -> &'static Known {
    static KEYS: OnceLock<Known> = OnceLock::new();
    KEYS.get_or_init(Known::new)
}

/// What a test has seen.
#[derive(Default)]
pub struct Tally {
    pub cases: usize,
    tightest: f64,
    worst: String,
    failures: String,
}

impl Tally {
    /// One batch on the test's adapter.
    pub fn check(&mut self, subject: &Subject, reduction: Option<Reduction>, data: &Data, manner: Manner) {
        self.check_on(context().kernels(), subject, reduction, data, manner);
    }

    /// One batch on a device.
    pub fn check_on(
        &mut self,
        kernels: &Kernels,
        subject: &Subject,
        reduction: Option<Reduction>,
        data: &Data,
        manner: Manner,
    ) -> Plan {
        let rounded = data.clone().rounded_to(manner.elements.0);
        let data = &rounded;
        let mut spec = subject.spec(&counts(data.classes));
        if let Some(reduction) = reduction {
            spec = spec.with_reduction(reduction);
        }
        let upstream = match manner.upstream {
            Up::One => Upstream::One,
            Up::Scalar(value) => Upstream::Scalar(value),
            Up::PerRow => Upstream::PerRow(&data.upstream),
        };
        let name = format!("{} {}x{} {manner:?}", subject.name, data.rows, data.classes);
        let want =
            reference::softmax(&spec, &data.wide(&spec), upstream).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (plan, got) = run(kernels, &spec, data, manner).unwrap_or_else(|e| panic!("{name}: {e}"));
        self.cases += 1;
        if let Some(status) = &got.status {
            let _ = writeln!(self.failures, "{name}: status {status}");
        }
        for (key, _) in plan.kernels() {
            let Program::Softmax(known) = key else { panic!("{name}: {}", key.label()) };
            assert!(known_keys().has(&known), "{name}: {} is not in the finite set", key.label());
        }
        if let (Some(device), Some(counts)) = (plan.counts(), &want.counts) {
            assert_eq!(&device.read().unwrap(), counts, "{name}: cumulative counts");
        }
        let worst = tolerance::compare(&spec, data, &want, &got, manner.upstream, manner.gradient());
        let (row, column) = match worst.what {
            "gradient" => (worst.index / data.classes, worst.index % data.classes),
            _ => (worst.index, 0),
        };
        let line = format!(
            "{name} {:?}: {} row {row} column {column} is {:e}, not {:e}: {:.2} times its tolerance {:e}",
            spec.reduction, worst.what, worst.got, worst.want, worst.ratio, worst.bound
        );
        if worst.ratio > 1.0 {
            let _ = writeln!(self.failures, "{line}");
        }
        if worst.ratio >= self.tightest {
            self.tightest = worst.ratio;
            self.worst = line;
        }
        plan
    }

    /// Says how many cases ran, and fails for those that failed.
    pub fn end(self, what: &str) {
        println!("{what}: {} GPU cases; tightest: {}", self.cases, self.worst);
        assert!(self.cases > 0, "no GPU case ran");
        assert!(self.failures.is_empty(), "{}", self.failures);
    }
}
