//! What is asked of a head on the device, and its checks.

use super::key::{HeadTerms, MarginKind};
use super::range::MOST;
use crate::gpu::matmul::MatrixSpec;
use crate::head::{ClassScale, Head, MarginGradient, RowNorm, Similarity, TargetMargin};
use crate::{Error, Result};

/// A head's shapes and places: made by [`new`](Self::new), changed by `with_` methods or directly.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct HeadRequest {
    /// N. 0 is legal.
    pub rows: usize,
    /// K, at least 1.
    pub classes: usize,
    /// D, at least 1.
    pub dim: usize,
    /// Rows of a chunk, whose logits are in the scratch buffer together: at least 1; the last chunk may have fewer. More
    /// than 32,768 count as 32,768. Default N.
    pub chunk: usize,
    /// Where the features are. Default f32, contiguous.
    pub features: MatrixSpec,
    /// Where the weights are. Default f32, contiguous.
    pub weights: MatrixSpec,
    /// The class of the first row of weights, where these are a shard of a larger head's: the margin's labels count among
    /// the classes of all shards, and a label of another shard meets no class here. Default 0.
    pub first_class: usize,
    /// The label of rows that have none; their similarity gets no margin. Default none.
    pub ignore_index: Option<i32>,
    /// Whether there is a way back, or logits only. Default yes.
    pub backward: bool,
    /// Whether the features' gradient is asked for. Default yes.
    pub feature_gradient: bool,
    /// Whether the weights' gradient is asked for. Default yes.
    pub weight_gradient: bool,
    /// Whether the biases' gradient is asked for, where the head has biases. Default yes.
    pub bias_gradient: bool,
    /// Whether the learned scales' gradient is asked for, where the head has them. Needs the weights'. Default yes.
    pub class_scale_gradient: bool,
    /// Whether the gradient by the head's scale is asked for. Needs the weights'. Default no.
    pub scale_gradient: bool,
    /// Whether what is read may share a buffer with what is written, apart from it (pooled engines). Default no.
    pub shared: bool,
    /// Whether logits go to a scratch buffer. Default yes.
    pub(super) logits: bool,
}

impl HeadRequest {
    /// A batch of `rows` features of dimension `dim` for `classes` classes, in one chunk, with every gradient but that by
    /// the scale.
    pub fn new(rows: usize, classes: usize, dim: usize) -> Self {
        Self {
            rows,
            classes,
            dim,
            chunk: rows.max(1),
            features: MatrixSpec::default(),
            weights: MatrixSpec::default(),
            first_class: 0,
            ignore_index: None,
            backward: true,
            feature_gradient: true,
            weight_gradient: true,
            bias_gradient: true,
            class_scale_gradient: true,
            scale_gradient: false,
            shared: false,
            logits: true,
        }
    }

    /// Sets the number of rows in a chunk.
    #[must_use]
    pub fn with_chunk(mut self, chunk: usize) -> Self {
        self.chunk = chunk;
        self
    }

    /// Sets where features and weights are.
    #[must_use]
    pub fn with_places(mut self, features: MatrixSpec, weights: MatrixSpec) -> Self {
        (self.features, self.weights) = (features, weights);
        self
    }

    /// Sets the class of the first row of weights.
    #[must_use]
    pub fn with_first_class(mut self, first_class: usize) -> Self {
        self.first_class = first_class;
        self
    }

    /// Sets the label of rows without one.
    #[must_use]
    pub fn with_ignore_index(mut self, ignore_index: i32) -> Self {
        self.ignore_index = Some(ignore_index);
        self
    }

    /// Logits only.
    #[must_use]
    pub fn forward_only(mut self) -> Self {
        self.backward = false;
        self
    }

    /// Asks for the gradient by the head's scale.
    #[must_use]
    pub fn with_scale_gradient(mut self) -> Self {
        self.scale_gradient = true;
        self
    }

    /// Lets what is read share a buffer with what is written.
    #[must_use]
    pub fn with_shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// What the request is for a head: nothing that it has no use for.
    pub(super) fn for_head(mut self, head: &Head) -> Result<Self> {
        head.check(self.classes, self.dim)?;
        if self.chunk == 0 {
            return Err(Error::Parameter { name: "rows of a chunk", value: 0.0, expected: "at least 1" });
        }
        self.chunk = self.chunk.min(self.rows.max(1)).min(MOST / 4);
        let backward = self.backward;
        self.feature_gradient &= backward;
        self.weight_gradient &= backward;
        self.bias_gradient &= backward && head.bias;
        self.class_scale_gradient &= backward && head.class_scale != ClassScale::None;
        self.scale_gradient &= backward;
        if (self.class_scale_gradient || self.scale_gradient) && !self.weight_gradient {
            return Err(Error::Combination {
                first: "a gradient by scales",
                second: "no gradient by weights",
                cure: "ask for the weights' gradient: the scales' is computed from it",
            });
        }
        Ok(self)
    }

