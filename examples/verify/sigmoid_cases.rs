//! The sigmoid family: from metadata to specs and targets.

use longtail::random::DrawSource;
use longtail::sigmoid::{Background, EffectiveMode, Focal, Gate, GateSource, GradientBalance, Rebalance};
use longtail::statistics::GradientSums;
use longtail::{Group, Reduction, SigmoidLoss, Upstream, reference};

use super::file::{File, Outcome, malformed, unsupported};
use super::{Case, Labels, Loss, counts, hard, reduction};

/// Makes a case, or leaves the file to another family.
type Open = fn(&File) -> Outcome<Option<Case>>;

/// Every method of the sigmoid family.
pub const METHODS: &[(&str, Open)] = &[
    ("bce_with_logits", |file| multi_hot(file, bce(file)?).map(Some)),
    ("focal_sigmoid", |file| {
        multi_hot(file, SigmoidLoss::focal(file.number("alpha")?, file.number("gamma")?)?).map(Some)
    }),
    ("class_balanced", class_balanced),
    ("balanced_softmax_sigmoid", |file| boxes(file, SigmoidLoss::balanced(&file.column("freq")?)?).map(Some)),
    ("eql_sigmoid", |file| equalization(file).map(Some)),
    ("eqlv2", |file| equalization_v2(file).map(Some)),
    ("acsl", |file| suppression(file).map(Some)),
    ("distribution_balanced", |file| distribution_balanced(file).map(Some)),
    ("videolt", |file| videolt(file).map(Some)),
];

fn case(file: &File, mut spec: SigmoidLoss, targets: Labels) -> Outcome<Case> {
    let wanted = reduction(file)?;
    // What the constructor divides by and what the file says must agree, but for one published alternative.
    if spec.reduction != wanted && !matches!(wanted, Reduction::Elements) {
        return malformed(format!("the reduction is {wanted:?}, the method's is {:?}", spec.reduction));
    }
    spec.reduction = wanted;
    Case::new(file, Loss::Sigmoid(spec), targets)
}

fn multi_hot(file: &File, spec: SigmoidLoss) -> Outcome<Case> {
    case(file, spec, Labels::MultiHot(file.floats("targets")?.to_vec()))
}

/// Labels of boxes, where background has the label that the file says.
fn boxes(file: &File, spec: SigmoidLoss) -> Outcome<Case> {
    let label = file.whole_number("background_index")?;
    match spec.background {
        Some(Background::Label(own)) if u64::try_from(own) == Ok(label) => case(file, spec, hard(file)?),
        other => malformed(format!("background is {label}, the loss has {other:?}")),
    }
}

fn bce(file: &File) -> Outcome<SigmoidLoss> {
    Ok(match file.has_input("pos_weight") {
        true => SigmoidLoss::bce().with_positive_weight(file.column("pos_weight")?),
        false => SigmoidLoss::bce(),
    })
}

/// The forms on sigmoids, and the port's on softmax probabilities; cross-entropy is of the softmax family.
fn class_balanced(file: &File) -> Outcome<Option<Case>> {
    let (counts, beta) = (counts(file)?, file.number("beta")?);
    let variant = file.text("variant");
    let spec = match variant {
        _ if variant.starts_with("CB softmax CE") => return Ok(None),
        _ if variant.starts_with("CB sigmoid focal") => {
            SigmoidLoss::class_balanced_focal(&counts, beta, file.number("gamma")?)?
        }
        _ if variant.starts_with("CB sigmoid BCE") => SigmoidLoss::class_balanced_port(&counts, beta)?,
        _ if variant.contains("BCE applied to softmax") => {
            SigmoidLoss::class_balanced_on_softmax(&counts, beta)?
        }
        other => return unsupported(format!("class_balanced as {other}")),
    };
    let mut case = case(file, spec, hard(file)?)?;
    // With the mean over elements the file's row losses are means over the row.
    if file.text("reduction").starts_with("mean over N*K") {
        let classes = case.inputs.classes as f64;
        case.expected.row_loss.iter_mut().flatten().for_each(|loss| *loss *= classes);
    }
    Ok(Some(case))
}

/// The reference's weights `W_nj` on the case's batch.
fn weights_of(case: &Case, spec: &SigmoidLoss) -> Outcome<Vec<f64>> {
    let logits = case.inputs.wide();
    Ok(reference::sigmoid_weights(spec, &case.inputs.batch(&logits))?)
}

