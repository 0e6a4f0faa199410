//! From a golden file's metadata to a loss and a batch: what was run, by whom, with which numbers.
//!
//! [`METHODS`] has one entry for each method of the files. An entry makes the loss from hyper-parameters and
//! input tensors with the constructor of that method; what all methods share (label smoothing, ignored index,
//! class weights as an input, reduction) is added by [`open`].

#[path = "file.rs"]
pub mod file;
#[path = "heads.rs"]
pub mod heads;
#[path = "run.rs"]
pub mod run;

use std::path::Path;

use file::{File, Outcome, malformed, unsupported};
use heads::HeadCase;
use longtail::softmax::mixing::{remix_lambda, unimix_lambda};
use longtail::softmax::{Focal, SmoothingShape};
use longtail::{Batch, ClassCounts, Normalisation, Reduction, SoftmaxLoss, Targets};

/// A golden file that can be run.
pub struct Case {
    pub method: String,
    /// Whose code made the values.
    pub source: String,
    pub spec: SoftmaxLoss,
    pub inputs: Inputs,
    pub expected: Expected,
    /// Class weights by effective number were rounded to f32 on their way: a wider tolerance.
    pub rounded_weights: bool,
}

/// A batch that owns its data.
pub struct Inputs {
    pub logits: Vec<f32>,
    pub classes: usize,
    pub targets: Labels,
    pub feature_norms: Option<Vec<f32>>,
    pub gates: Option<Vec<f32>>,
}

/// Targets that own their data.
pub enum Labels {
    Hard(Vec<i32>),
    Mixed { first: Vec<i32>, second: Vec<i32>, lambda: Vec<f32> },
    Soft(Vec<f32>),
}

/// What the authors' code gave.
pub struct Expected {
    pub loss: f64,
    pub row_loss: Option<Vec<f64>>,
    pub gradient: Vec<f64>,
    pub scale_gradient: Option<Vec<f64>>,
}

impl Inputs {
    /// With `logits` in the precision of the one who computes.
    pub fn batch<'a, T>(&'a self, logits: &'a [T]) -> Batch<'a, T> {
        let targets = match &self.targets {
            Labels::Hard(labels) => Targets::Hard(labels),
            Labels::Mixed { first, second, lambda } => Targets::Mixed { first, second, lambda },
            Labels::Soft(targets) => Targets::Soft(targets),
        };
        let mut batch = Batch::new(logits, self.classes, targets);
        batch.feature_norms = self.feature_norms.as_deref();
        batch.gates = self.gates.as_deref();
        batch
    }
}

/// A golden file of a loss on logits, or of a head with its loss.
pub enum Golden {
    Loss(Case),
    Head(HeadCase),
}

