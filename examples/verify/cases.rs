//! From a golden file's metadata to a loss and a batch: what was run, by whom, with which numbers.
//!
//! Each family has a table with one entry for each method of the files. An entry makes the loss from hyper-parameters
//! and input tensors with the constructor of that method.

#[path = "file.rs"]
pub mod file;
#[path = "grouped_cases.rs"]
mod grouped_cases;
#[path = "heads.rs"]
pub mod heads;
#[path = "other_cases.rs"]
mod other_cases;
#[path = "run.rs"]
pub mod run;
#[path = "sigmoid_cases.rs"]
mod sigmoid_cases;
#[path = "softmax_cases.rs"]
mod softmax_cases;

use std::path::Path;

use file::{File, Outcome, malformed, unsupported};
use heads::HeadCase;
use longtail::{
    Batch, ClassCounts, DistillationLoss, GroupedLoss, LadeLoss, ObjectnessLoss, RangeLoss, Reduction,
    SigmoidLoss, SoftmaxLoss, Targets,
};

/// A golden file that can be run.
pub struct Case {
    pub method: String,
    /// Whose code made the values.
    pub source: String,
    pub loss: Loss,
    pub inputs: Inputs,
    pub expected: Expected,
    /// What else the file has that the crate computes, on the host.
    pub extras: Vec<Extra>,
    /// Class weights by effective number were rounded to f32 on their way: a wider tolerance.
    pub rounded_weights: bool,
}

/// Makes a case.
type Open = fn(&File) -> Outcome<Case>;

/// A loss of any family.
pub enum Loss {
    Softmax(SoftmaxLoss),
    Sigmoid(SigmoidLoss),
    Grouped(GroupedLoss),
    Lade(LadeLoss),
    /// The batch's logits are features.
    Range(RangeLoss),
    Distillation(DistillationLoss),
    Objectness(ObjectnessLoss),
}

/// A batch that owns its data.
pub struct Inputs {
    pub logits: Vec<f32>,
    pub classes: usize,
    pub targets: Labels,
    pub feature_norms: Option<Vec<f32>>,
    pub gates: Option<Vec<f32>>,
    /// Distillation's teacher; empty for all other losses.
    pub teacher: Vec<f32>,
}

/// Targets that own their data.
pub enum Labels {
    Hard(Vec<i32>),
    Mixed { first: Vec<i32>, second: Vec<i32>, lambda: Vec<f32> },
    Soft(Vec<f32>),
    MultiHot(Vec<f32>),
}

/// What the authors' code gave.
pub struct Expected {
    pub loss: f64,
    pub row_loss: Option<Vec<f64>>,
    pub gradient: Vec<f64>,
    pub scale_gradient: Option<Vec<f64>>,
}

/// Something beside loss and gradient, by this crate and by the authors' code.
pub struct Extra {
    pub name: &'static str,
    pub found: Vec<f64>,
    pub expected: Vec<f64>,
}

impl Inputs {
    /// With `logits` in the precision of the one who computes.
    pub fn batch<'a, T>(&'a self, logits: &'a [T]) -> Batch<'a, T> {
        let targets = match &self.targets {
            Labels::Hard(labels) => Targets::Hard(labels),
            Labels::Mixed { first, second, lambda } => Targets::Mixed { first, second, lambda },
            Labels::Soft(targets) => Targets::Soft(targets),
            Labels::MultiHot(targets) => Targets::MultiHot(targets),
        };
        let mut batch = Batch::new(logits, self.classes, targets);
        batch.feature_norms = self.feature_norms.as_deref();
        batch.gates = self.gates.as_deref();
        batch
    }

    /// The logits in f64.
    pub fn wide(&self) -> Vec<f64> {
        self.logits.iter().map(|value| f64::from(*value)).collect()
    }
}

impl Case {
    /// A case with the file's logits, loss and gradient.
    fn new(file: &File, loss: Loss, targets: Labels) -> Outcome<Self> {
        Self::of(file, loss, targets, "logits")
    }

    /// With another tensor in the logits' place.
    fn of(file: &File, loss: Loss, targets: Labels, name: &str) -> Outcome<Self> {
        let classes = match file.shape(name)? {
            [_, classes] => *classes,
            other => return malformed(format!("{name} have the shape {other:?}")),
        };
        let stored = |name: &str| file.has(name).then(|| file.column(name)).transpose();
        Ok(Self {
            method: file.text("method").to_owned(),
            source: file.text("source").to_owned(),
            loss,
            inputs: Inputs {
                logits: file.floats(name)?.to_vec(),
                classes,
                targets,
                feature_norms: None,
                gates: None,
                teacher: Vec::new(),
            },
            expected: Expected {
                loss: file.loss()?,
                row_loss: stored("loss_per_sample")?,
                gradient: file.column(&format!("grad_{name}"))?,
                scale_gradient: stored("grad_scales")?,
            },
            extras: Vec::new(),
            rounded_weights: effective_beta(file)?.is_some(),
        })
    }

