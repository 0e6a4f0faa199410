//! Golden files of classifier heads: from features and weights to logits, loss and gradients.

use std::path::Path;

use longtail::gpu::Context;
use longtail::head::{Head, HeadBatch, HeadInput, HeadLoss, Inference, RowNorm};
use longtail::{ClassCounts, Reduction, SoftmaxLoss, Targets, Upstream, reference};

use super::file::{File, Outcome, Trouble, malformed, unsupported};
use super::run::{Errors, distance};

/// A golden file of a head that can be run.
pub struct HeadCase {
    pub method: String,
    /// Whose code made the values.
    pub source: String,
    pub spec: HeadLoss,
    pub dim: usize,
    pub classes: usize,
    pub features: Vec<f64>,
    pub weights: Vec<f64>,
    pub labels: Vec<i32>,
    /// Inference with the mean feature's effect taken out, where the file has it.
    pub effect: Option<Inference>,
    pub expected: Expected,
}

/// What the authors' code gave, absent where the file does not have it.
pub struct Expected {
    pub loss: f64,
    pub row_loss: Option<Vec<f64>>,
    pub logits: Vec<f64>,
    pub effect_logits: Option<Vec<f64>>,
    pub logit_gradient: Option<Vec<f64>>,
    pub feature_gradient: Vec<f64>,
    pub weight_gradient: Vec<f64>,
}

type Make = fn(&File) -> Outcome<HeadLoss>;

/// Every head: its name in the files, and the head with its loss.
const HEADS: &[(&str, Make)] = &[
    ("cosine_classifier", |file| with_cross_entropy(cosine(file)?)),
    ("cosine_ldam", cosine_ldam),
    ("cosnorm_oltr", |file| with_cross_entropy(Head::squashed_cosine(file.number("scale")?))),
    ("tau_norm", |file| with_cross_entropy(Head::tau_normalised(file.number("tau")?))),
    ("causal_norm", causal),
    ("arcface", |file| with_cross_entropy(Head::arcface(file.number("m")?, file.number("s")?))),
    ("arcface_easy", |file| with_cross_entropy(Head::arcface_easy(file.number("m")?, file.number("s")?))),
    ("arcface_insightface", |file| {
        with_cross_entropy(Head::arcface_straight_through(file.number("m")?, file.number("s")?))
    }),
    ("cosface", |file| with_cross_entropy(Head::cosface(file.number("m")?, file.number("s")?))),
];

/// Whether a file of this method belongs here.
pub fn knows(method: &str) -> bool {
    HEADS.iter().any(|(name, _)| *name == method)
}

pub fn open(path: &Path) -> Outcome<HeadCase> {
    let file = File::open(path)?;
    let method = file.text("method").to_owned();
    let Some((_, make)) = HEADS.iter().find(|(name, _)| *name == method) else {
        return unsupported(format!("method {method}"));
    };
    let spec = make(&file)?;
    let (&[_, dim], &[classes, _]) = (file.shape("features")?, file.shape("weights")?) else {
        return malformed("features and weights are not two matrices");
    };
    let stored = |name: &str| file.has(name).then(|| file.column(name)).transpose();
    let effect_logits = stored("logits_tde")?;
    let effect = match effect_logits {
        Some(_) => Some(Inference::default().with_effect(file.column("embed_mean")?, file.number("alpha")?)),
        None => None,
    };
    let expected = Expected {
        loss: file.loss()?,
        row_loss: stored("loss_per_sample")?,
        logits: file.column("logits")?,
        effect_logits,
        logit_gradient: stored("grad_logits")?,
        feature_gradient: file.column("grad_features")?,
        weight_gradient: file.column("grad_weights")?,
    };
    Ok(HeadCase {
        source: file.text("source").to_owned(),
        spec,
        dim,
        classes,
        features: file.column("features")?,
        weights: file.column("weights")?,
        labels: file.integers("labels")?.to_vec(),
        effect,
        expected,
        method,
    })
}