impl Golden {
    /// Reads a file and says what to run.
    pub fn open(path: &Path) -> Outcome<Self> {
        match heads::knows(File::open(path)?.text("method")) {
            true => heads::open(path).map(Golden::Head),
            false => open(path).map(Golden::Loss),
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

type Make = fn(&File) -> Outcome<SoftmaxLoss>;
type Label = fn(&File) -> Outcome<Labels>;

/// Every method of the softmax family: its name in the files, its loss and its targets.
const METHODS: &[(&str, Make, Label)] = &[
    ("cross_entropy", |_| Ok(SoftmaxLoss::cross_entropy()), hard),
    ("soft_label_ce", |_| Ok(SoftmaxLoss::cross_entropy()), soft),
    ("weighted_softmax", weighted, hard),
    ("balanced_softmax", |file| Ok(SoftmaxLoss::balanced(&counts(file)?)), hard),
    ("logit_adjustment", logit_adjustment, hard),
    ("prior_ce", prior_ce, hard),
    ("unimix_bayias", bayias, unimix),
    ("sade_inverse_softmax", inverse_softmax, hard),
    ("vs_loss", vector_scaling, hard),
    ("cdt", temperatures, hard),
    ("lws", |file| Ok(SoftmaxLoss::learnable_scaling(file.column("scales")?)), hard),
    ("focal_softmax", focal, hard),
    ("class_balanced", class_balanced, hard),
    ("ldam", |file| ldam(file, SoftmaxLoss::ldam), hard),
    ("ldam_prescaled", |file| ldam(file, SoftmaxLoss::ldam_prescaled), hard),
    ("ldam_allclass_survey", |file| ldam(file, SoftmaxLoss::ldam_all_classes), hard),
    ("eql_softmax", |_| Ok(SoftmaxLoss::equalization_given()), hard),
    ("eql_softmax_gates", |_| Ok(SoftmaxLoss::equalization_given()), hard),
    ("eql_softmax_survey", |_| Ok(SoftmaxLoss::equalization_given()), hard),
    ("seesaw", seesaw, hard),
    ("influence_balanced", influence_balanced, hard),
    ("label_aware_smoothing", label_aware_smoothing, hard),
    ("mixup", |_| Ok(SoftmaxLoss::cross_entropy()), mixup),
    ("remix", remix_loss, remix),
];

/// Reads a file and says what to run.
pub fn open(path: &Path) -> Outcome<Case> {
    let file = File::open(path)?;
    let method = file.text("method").to_owned();
    if method.is_empty() {
        return malformed("the metadata names no method");
    }
    let Some((_, make, label)) = METHODS.iter().find(|(name, ..)| *name == method) else {
        return unsupported(format!("method {method}"));
    };
    let mut spec = make(&file)?;
    if spec.class_weights.is_none() && file.has_input("class_weights") {
        spec.class_weights = Some(file.column("class_weights")?);
    }
    if let Some(smoothing) = file.hparam("label_smoothing")? {
        spec.label_smoothing = smoothing;
    }
    if let Some(index) = file.hparam("ignore_index")? {
        spec.ignore_index = Some(index as i32);
    }
    spec.reduction = reduction(&file)?;
    let classes = match file.shape("logits")? {
        [_, classes] => *classes,
        other => return malformed(format!("logits have the shape {other:?}")),
    };
    let optional = |wanted: bool, name: &str| match wanted {
        true => file.floats(name).map(|values| Some(values.to_vec())),
        false => Ok(None),
    };
    let inputs = Inputs {
        logits: file.floats("logits")?.to_vec(),
        classes,
        targets: label(&file)?,
        feature_norms: optional(spec.influence.is_some(), "feature_l1")?,
        gates: optional(spec.gate.is_some(), "gate_keep")?,
    };
    let stored = |name: &str| file.has(name).then(|| file.column(name)).transpose();
    let expected = Expected {
        loss: file.loss()?,
        row_loss: stored("loss_per_sample")?,
        gradient: file.column("grad_logits")?,
        scale_gradient: stored("grad_scales")?,
    };
    let rounded_weights = effective_beta(&file)?.is_some();
    let source = file.text("source").to_owned();
    Ok(Case { method, source, spec, inputs, expected, rounded_weights })
}

/// The reduction by its description.
fn reduction(file: &File) -> Outcome<Reduction> {
    let text = file.text("reduction").trim();
    let without_ignored = text.contains("ignored") && text.contains("excluded");
    // PyTorch's own mean never counts ignored rows, whether its description says so or not.
    let torch_ignores = file.text("method") == "cross_entropy" && file.hparam("ignore_index")?.is_some();
    Ok(match text {
        "none" => Reduction::None,
        "sum" | "sum over N" | "sum over N samples" => Reduction::Sum,
        _ if text.starts_with("weighted mean") => Reduction::WeightedMean,
        _ if text.contains("avg_factor") => Reduction::Fixed(file.number("avg_factor")?),
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

/// Adds them.
fn reweighted(file: &File, spec: SoftmaxLoss) -> Outcome<SoftmaxLoss> {
    match effective_beta(file)? {
        Some(beta) => Ok(spec.with_deferred_reweighting(&counts(file)?, beta)?),
        None => Ok(spec),
    }
}

fn weighted(file: &File) -> Outcome<SoftmaxLoss> {
    let rule: String = file.word("weight").chars().filter(|character| !character.is_whitespace()).collect();
    // Given weights need no rule.
    if rule.is_empty() && file.has_input("class_weights") {
        return Ok(SoftmaxLoss::cross_entropy());
    }
    let counts = counts(file)?;
    let inverse = |power: f64, normalisation| -> Outcome<SoftmaxLoss> {
        Ok(SoftmaxLoss::weighted(counts.inverse_frequency(power, normalisation)?))
    };
    match rule.as_str() {
        "sum(n)/(K*n_k)" => Ok(SoftmaxLoss::weighted_inverse(&counts)?),
        "1-log(n_k/maxn)" => Ok(SoftmaxLoss::weighted_neg_log(&counts)?),
        "(n_min/n_k)^gamma" => {
            Ok(SoftmaxLoss::weighted_cost_sensitive(&counts, file.hparam("gamma")?.unwrap_or(1.0))?)
        }
        "1/pi_k" | "sum(n)/n_k" => Ok(SoftmaxLoss::weighted_survey(&counts)?),
        "1/n_k" => inverse(1.0, Normalisation::None),
        "1/sqrt(n_k)" => inverse(0.5, Normalisation::None),
        "(1/n)/sum(1/n)*K" => inverse(1.0, Normalisation::SumToClasses),
        "(n_max/n_k)^gamma" => inverse(file.hparam("gamma")?.unwrap_or(1.0), Normalisation::Largest),
        other => unsupported(format!("weight rule {other:?}")),
    }
}

fn biased(bias: Vec<f64>) -> SoftmaxLoss {
    let mut spec = SoftmaxLoss::cross_entropy();
    spec.bias = Some(bias);
    spec
}

fn logit_adjustment(file: &File) -> Outcome<SoftmaxLoss> {
    let (counts, tau) = (counts(file)?, file.hparam("tau")?.unwrap_or(1.0));
    match file.hparam("eps")?.unwrap_or(0.0) {
        0.0 => Ok(SoftmaxLoss::logit_adjusted_exact(&counts, tau)?),
        1e-12 => Ok(SoftmaxLoss::logit_adjusted(&counts, tau)?),
        eps => Ok(biased(counts.priors().iter().map(|prior| (prior.powf(tau) + eps).ln()).collect())),
    }
}

fn prior_ce(file: &File) -> Outcome<SoftmaxLoss> {
    let counts = counts(file)?;
    match file.hparam("eps")? {
        None | Some(1e-9) => Ok(SoftmaxLoss::prior_ce(&counts)),
        Some(eps) => Ok(biased(counts.log_priors(eps))),
    }
}

fn bayias(file: &File) -> Outcome<SoftmaxLoss> {
    let counts = counts(file)?;
    if file.has_input("inference_prior") {
        return Ok(SoftmaxLoss::bayias(&counts, Some(&file.column("inference_prior")?))?);
    }
    match file.word("inference_prior") {
        "" | "uniform" => Ok(SoftmaxLoss::bayias(&counts, None)?),
        other => unsupported(format!("inference prior {other:?}")),
    }
}

fn inverse_softmax(file: &File) -> Outcome<SoftmaxLoss> {
    // The authors' sort leaves the order of equal counts open, so their column decides where it is an input.
    if file.has_input("bias") {
        return Ok(biased(file.column("bias")?));
    }
    let (counts, tau) = (counts(file)?, file.hparam("tau")?.unwrap_or(2.0));
    match file.hparam("eps")? {
        None | Some(1e-9) => Ok(SoftmaxLoss::inverse_softmax(&counts, tau)?),
        Some(eps) => {
            let pairs = counts.log_priors(eps).into_iter().zip(counts.reversed_log_priors(eps));
            Ok(biased(pairs.map(|(log, reversed)| log - tau * reversed).collect()))
        }
    }
}

fn vector_scaling(file: &File) -> Outcome<SoftmaxLoss> {
    Ok(SoftmaxLoss::vector_scaling(&counts(file)?, file.number("gamma")?, file.number("tau")?)?)
}

fn temperatures(file: &File) -> Outcome<SoftmaxLoss> {
    Ok(SoftmaxLoss::class_dependent_temperature(&counts(file)?, file.number("gamma")?)?)
}

fn focal(file: &File) -> Outcome<SoftmaxLoss> {
    let weight_inside =
        ["inside the modulator", "p^w"].iter().any(|sign| file.text("variant").contains(sign));
    let detached = file.is_set("detach_modulator") || file.text("variant").contains("DETACHED");
    let focal = Focal { gamma: file.number("gamma")?, detached, weight_inside };
    reweighted(file, SoftmaxLoss::cross_entropy().with_focal(focal))
}

fn class_balanced(file: &File) -> Outcome<SoftmaxLoss> {
    let variant = file.text("variant");
    if !variant.starts_with("CB softmax CE") {
        return unsupported(format!("class_balanced as {variant}"));
    }
    let (counts, beta) = (counts(file)?, file.number("beta")?);
    match file.word("norm") {
        "" | "sum to K" => Ok(SoftmaxLoss::class_balanced(&counts, beta)?),
        "none" => {
            let numbers = counts.effective_numbers(beta)?;
            Ok(SoftmaxLoss::weighted(numbers.into_iter().map(|number| 1.0 / number).collect::<Vec<_>>()))
        }
        other => unsupported(format!("normalisation {other:?}")),
    }
}

fn ldam(
    file: &File,
    make: fn(&ClassCounts, f64, f64) -> longtail::Result<SoftmaxLoss>,
) -> Outcome<SoftmaxLoss> {
    reweighted(file, make(&counts(file)?, file.number("max_m")?, file.number("s")?)?)
}

fn seesaw(file: &File) -> Outcome<SoftmaxLoss> {
    let (p, q) = (file.number("p")?, file.number("q")?);
    let mut spec = SoftmaxLoss::seesaw_with(&counts(file)?, p, q, file.hparam("eps")?.unwrap_or(0.0));
    if let Some(seesaw) = &mut spec.seesaw {
        // The authors' module counts the batch first, and then the counts it used are stored as well.
        seesaw.count_batch = file.has_input("cum_samples_used");
    }
    Ok(spec)
}

fn influence_balanced(file: &File) -> Outcome<SoftmaxLoss> {
    let (counts, alpha) = (counts(file)?, file.number("alpha")?);
    let mut spec = match file.hparam("gamma")? {
        Some(gamma) => SoftmaxLoss::influence_balanced_focal(&counts, alpha, gamma)?,
        None => SoftmaxLoss::influence_balanced(&counts, alpha)?,
    };
    let eps = file.hparam("eps")?;
    if let Some(influence) = &mut spec.influence {
        influence.eps = eps.unwrap_or(influence.eps);
        influence.detached = file.is_set("detach");
    }
    Ok(spec)
}

fn label_aware_smoothing(file: &File) -> Outcome<SoftmaxLoss> {
    let shape = match file.word("shape") {
        "" | "concave" => SmoothingShape::Concave,
        "linear" => SmoothingShape::Linear,
        "convex" => SmoothingShape::Convex,
        "exp" => SmoothingShape::Power(file.number("power")?),
        other => return unsupported(format!("smoothing shape {other:?}")),
    };
    let (head, tail) = (file.number("smooth_head")?, file.number("smooth_tail")?);
    Ok(SoftmaxLoss::label_aware_smoothing(&counts(file)?, head, tail, shape)?)
}

fn remix_loss(file: &File) -> Outcome<SoftmaxLoss> {
    reweighted(file, SoftmaxLoss::cross_entropy())
}

fn hard(file: &File) -> Outcome<Labels> {
    Ok(Labels::Hard(file.integers("labels")?.to_vec()))
}

fn soft(file: &File) -> Outcome<Labels> {
    Ok(Labels::Soft(file.floats("targets")?.to_vec()))
}

/// Two labels per row, with the first one's share by row.
fn mixed(file: &File, lambda: Vec<f32>) -> Outcome<Labels> {
    let (first, second) = (file.integers("labels_a")?, file.integers("labels_b")?);
    Ok(Labels::Mixed { first: first.to_vec(), second: second.to_vec(), lambda })
}

fn mixup(file: &File) -> Outcome<Labels> {
    match file.has_input("lam") {
        true => mixed(file, file.floats("lam")?.to_vec()),
        false => {
            let lambda = file.number("lam")? as f32;
            mixed(file, vec![lambda; file.integers("labels_a")?.len()])
        }
    }
}

/// The two labels' counts, row by row.
fn pair_counts(file: &File) -> Outcome<Vec<(u64, u64)>> {
    let counts = file.whole("class_counts")?;
    let count = |label: &i32| match usize::try_from(*label).ok().and_then(|class| counts.get(class)) {
        Some(count) => Ok(*count),
        None => malformed(format!("label {label} has no count")),
    };
    let pairs = file.integers("labels_a")?.iter().zip(file.integers("labels_b")?);
    pairs.map(|(a, b)| Ok((count(a)?, count(b)?))).collect()
}

fn unimix(file: &File) -> Outcome<Labels> {
    if !file.has_input("beta_draws") && file.has_input("lam") {
        return mixed(file, file.floats("lam")?.to_vec());
    }
    let draws = file.column("beta_draws")?;
    let rows = pair_counts(file)?.into_iter().zip(draws);
    let lambda = rows.map(|((a, b), draw)| Ok(unimix_lambda(draw, a, b)? as f32));
    mixed(file, lambda.collect::<Outcome<_>>()?)
}

fn remix(file: &File) -> Outcome<Labels> {
    let (kappa, tau) = (file.hparam("k_majority")?, file.number("tau")?);
    let kappa = match kappa {
        Some(kappa) => kappa,
        None => file.number("kappa")?,
    };
    let share = match file.hparam("lam_x")? {
        Some(share) => share,
        None => file.number("lam")?,
    };
    let rows = pair_counts(file)?.into_iter();
    let lambda = rows.map(|(a, b)| Ok(remix_lambda(share, a, b, kappa, tau)? as f32));
    mixed(file, lambda.collect::<Outcome<_>>()?)
}
