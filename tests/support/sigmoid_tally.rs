//! Comparing batches of the sigmoid family with the reference, and counting them.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::gpu::{Given, Got, Manner, Up, pass_of, request};
use crate::inputs::Data;
use crate::sigmoid_cases::{narrow, wide};
use crate::sigmoid_keys::Known;
use crate::sigmoid_tolerance::{self, Bounds};
use crate::tolerance::{Worst, worst};
use longtail::gpu::{Kernels, Plan, Program};
use longtail::statistics::GradientSums;
use longtail::{SigmoidLoss, Upstream, reference};
use std::fmt::Write as _;
use std::sync::OnceLock;

/// The kernels that `tests/sigmoid_shaders.rs` checks: no plan may ask for another.
fn known_keys() -> &'static Known {
    static KEYS: OnceLock<Known> = OnceLock::new();
    KEYS.get_or_init(Known::new)
}

pub fn upstream_of(up: Up, data: &Data) -> Upstream<'_> {
    match up {
        Up::One => Upstream::One,
        Up::Scalar(value) => Upstream::Scalar(value),
        Up::PerRow => Upstream::PerRow(&data.upstream),
    }
}

/// Plans and runs one batch.
pub fn run(
    kernels: &Kernels,
    spec: &SigmoidLoss,
    data: &Data,
    manner: Manner,
) -> longtail::Result<(Plan, Got)> {
    let plan = kernels.plan(spec, &request(data, manner))?;
    let got = pass(kernels, &plan, spec, data, manner)?;
    Ok((plan, got))
}

/// Runs one batch through a plan.
pub fn pass(
    kernels: &Kernels,
    plan: &Plan,
    spec: &SigmoidLoss,
    data: &Data,
    manner: Manner,
) -> longtail::Result<Got> {
    let given = Given { statistics: false, ..Given::new(narrow(spec, data), &data.upstream) };
    pass_of(kernels, plan, &given, manner)
}

/// The worst element of everything that a pass gives, accumulated gradients among it.
pub fn compare(
    spec: &SigmoidLoss,
    data: &Data,
    got: &Got,
    sums: Option<&GradientSums>,
    manner: Manner,
) -> Worst {
    let want = reference::sigmoid(spec, &wide(spec, data), upstream_of(manner.upstream, data))
        .unwrap_or_else(|error| panic!("the reference: {error}"));
    let found = sigmoid_tolerance::compare(spec, data, &want, got, manner.upstream, manner.gradient());
    let (Some(batch), Some(sums), Some(balance)) = (&want.gradient_sums, sums, &spec.gradient_balance) else {
        assert!(want.gradient_sums.is_none() && sums.is_none());
        return found;
    };
    // The batch's part is what has been added; a pair of f32 holds 2^-47 of a sum.
    let bounds = Bounds::new(spec, data, &want, manner.upstream);
    let part = |after: &[f64], before: &[f64], want: &[f64], bounds: &[f64], what| {
        let total: Vec<f64> = before.iter().zip(want).map(|(before, own)| before + own).collect();
        let bounds: Vec<f64> =
            bounds.iter().zip(&total).map(|(bound, total)| bound + 2f64.powi(-45) * total).collect();
        let after: Vec<f64> = after.to_vec();
        worst_of(what, &after, &total, &bounds)
    };
    let start = &balance.sums;
    let both = [
        part(&sums.positive, &start.positive, &batch.positive, &bounds.positive, "positive sums"),
        part(&sums.negative, &start.negative, &batch.negative, &bounds.negative, "negative sums"),
    ];
    let all = both.into_iter().chain([found]);
    all.max_by(|a, b| a.ratio.total_cmp(&b.ratio)).expect("three")
}

/// As [`worst`], of numbers that are wider than f32.
fn worst_of(what: &'static str, got: &[f64], want: &[f64], bounds: &[f64]) -> Worst {
    assert_eq!(got.len(), want.len(), "{what}");
    let errors: Vec<f32> = got.iter().zip(want).map(|(got, want)| (got - want) as f32).collect();
    worst(what, &errors, &vec![0.0; want.len()], bounds).expect("a class")
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
    /// One batch on a device.
    pub fn check(
        &mut self,
        kernels: &Kernels,
        name: &str,
        spec: &SigmoidLoss,
        data: &Data,
        manner: Manner,
    ) -> Plan {
        let data = &data.clone().rounded_to(manner.elements.0);
        let name = format!("{name} {:?} {}x{} {manner:?}", data.kind, data.rows, data.classes);
        let (plan, got) = run(kernels, spec, data, manner).unwrap_or_else(|e| panic!("{name}: {e}"));
        self.cases += 1;
        if let Some(status) = &got.status {
            let _ = writeln!(self.failures, "{name}: status {status}");
        }
        for (key, _) in plan.kernels() {
            if let Program::Sigmoid(known) = &key {
                assert!(known_keys().has(known), "{name}: {} is not in the finite set", key.label());
            }
        }
        let sums = plan.gradient_sums().map(|sums| sums.read().expect("the sums"));
        let worst = compare(spec, data, &got, sums.as_ref(), manner);
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