    /// The first rows of each chunk and their numbers.
    pub(super) fn chunks(&self) -> Vec<std::ops::Range<usize>> {
        let count = self.rows.div_ceil(self.chunk.max(1)).max(1);
        (0..count)
            .map(|index| {
                index * self.chunk..((index + 1) * self.chunk).min(self.rows).max(index * self.chunk)
            })
            .collect()
    }
}

/// What a head needs on the device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Needs {
    /// Norms of the features.
    pub(super) feature_norms: bool,
    /// Norms of the weights.
    pub(super) weight_norms: bool,
    /// Something that the product adds to the classes' logits.
    pub(super) class_offsets: bool,
    /// Something that the product adds to the rows' logits.
    pub(super) row_offsets: bool,
    /// The margin in the labels' logits alone.
    pub(super) label_logits: bool,
    /// What a product cannot do for the logits: a pass over all of them.
    pub(super) logits: bool,
    /// The margin's slope in the labels' gradients alone.
    pub(super) label_slopes: bool,
    /// Sums over rows that a product cannot make: a pass over all gradients.
    pub(super) columns: bool,
    /// Sums over rows by the product that is the weights' gradient.
    pub(super) column_sums: bool,
    /// Sums over classes for each row.
    pub(super) row_sums: bool,
    /// Whether a pass over all gradients makes these, since a product cannot.
    pub(super) weighted_row_sums: bool,
    /// More than products for the features' gradient.
    pub(super) close_features: bool,
    /// More than products for the weights' gradient.
    pub(super) close_weights: bool,
    /// Gradients of biases or scales.
    pub(super) close_classes: bool,
}

impl Needs {
    pub(super) fn new(head: &Head, request: &HeadRequest) -> Self {
        let distance = head.similarity == Similarity::NegativeSquaredDistance;
        let margin = head.margin != TargetMargin::None;
        let scaled = head.class_scale != ClassScale::None;
        let normalised = |norm: RowNorm| norm.power != 0.0;
        let scales = request.class_scale_gradient || request.scale_gradient;
        let close_weights =
            request.weight_gradient && (normalised(head.weights) || distance || scaled || scales);
        // The store of a product knows row times class, and what is added to rows and to classes. A margin needs the
        // similarity that it changes.
        let logits = distance && scaled || margin && (distance || scaled || head.bias);
        // Kernels that compute logits as they need them end products themselves.
        let stored = request.logits;
        // The product's sums are those of the gradient by similarities, all alike.
        let by_logits =
            request.bias_gradient || request.class_scale_gradient && head.class_scale == ClassScale::Logits;
        let sums = by_logits || request.weight_gradient && distance;
        let columns = scales && (margin || distance) || sums && (margin || !request.weight_gradient);
        let row_sums = request.feature_gradient && distance;
        let steep = match head.margin {
            TargetMargin::Angle { gradient, .. } => gradient != MarginGradient::StraightThrough,
            _ => false,
        };
        Self {
            feature_norms: normalised(head.features) || distance,
            weight_norms: normalised(head.weights) || distance,
            class_offsets: stored && !logits && (head.bias || distance),
            row_offsets: stored && !logits && distance,
            label_logits: stored && !logits && margin,
            logits,
            label_slopes: request.backward && steep && !columns,
            columns,
            column_sums: sums && !columns,
            row_sums,
            weighted_row_sums: row_sums && scaled,
            close_features: request.feature_gradient && (normalised(head.features) || distance),
            close_weights,
            close_classes: request.bias_gradient || scales,
        }
    }
}

/// The terms of a head that its texts depend on.
pub(super) fn terms(head: &Head, needs: &Needs, request: &HeadRequest) -> HeadTerms {
    HeadTerms {
        bias: head.bias,
        class_scale: head.class_scale,
        distance: head.similarity == Similarity::NegativeSquaredDistance,
        margin: match head.margin {
            TargetMargin::None => MarginKind::None,
            TargetMargin::Cosine { .. } => MarginKind::Cosine,
            TargetMargin::Angle { beyond, gradient, .. } => {
                MarginKind::Angle { beyond, straight_through: gradient == MarginGradient::StraightThrough }
            }
        },
        centred: head.centred,
        effect: false,
        adjustment: false,
        normalised: head.weights.power != 0.0,
        columns: needs.columns,
        outputs: [request.bias_gradient, request.class_scale_gradient, request.scale_gradient],
    }
}
