//! What is asked of predictions on the device, and its checks.

use super::key::MOST_TOP;
use super::plan::threads;
use super::range::MOST;
use crate::gpu::kernels::Kernels;
use crate::gpu::matmul::MatrixSpec;
use crate::head::Head;
use crate::{Error, Result};

/// What is asked of a head at test time on the device: shapes, places and what [`Inference`](crate::head::Inference)
/// names.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct PredictRequest {
    /// N. 0 is legal.
    pub rows: usize,
    /// K, at least 1.
    pub classes: usize,
    /// D, at least 1.
    pub dim: usize,
    /// Rows whose logits are in the scratch buffer together, at least 1. Default N.
    pub row_chunk: usize,
    /// Classes whose logits are in the scratch buffer together, at least 1; fewer where their weights do not fit one of the
    /// device's bindings, or a workgroup would be busy with them for too long. Default K.
    pub class_chunk: usize,
    /// Where the features are. Default f32, contiguous.
    pub features: MatrixSpec,
    /// Where the weights are. Default f32, contiguous.
    pub weights: MatrixSpec,
    /// How many classes are named per row: at most K and 64. Default 1; 0 names none.
    pub top: usize,
    /// Whether `[K]` numbers are subtracted from the logits. Default no.
    pub adjustment: bool,
    /// How much of a direction's effect is taken out of the features, where a direction is given: finite, at least 0.
    /// Default no direction.
    pub effect: Option<f64>,
    /// Whether what is read may share a buffer with what is written, apart from it. Default no.
    pub shared: bool,
}

impl PredictRequest {
    /// The classes of the `top` largest logits of each row.
    pub fn new(rows: usize, classes: usize, dim: usize, top: usize) -> Self {
        Self {
            rows,
            classes,
            dim,
            row_chunk: rows.max(1),
            class_chunk: classes.max(1),
            features: MatrixSpec::default(),
            weights: MatrixSpec::default(),
            top,
            adjustment: false,
            effect: None,
            shared: false,
        }
    }

    /// Sets how many rows and classes are in the scratch buffer together.
    #[must_use]
    pub fn with_chunks(mut self, rows: usize, classes: usize) -> Self {
        (self.row_chunk, self.class_chunk) = (rows, classes);
        self
    }

    /// Sets where features and weights are.
    #[must_use]
    pub fn with_places(mut self, features: MatrixSpec, weights: MatrixSpec) -> Self {
        (self.features, self.weights) = (features, weights);
        self
    }

    /// Subtracts an adjustment `[K]` from the logits.
    #[must_use]
    pub fn with_adjustment(mut self) -> Self {
        self.adjustment = true;
        self
    }

    /// Takes a direction's effect out of the features, `alpha` times; see [`Effect`](crate::head::Effect).
    #[must_use]
    pub fn with_effect(mut self, alpha: f64) -> Self {
        self.effect = Some(alpha);
        self
    }

    pub(super) fn check(&self, head: &Head) -> Result<()> {
        head.check(self.classes, self.dim)?;
        let bad = |name, value: f64, expected| Err(Error::Parameter { name, value, expected });
        if self.row_chunk == 0 || self.class_chunk == 0 {
            return bad("rows and classes of a chunk", 0.0, "at least 1");
        }
        if self.top > self.classes {
            return bad("the number of classes to name", self.top as f64, "at most K");
        }
        if self.top > MOST_TOP as usize {
            return Err(Error::Limit {
                what: "the number of classes to name".into(),
                needed: self.top as u64,
                allowed: u64::from(MOST_TOP),
                cure: "ask for fewer classes",
            });
        }
        match self.effect {
            Some(alpha) if !(alpha >= 0.0 && alpha <= f64::from(f32::MAX)) => {
                bad("the effect's alpha", alpha, "finite in f32 and at least 0")
            }
            _ => Ok(()),
        }
    }
}

/// The classes that a tile has.
pub(super) fn most_classes(kernels: &Kernels, request: &PredictRequest) -> Result<usize> {
    let PredictRequest { classes, dim, weights, .. } = *request;
    let stride = if weights.stride == 0 { dim } else { weights.stride } as u64;
    let bytes = stride.saturating_mul(weights.elem.bytes()).max(1);
    let (bound, allowed) = (kernels.max_binding(), kernels.max_binding().saturating_sub(1024));
    match usize::try_from(allowed / bytes).unwrap_or(usize::MAX) {
        0 => Err(Error::Limit {
            what: "bytes in the binding of a class's weights".into(),
            needed: bytes.saturating_add(1024),
            allowed: bound,
            cure: "request the device with a higher max_storage_buffer_binding_size",
        }),
        fit => {
            let wanted = request.class_chunk.min(classes).min(fit).min(MOST);
            // Every turn of the kernel goes through them again, and its loops may not have more than 65,535 iterations
            // together.
            let turns = threads(kernels, wanted) as usize * (32_768 / (request.top + 2));
            Ok(wanted.min(turns))
        }
    }
}