fn with_weights(file: &File, name: &str, case: Case) -> Outcome<Case> {
    let Loss::Sigmoid(spec) = &case.loss else { return malformed("no sigmoid loss") };
    let found = weights_of(&case, spec)?;
    Ok(case.with("weights", found, file.column(name)?))
}

/// Frequencies are rounded to f32 in the file, the threshold is not: a class at the threshold needs all digits.
fn frequencies(file: &File) -> Outcome<Vec<f64>> {
    let stored = file.floats("freq")?.iter().zip(counts(file)?.priors());
    Ok(stored
        .map(|(stored, exact)| if exact as f32 == *stored { exact } else { f64::from(*stored) })
        .collect())
}

fn equalization(file: &File) -> Outcome<Case> {
    let spec = SigmoidLoss::equalization(&frequencies(file)?, file.number("lambda")?)?;
    with_weights(file, "weights", boxes(file, spec)?)
}

/// With a 0 for the background column, whose gradients are not accumulated.
fn padded(file: &File, name: &str) -> Outcome<Vec<f64>> {
    let mut column = file.column(name)?;
    column.push(0.0);
    Ok(column)
}

fn equalization_v2(file: &File) -> Outcome<Case> {
    let sums = GradientSums { positive: padded(file, "pos_grad")?, negative: padded(file, "neg_grad")? };
    let mut spec = SigmoidLoss::equalization_v2(sums.positive.len() - 1);
    let (gamma, mu, alpha) = (file.number("gamma")?, file.number("mu")?, file.number("alpha")?);
    spec.gradient_balance = Some(GradientBalance { sums, gamma, mu, alpha });
    let case = with_weights(file, "weights", case(file, spec.clone(), hard(file)?)?)?;
    let logits = case.inputs.wide();
    let output = reference::sigmoid(&spec, &case.inputs.batch(&logits), Upstream::One)?;
    let Some(batch) = output.gradient_sums else { return malformed("no gradient sums") };
    spec.add_gradients(&batch)?;
    let Some(GradientBalance { sums, .. }) = spec.gradient_balance else { return malformed("no sums") };
    let case = case.with("pos_grad_out", sums.positive, padded(file, "pos_grad_out")?);
    Ok(case.with("neg_grad_out", sums.negative, padded(file, "neg_grad_out")?))
}

/// The background rows' elements come from the file, which drew them; objects follow the rule.
fn suppression(file: &File) -> Outcome<Case> {
    let groups = file.whole("freq_group")?;
    let group = |&number: &u64| match number {
        1 => Ok(Group::Few),
        2 => Ok(Group::Medium),
        3 => Ok(Group::Many),
        other => malformed(format!("there is no group {other}")),
    };
    let groups = groups.iter().skip(1).map(group).collect::<Outcome<Vec<_>>>()?;
    let mut spec = SigmoidLoss::adaptive_suppression(&groups, 0);
    if let Some(term) = &mut spec.suppression {
        term.threshold = file.number("score_thr")?;
        term.rare = file.number("bg_rare_ratio")?;
        term.common = file.number("bg_common_ratio")?;
        term.frequent = file.number("bg_freq_ratio")?;
        term.source = DrawSource::Given;
    }
    let mut case = case(file, spec, hard(file)?)?;
    case.inputs.gates = Some(file.floats("weight_mask")?.to_vec());
    with_weights(file, "weight_mask", case)
}

