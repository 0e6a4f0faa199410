//! Kernels of every family as one type: what the pipeline cache hashes and compiles.

use super::distillation::DistillationKey;
use super::grouped::GroupedKey;
use super::head::{FoldKey, HeadKey};
use super::lade::LadeKey;
use super::matmul::MatmulKey;
use super::objectness::ObjectnessKey;
use super::range::RangeKey;
use super::shader::{Binding, KernelKey};
use super::sigmoid::SigmoidKey;

/// A kernel, as its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Program {
    /// Of the softmax family.
    Softmax(KernelKey),
    /// Beside the products of a classifier head.
    Head(HeadKey),
    /// Of the softmax family with a head's products in it.
    Fold(FoldKey),
    /// Of the grouped family.
    Grouped(GroupedKey),
    /// Of the sigmoid family.
    Sigmoid(SigmoidKey),
    /// A matrix product, or a pass beside one.
    Matmul(MatmulKey),
    /// Of distillation.
    Distillation(DistillationKey),
    /// Of LADE's regulariser.
    Lade(LadeKey),
    /// Of a loss with objectness.
    Objectness(ObjectnessKey),
    /// Of range loss.
    Range(RangeKey),
}

impl From<KernelKey> for Program {
    fn from(key: KernelKey) -> Self {
        Self::Softmax(key)
    }
}

impl From<HeadKey> for Program {
    fn from(key: HeadKey) -> Self {
        Self::Head(key)
    }
}

impl From<FoldKey> for Program {
    fn from(key: FoldKey) -> Self {
        Self::Fold(key)
    }
}

impl From<GroupedKey> for Program {
    fn from(key: GroupedKey) -> Self {
        Self::Grouped(key)
    }
}

impl From<SigmoidKey> for Program {
    fn from(key: SigmoidKey) -> Self {
        Self::Sigmoid(key)
    }
}

impl From<MatmulKey> for Program {
    fn from(key: MatmulKey) -> Self {
        Self::Matmul(key)
    }
}

impl From<DistillationKey> for Program {
    fn from(key: DistillationKey) -> Self {
        Self::Distillation(key)
    }
}

impl From<LadeKey> for Program {
    fn from(key: LadeKey) -> Self {
        Self::Lade(key)
    }
}

impl From<ObjectnessKey> for Program {
    fn from(key: ObjectnessKey) -> Self {
        Self::Objectness(key)
    }
}

impl From<RangeKey> for Program {
    fn from(key: RangeKey) -> Self {
        Self::Range(key)
    }
}

/// Asks the key of whatever family it is.
macro_rules! of_key {
    ($program:expr, $key:ident => $answer:expr) => {
        match $program {
            Program::Softmax($key) => $answer,
            Program::Head($key) => $answer,
            Program::Fold($key) => $answer,
            Program::Grouped($key) => $answer,
            Program::Sigmoid($key) => $answer,
            Program::Matmul($key) => $answer,
            Program::Distillation($key) => $answer,
            Program::Lade($key) => $answer,
            Program::Objectness($key) => $answer,
            Program::Range($key) => $answer,
        }
    };
}

impl Program {
    /// The kernel's text: a pure function of the key.
    pub fn wgsl(&self) -> String {
        of_key!(self, key => key.wgsl())
    }

    /// A short readable name.
    pub fn label(&self) -> String {
        of_key!(self, key => key.label())
    }

    /// The bindings of group 0.
    pub fn bindings(&self) -> Vec<Binding> {
        of_key!(self, key => key.bindings())
    }

    /// Threads per workgroup.
    pub fn workgroup(&self) -> u32 {
        of_key!(self, key => key.workgroup())
    }

    /// Bytes of workgroup memory.
    pub fn workgroup_bytes(&self) -> u32 {
        of_key!(self, key => key.workgroup_bytes())
    }

    /// The features that the device must have.
    pub fn features(&self) -> wgpu::Features {
        of_key!(self, key => key.features())
    }

    /// Which file of `shaders/` a line of the text comes from, and the line in it.
    pub(crate) fn locate(&self, line: u32) -> (String, u32) {
        let mut file = ("the generated header".to_owned(), 0);
        for (number, text) in (1..).zip(self.wgsl().lines()) {
            if number > line {
                break;
            }
            file.1 += 1;
            match text.strip_prefix("// ---- ") {
                Some("generated header") | None => {}
                Some(name) => file = (name.to_owned(), 0),
            }
        }
        file
    }
}
