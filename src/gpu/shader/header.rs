//! The generated header: the constants that make a kernel of the files.

use super::text::write_constants;
use super::{Driver, KernelKey, Look};
use crate::batch::TargetKind;

/// The columns of a plan's class table that the inner loops read, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Weight,
    ClassScale,
    Bias,
    Power,
    Tail,
}

impl super::InnerTerms {
    /// The columns that the class table begins with for these terms.
    pub(crate) fn columns(&self) -> Vec<Column> {
        let inner = [
            (self.class_weights, Column::Weight),
            (self.class_scale, Column::ClassScale),
            (self.bias, Column::Bias),
            (self.mitigation, Column::Power),
            (self.gate, Column::Tail),
        ];
        inner.into_iter().filter_map(|(present, column)| present.then_some(column)).collect()
    }

    /// A column's place in the table; 0 without one.
    pub(crate) fn column(&self, column: Column) -> u64 {
        self.columns().iter().position(|&other| other == column).unwrap_or(0) as u64
    }
}

/// Where a plan's fields lie in `saved`, and in what shards exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The first field after the outputs and a packed gradient's edges.
    pub extra: u64,
    /// Fields of one slot of a row that is split.
    pub slot: u64,
    /// Fields that one shard gives for each row.
    pub statistics: u64,
    places: [u64; 6],
}

/// Fields of `saved` that outputs take.
pub(crate) const SAVED_OUTPUTS: u64 = 4;
/// Fields of `saved` from `extra` on: with coefficients, and with the labels' logits as well.
pub(crate) const SAVED_COEFFICIENTS: u64 = 6;
pub(crate) const SAVED_LABELS: u64 = 4;
/// Fields of the record that a shard gives of one label of its own (`record.wgsl`).
const RECORD_FIELDS: u64 = 7;

impl Layout {
    pub(crate) fn new(key: &KernelKey) -> Self {
        let labels = match key.targets {
            TargetKind::Soft => 0,
            TargetKind::Mixed => 2,
            _ => 1,
        };
        // Maximum, sum and whether there was a bad logit come first.
        let mut next = 3;
        let mut place = |present: bool| {
            let place = next;
            next += u64::from(present);
            place
        };
        let (floor, dense, argmax) = (key.terms.two_step(), key.terms.dense, key.argmax);
        let places = [place(floor), place(floor), place(dense), place(dense), place(argmax), place(argmax)];
        Self {
            extra: SAVED_OUTPUTS + if key.gradient.packed() { 2 } else { 0 },
            slot: next,
            statistics: next + RECORD_FIELDS * labels,
            places,
        }
    }
}

impl KernelKey {
    /// The constants that make this kernel of the files; `roots` are the trees of a workgroup, most often 1.
    pub(crate) fn header(&self, roots: u32) -> String {
        let terms = &self.terms;
        let two_step = self.two_step();
        let mut text = String::from("// ---- generated header\n");
        let matrices = self.matrices();
        matrices.write_types(&mut text);
        let layout = Layout::new(self);
        let [raw, top, weight, cross, best, index] = layout.places;
        let wide = |present: bool| u64::from(if present { self.workgroup } else { 1 });
        let column = |column| terms.column(column);
        let numbers = [
            ("WG", wide(true)),
            ("ROOTS", u64::from(roots)),
            ("WG_RAW", wide(two_step)),
            ("WG_DENSE", wide(terms.dense)),
            ("WG_INDEX", wide(self.argmax)),
            ("CHIP", u64::from(self.chip.max(1).next_multiple_of(4))),
            ("TILES", u64::from(self.tiles())),
            ("SAVED_EXTRA", layout.extra),
            ("SLOT_RAW", raw),
            ("SLOT_TOP", top),
            ("SLOT_WEIGHT", weight),
            ("SLOT_CROSS", cross),
            ("SLOT_BEST", best),
            ("SLOT_INDEX", index),
            ("SLOT_FIELDS", layout.slot),
            ("STATISTICS_FIELDS", layout.statistics),
            ("COLUMN_WEIGHT", column(Column::Weight)),
            ("COLUMN_CLASS_SCALE", column(Column::ClassScale)),
            ("COLUMN_BIAS", column(Column::Bias)),
            ("COLUMN_POWER", column(Column::Power)),
            ("COLUMN_TAIL", column(Column::Tail)),
        ];
        let switches = [
            ("HAS_CLASS_SCALE", terms.class_scale),
            ("HAS_BIAS", terms.bias),
            ("HAS_MITIGATION", terms.mitigation),
            ("HAS_COMPENSATION", terms.compensation),
            ("TWO_STEP", two_step),
            ("HAS_GATE", terms.gate),
            ("GATE_GIVEN", terms.gate_given),
            ("HAS_FACTOR", terms.mitigation || two_step),
            ("HAS_DENSE", terms.dense),
            ("HAS_CLASS_WEIGHTS", terms.class_weights),
            ("SOFT_TARGETS", self.targets == TargetKind::Soft),
            ("MIXED_TARGETS", self.targets == TargetKind::Mixed),
            ("AGAIN", self.driver == Driver::Partial && terms.two_step() && self.look == Look::Final),
            ("SHARDED", self.sharded),
            ("WANT_ARGMAX", self.argmax),
            ("WRITE_GRADIENT", self.writes),
            ("WRITE_COEFFICIENTS", self.coefficients),
        ];
        let switches: Vec<_> = switches.into_iter().chain(matrices.switches()).collect();
        write_constants(&mut text, &numbers, &switches);
        text
    }
}