fn distribution_balanced(file: &File) -> Outcome<Case> {
    let counts = counts(file)?;
    let samples = file.whole("train_num")?.first().copied().unwrap_or(0);
    let number = |path: &[&str]| file.nested(path).and_then(|value| value.as_f64());
    let text = |path: &[&str]| file.nested(path).and_then(|value| value.as_str()).unwrap_or_default();
    let needed = |path: &[&str]| match number(path) {
        Some(value) => Ok(value),
        None => malformed(format!("hparams: {path:?} is missing")),
    };
    let spec = match text(&["reweight_func"]) {
        "rebalance" => SigmoidLoss::rebalanced(
            &counts,
            needed(&["map_param", "alpha"])?,
            needed(&["map_param", "beta"])?,
            needed(&["map_param", "gamma"])?,
        )?,
        "inv" => SigmoidLoss::inverse_prevalence(&counts, samples, 1.0)?,
        "sqrt_inv" => SigmoidLoss::inverse_prevalence(&counts, samples, 0.5)?,
        "CB" => {
            let mode = match text(&["CB_loss", "CB_mode"]) {
                "by_class" => EffectiveMode::ByClass,
                "average_n" => EffectiveMode::AverageCount,
                "average_w" => EffectiveMode::AverageWeight,
                "min_n" => EffectiveMode::SmallestCount,
                other => return unsupported(format!("effective numbers by {other:?}")),
            };
            SigmoidLoss::effective_number(&counts, needed(&["CB_loss", "CB_beta"])?, mode)?
        }
        other => return unsupported(format!("re-weighting {other:?}")),
    };
    let spec = match (number(&["logit_reg", "init_bias"]), number(&["logit_reg", "neg_scale"])) {
        (None, None) => spec,
        (bias, scale) => {
            spec.with_negative_tolerance(&counts, samples, bias.unwrap_or(0.0), scale.unwrap_or(1.0))?
        }
    };
    let focal = file.nested(&["focal", "focal"]).and_then(|value| value.as_bool()).unwrap_or(false);
    let spec = match focal {
        true => {
            let factor = needed(&["focal", "balance_param"])?;
            spec.with_focal(Focal::new(needed(&["focal", "gamma"])?)).with_factors(factor, factor)
        }
        false => spec,
    };
    let zeros = || vec![0.0; counts.classes()];
    let bias = spec.bias.clone().unwrap_or_else(zeros);
    let rebalance: Option<Rebalance> = spec.rebalance.clone();
    let case = multi_hot(file, spec)?.with("init_bias", bias, file.column("init_bias")?);
    match rebalance {
        Some(rebalance) => {
            let found = weights_of(&case, &SigmoidLoss::bce().with_rebalance(rebalance))?;
            Ok(case.with("rebalance_weight", found, file.column("rebalance_weight")?))
        }
        None => Ok(case),
    }
}

fn videolt(file: &File) -> Outcome<Case> {
    let drw = |spec: SigmoidLoss| -> Outcome<SigmoidLoss> {
        Ok(spec.with_deferred_reweighting(&counts(file)?, file.number("beta")?)?)
    };
    let ldam = || -> Outcome<SigmoidLoss> {
        Ok(SigmoidLoss::multi_label_ldam(&counts(file)?, file.number("max_m")?, file.number("s")?)?)
    };
    let variant = file.text("variant");
    match variant {
        _ if variant.starts_with("per-COLUMN class weight") => {
            multi_hot(file, SigmoidLoss::multi_label_class_balanced(&counts(file)?, file.number("beta")?)?)
        }
        _ if variant.starts_with("sigmoid focal") => {
            multi_hot(file, SigmoidLoss::multi_label_focal(file.number("alpha")?, file.number("gamma")?))
        }
        _ if variant.starts_with("LDAM + per-column DRW") => multi_hot(file, drw(ldam()?)?),
        _ if variant.contains("SUM of the margins") => multi_hot(file, ldam()?),
        _ if variant.starts_with("multi-label EQL") => equalization_multi_label(file),
        other => unsupported(format!("videolt as {other}")),
    }
}

/// The rule for tail classes is the constructor's; the gates are made from the file's uniform draws.
fn equalization_multi_label(file: &File) -> Outcome<Case> {
    let (probability, tail) = (file.number("gamma")?, file.whole_number("max_tail_num")?);
    let spec = SigmoidLoss::multi_label_equalization(&counts(file)?, tail, probability, 0)?;
    let Some(Gate { tail, .. }) = spec.gate else { return malformed("no gate") };
    let draws = file.column("rand_u")?;
    let gates = draws.iter().zip(tail.iter().cycle());
    let gates =
        gates.map(|(draw, tail)| if *tail && *draw >= 1.0 - probability { 0.0 } else { 1.0 }).collect();
    let gate = Gate { tail, drop_probability: 0.0, source: GateSource::Given, seed: 0, step: 0 };
    let mut case = multi_hot(file, SigmoidLoss::bce().with_gate(gate))?;
    case.inputs.gates = Some(gates);
    with_weights(file, "weights", case)
}