    /// Adds something to compare.
    fn with(mut self, name: &'static str, found: Vec<f64>, expected: Vec<f64>) -> Self {
        self.extras.push(Extra { name, found, expected });
        self
    }
}

/// A golden file of a loss on logits, or of a head with its loss.
pub enum Golden {
    Loss(Box<Case>),
    Head(Box<HeadCase>),
}

impl Golden {
    /// Reads a file and says what to run.
    pub fn open(path: &Path) -> Outcome<Self> {
        match heads::knows(File::open(path)?.text("method")) {
            true => heads::open(path).map(Box::new).map(Golden::Head),
            false => open(path).map(Box::new).map(Golden::Loss),
        }
    }

    pub fn method(&self) -> &str {
        match self {
            Golden::Loss(case) => &case.method,
            Golden::Head(case) => &case.method,
        }
    }

    pub fn source(&self) -> &str {
        match self {
            Golden::Loss(case) => &case.source,
            Golden::Head(case) => &case.source,
        }
    }
}

/// Reads a file of a loss on logits and says what to run.
pub fn open(path: &Path) -> Outcome<Case> {
    let file = File::open(path)?;
    let method = file.text("method").to_owned();
    if method.is_empty() {
        return malformed("the metadata names no method");
    }
    if let Some((_, open)) = sigmoid_cases::METHODS.iter().find(|(name, _)| *name == method) {
        if let Some(case) = open(&file)? {
            return Ok(case);
        }
    }
    let others = grouped_cases::METHODS.iter().chain(other_cases::METHODS);
    if let Some((_, open)) = others.into_iter().find(|(name, _)| *name == method) {
        return open(&file);
    }
    match softmax_cases::METHODS.iter().find(|(name, ..)| *name == method) {
        Some((_, make, label)) => softmax_cases::open(&file, *make, *label),
        None => unsupported(format!("method {method}")),
    }
}

/// The reduction by its description.
pub fn reduction(file: &File) -> Outcome<Reduction> {
    let text = file.text("reduction").trim();
    let without_ignored = text.contains("ignored") && text.contains("excluded");
    // PyTorch's own mean never counts ignored rows, whether its description says so or not.
    let torch_ignores = file.text("method") == "cross_entropy" && file.hparam("ignore_index")?.is_some();
    Ok(match text {
        "none" => Reduction::None,
        "sum" | "sum over N" | "sum over N samples" => Reduction::Sum,
        _ if text.starts_with("weighted mean") => Reduction::WeightedMean,
        _ if text.starts_with("mean over N*K") => Reduction::Elements,
        _ if text.contains("avg_factor") => Reduction::Fixed(file.number("avg_factor")?),
        _ if text.starts_with("sum over N*") && text.ends_with("/ N") => Reduction::Mean,
        _ if text.starts_with("sum over N*") && text.ends_with("/ sum(labels)") => Reduction::Positives,
        _ if text.contains("N*K") => return unsupported(format!("reduction: {text}")),
        _ if text.starts_with("mean over kept") || text.starts_with("mean over non-ignored") => {
            Reduction::MeanKept
        }
        "mean" => Reduction::MeanKept,
        _ if text.starts_with("mean over N") || text.starts_with("plain mean over N") => {
            match without_ignored || torch_ignores {
                true => Reduction::MeanKept,
                false => Reduction::Mean,
            }
        }
        _ if text.starts_with("sum over non-ignored") || (text.starts_with("sum") && without_ignored) => {
            Reduction::Sum
        }
        _ => return unsupported(format!("reduction: {text}")),
    })
}

fn counts(file: &File) -> Outcome<ClassCounts> {
    Ok(ClassCounts::new(file.whole("class_counts")?)?)
}

/// The beta of class weights by effective number, where the file has them: deferred re-weighting has none
/// before its second stage.
fn effective_beta(file: &File) -> Outcome<Option<f64>> {
    let beta = match file.hparam("beta")? {
        Some(beta) => Some(beta),
        None => file.hparam("drw_beta")?,
    };
    let first_stage = file.hparam("drw_stage")? == Some(0.0);
    Ok(beta.filter(|beta| *beta > 0.0 && !first_stage))
}

fn hard(file: &File) -> Outcome<Labels> {
    Ok(Labels::Hard(file.integers("labels")?.to_vec()))
}
