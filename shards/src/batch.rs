//! A batch that every rank can make its own part of: each number is a function of its row and its class.

use crate::Failure;
use crate::args::Args;
use longtail::method::Method;
use longtail::random::threefry;
use longtail::softmax::GateSource;
use longtail::{ClassCounts, Element, SoftmaxLoss, TargetKind};
use std::ops::Range;

/// A method and its batch.
pub struct Problem {
    pub spec: SoftmaxLoss,
    pub kind: TargetKind,
    pub element: Element,
    pub rows: usize,
    pub classes: usize,
    pub labels: Vec<i32>,
    pub second: Vec<i32>,
    pub lambda: Vec<f32>,
}

/// In `[0, 1)`.
fn unit(stream: u32, row: usize, class: usize) -> f32 {
    let bits = threefry([stream, 0x5eed], [row as u32, class as u32])[0];
    (bits >> 8) as f32 / 16_777_216.0
}

impl Problem {
    pub fn new(method: &Method, args: &Args) -> Result<Self, Failure> {
        let (rows, classes) = (args.rows, args.classes);
        let zipf: Vec<u64> = (1..=classes as u64).map(|rank| 1 + 1_000_000 / rank).collect();
        let spec = (method.build)(&ClassCounts::new(zipf)?)?;
        let given = spec.gate.as_ref().is_some_and(|gate| gate.source == GateSource::Given);
        if given || spec.influence.is_some() {
            return Err(format!("{} needs inputs that this program does not make", method.name).into());
        }
        let label = |stream, row| (unit(stream, row, 0) * classes as f32) as i32;
        // Labels of one row lie in different shards as a rule. Every seventh row is ignored.
        let labels: Vec<i32> = (0..rows).map(|row| if row % 7 == 6 { -100 } else { label(1, row) }).collect();
        Ok(Self {
            kind: method.targets,
            element: args.element,
            rows,
            classes,
            labels,
            second: (0..rows).map(|row| label(2, row)).collect(),
            lambda: (0..rows).map(|row| unit(3, row, 0)).collect(),
            spec,
        })
    }

    /// The classes of a shard: even parts.
    pub fn range(&self, shard: usize, shards: usize) -> Range<usize> {
        shard * self.classes / shards..(shard + 1) * self.classes / shards
    }

    /// Logits of some classes, all rows.
    pub fn logits(&self, classes: &Range<usize>) -> Vec<f32> {
        self.matrix(classes, |row, class| 6.0 * unit(4, row, class) - 3.0)
    }

    /// Soft targets of some classes, all rows: few are above 0.
    pub fn soft(&self, classes: &Range<usize>) -> Vec<f32> {
        self.matrix(classes, |row, class| (unit(5, row, class) * 40.0 - 39.0).max(0.0))
    }

    fn matrix(&self, classes: &Range<usize>, value: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        (0..self.rows)
            .flat_map(|row| classes.clone().map(move |class| (row, class)))
            .map(|(row, class)| value(row, class))
            .collect()
    }

    /// How far a gradient may be off, relative to its largest element: a few roundings of f32, and one of the element
    /// type, whose neighbour either side may have taken.
    pub fn tolerance(&self) -> f32 {
        match self.element {
            Element::F32 => 1e-5,
            Element::F16 => 1e-5 + 2f32.powi(-10),
            _ => 1e-5 + 2f32.powi(-7),
        }
    }
}