impl HeadCase {
    /// Computes the case in f64 on the CPU and compares. What cannot be compared is said in words.
    pub fn check(&self) -> Result<Errors, Trouble> {
        let input = HeadInput::new(&self.features, &self.weights, self.dim, self.classes);
        let batch = HeadBatch::new(input, Targets::Hard(&self.labels));
        let found = reference::head(&self.spec, &batch, Upstream::One)?;
        let expected = &self.expected;
        let mut loss = distance("loss", &[found.loss.loss], &[expected.loss])?;
        loss = loss.max(distance("logits", &found.logits, &expected.logits)?);
        if let Some(expected) = &expected.row_loss {
            loss = loss.max(distance("loss_per_sample", &found.loss.row_loss, expected)?);
        }
        if let (Some(inference), Some(expected)) = (&self.effect, &expected.effect_logits) {
            let found = reference::predict(&self.spec.head, &input, inference)?;
            loss = loss.max(distance("logits_tde", &found.logits, expected)?);
        }
        let mut gradient = distance("grad_features", &found.feature_gradient, &expected.feature_gradient)?;
        gradient = gradient.max(distance("grad_weights", &found.weight_gradient, &expected.weight_gradient)?);
        if let Some(expected) = &expected.logit_gradient {
            gradient = gradient.max(distance("grad_logits", &found.loss.gradient, expected)?);
        }
        // The stored inputs and outputs are f32.
        Ok(Errors { loss, gradient, allowed: 2e-6 })
    }
}

impl HeadCase {
    /// Runs the case on the adapter, a few rows at a time, and compares.
    pub fn check_on(&self, context: &Context) -> Result<Errors, Trouble> {
        let narrow = |values: &[f64]| values.iter().map(|value| *value as f32).collect::<Vec<f32>>();
        let (features, weights) = (narrow(&self.features), narrow(&self.weights));
        let input = HeadInput::new(&features, &weights, self.dim, self.classes);
        let batch = HeadBatch::new(input, Targets::Hard(&self.labels));
        // Scratch for three rows of logits: several chunks.
        let found = context.head_loss_and_grad(&self.spec, &batch, 12 * self.classes as u64)?;
        let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
        let expected = &self.expected;
        let mut loss = distance("loss", &[f64::from(found.loss)], &[expected.loss])?;
        if let Some(expected) = &expected.row_loss {
            loss = loss.max(distance("loss_per_sample", &wide(&found.row_loss), expected)?);
        }
        let features = distance("grad_features", &wide(&found.feature_gradient), &expected.feature_gradient)?;
        let weights = distance("grad_weights", &wide(&found.weight_gradient), &expected.weight_gradient)?;
        Ok(Errors { loss, gradient: features.max(weights), allowed: 2e-5 })
    }
}

fn with_cross_entropy(head: Head) -> Outcome<HeadLoss> {
    Ok(HeadLoss::new(head, SoftmaxLoss::cross_entropy().with_reduction(Reduction::Mean)))
}

fn cosine(file: &File) -> Outcome<Head> {
    let norm = RowNorm { eps: file.number("eps")?, ..RowNorm::unit() };
    let mut head = Head::cosine(file.number("scale")?);
    (head.features, head.weights) = (norm, norm);
    Ok(head)
}

/// The scale is the loss's.
fn cosine_ldam(file: &File) -> Outcome<HeadLoss> {
    let counts = ClassCounts::new(file.whole("class_counts")?)?;
    let mut loss = SoftmaxLoss::ldam(&counts, file.number("max_m")?, file.number("s")?)?;
    if file.has_input("class_weights") {
        loss.class_weights = Some(file.column("class_weights")?);
    }
    Ok(HeadLoss::new(Head::cosine(1.0), loss))
}

fn causal(file: &File) -> Outcome<HeadLoss> {
    let heads = file.number("num_head")? as usize;
    with_cross_entropy(Head::causal(heads, file.number("tau")?, file.number("gamma")?))
}
