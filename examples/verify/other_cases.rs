//! Losses of columns, distances, teachers and objectness: from metadata to specs and batches.

use longtail::distillation::Expert;
use longtail::{DistillationLoss, LadeLoss, ObjectnessLoss, RangeLoss, Reduction, Upstream, reference};

use super::file::{File, Outcome, malformed, unsupported};
use super::{Case, Labels, Loss, Open, counts, hard};

/// Every method beyond the three families.
pub const METHODS: &[(&str, Open)] = &[
    ("lade", lade),
    ("range_loss", range_loss),
    ("kd_hinton", |file| distillation(file, DistillationLoss::hinton(file.number("T")?))),
    ("kd_lfme", lfme),
    ("dive", dive),
    ("seesaw_mmdet", seesaw),
];

fn lade(file: &File) -> Outcome<Case> {
    let (counts, lambda) = (counts(file)?, file.number("remine_lambda")?);
    let spec = match file.hparam("route_weight")? {
        Some(weight) => LadeLoss::lade(&counts).with_lambda(lambda).with_weight(weight),
        None => LadeLoss::regulariser(&counts, lambda),
    };
    Case::new(file, Loss::Lade(spec), hard(file)?)
}

/// The features are in the logits' place.
fn range_loss(file: &File) -> Outcome<Case> {
    let pairs = file.whole_number("k")? as u32;
    let spec = RangeLoss::new(pairs, file.number("margin")?)
        .with_weights(file.number("alpha")?, file.number("beta")?);
    let case = Case::of(file, Loss::Range(spec.clone()), hard(file)?, "features")?;
    let Labels::Hard(labels) = &case.inputs.targets else { return malformed("no labels") };
    let found = reference::range(&spec, &case.inputs.wide(), case.inputs.classes, labels, Upstream::One)?;
    Ok(case.with("intra", vec![found.intra], file.column("intra")?).with(
        "inter",
        vec![found.inter],
        file.column("inter")?,
    ))
}

fn distillation(file: &File, spec: DistillationLoss) -> Outcome<Case> {
    // Without a base labels decide nothing.
    let labels = match file.has_input("labels") {
        true => hard(file)?,
        false => Labels::Hard(vec![0; file.shape("logits")?.first().copied().unwrap_or(0)]),
    };
    let mut case = Case::new(file, Loss::Distillation(spec), labels)?;
    case.inputs.teacher = file.floats("teacher_logits")?.to_vec();
    Ok(case)
}

/// The files have one expert, whose factor by the number of its classes is the mean over rows.
fn lfme(file: &File) -> Outcome<Case> {
    let classes = file.shape("logits")?.last().copied().unwrap_or(0);
    if file.whole_number("scale")? != classes as u64 {
        return unsupported("an expert for some of the classes");
    }
    let expert = Expert::new((0..classes as u32).collect::<Vec<u32>>());
    let spec = DistillationLoss::lfme([expert]);
    match spec.temperature == file.number("T")? {
        true => distillation(file, spec),
        false => malformed("the temperature is not LFME's"),
    }
}

fn dive(file: &File) -> Outcome<Case> {
    let (alpha, temperature, power) = (file.number("alpha")?, file.number("T")?, file.number("power")?);
    distillation(file, DistillationLoss::dive(&counts(file)?, alpha, temperature, power)?)
}

fn seesaw(file: &File) -> Outcome<Case> {
    let counts = counts(file)?;
    let mut spec =
        ObjectnessLoss::seesaw(&counts).with_reduction(Reduction::Fixed(file.number("avg_factor")?));
    if let Some(seesaw) = &mut spec.classes.seesaw {
        (seesaw.p, seesaw.q, seesaw.eps) = (file.number("p")?, file.number("q")?, file.number("eps")?);
    }
    if file.whole_number("background_index")? != counts.classes() as u64 {
        return malformed("background is not the number after the last class");
    }
    let case = Case::new(file, Loss::Objectness(spec.clone()), hard(file)?)?;
    let logits = case.inputs.wide();
    let found = reference::objectness(&spec, &case.inputs.batch(&logits), Upstream::One)?;
    let Some(counts) = found.classes.counts else { return malformed("no counts") };
    let counts = counts.into_iter().map(|count| count as f64).collect();
    Ok(case.with("cum_samples_used", counts, file.column("cum_samples_used")?))
}
