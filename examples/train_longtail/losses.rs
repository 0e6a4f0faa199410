//! The losses by name: a spec, and the head that its authors put in front of it.

use longtail::softmax::GateSource;
use longtail::{ClassCounts, SoftmaxLoss, TargetKind, method};

use crate::Failure;
use crate::head::Kind;

pub const DEFAULT: &str = "cross_entropy,balanced_softmax,ldam_drw,equalization,seesaw";

/// A loss ready to train with.
pub struct Recipe {
    pub title: &'static str,
    pub spec: SoftmaxLoss,
    /// The class weights of deferred re-weighting, which start late; the spec has ones until then.
    pub deferred: Option<SoftmaxLoss>,
    pub head: Kind,
}

/// The names that [`recipe`] knows: those with one label per row and nothing beside it.
pub fn names() -> impl Iterator<Item = &'static str> {
    let plain = |method: &&method::Method| {
        method.targets == TargetKind::Hard
            && !["influence", "given"].iter().any(|special| method.name.contains(special))
    };
    method::SOFTMAX.iter().filter(plain).map(|method| method.name)
}

pub fn recipe(name: &str, counts: &ClassCounts, seed: u64) -> Result<Recipe, Failure> {
    let method = names().find(|&known| known == name).and_then(method::find);
    let Some(method) = method else {
        return Err(format!("no loss {name}; there are {}", names().collect::<Vec<_>>().join(", ")).into());
    };
    let full = match name {
        // The authors' threshold belongs to their data; here the tail is what is not many.
        "equalization" => {
            let threshold = 100.0 / counts.total() as f64;
            SoftmaxLoss::equalization(counts, threshold, 0.9, seed, GateSource::Element)?
        }
        // Its counts gather on the device, from none.
        "seesaw" => {
            let mut spec = SoftmaxLoss::seesaw(counts);
            if let Some(seesaw) = &mut spec.seesaw {
                seesaw.counts.fill(0);
            }
            spec
        }
        _ => (method.build)(counts)?,
    };
    let cosine = ["ldam", "cosface", "arcface"].iter().any(|family| name.starts_with(family));
    let deferred = name.ends_with("_drw").then(|| full.clone());
    let spec = match deferred {
        Some(_) => full.with_class_weights(vec![1.0; counts.classes()]),
        None => full,
    };
    let head = if cosine && name != "ldam_prescaled" { Kind::Cosine } else { Kind::Linear };
    Ok(Recipe { title: method.title, spec, deferred, head })
}
