//! Which terms a kernel has, and what classes bring to them.

/// Which terms the inner loops have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(missing_docs, reason = "the names are those of the spec's fields")]
pub struct SigmoidTerms {
    pub bias: bool,
    pub bias_on_background: bool,
    pub background: bool,
    pub margin: bool,
    pub margin_summed: bool,
    pub negative_scale: bool,
    pub positive_weight: bool,
    pub class_weights: bool,
    pub row_weight: bool,
    pub rebalance: bool,
    pub norm: bool,
    /// Factors of positives and negatives.
    pub sides: bool,
    pub balance: bool,
    pub gate: bool,
    /// Whether gates are drawn, or every class of the tail is gated.
    pub gate_draws: bool,
    pub gate_given: bool,
    pub suppression: bool,
    /// Whether background rows are drawn here.
    pub draws: bool,
    pub weights_given: bool,
    pub focal: bool,
    /// Whether focal's gamma is 2: drivers that run both sides of a branch raise nothing to a power then.
    pub focal_square: bool,
}

/// The columns of a plan's class table, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Bias,
    Margin,
    Weight,
    PositiveWeight,
    InverseCount,
    Rho,
    Positive,
    Negative,
    Tail,
    Group,
}

impl SigmoidTerms {
    pub(super) fn columns(&self) -> Vec<Column> {
        let columns = [
            (self.bias, Column::Bias),
            (self.margin, Column::Margin),
            (self.class_weights, Column::Weight),
            (self.positive_weight, Column::PositiveWeight),
            (self.rebalance, Column::InverseCount),
            (self.row_weight, Column::Rho),
            (self.balance, Column::Positive),
            (self.balance, Column::Negative),
            (self.gate, Column::Tail),
            (self.draws, Column::Group),
        ];
        columns.into_iter().filter_map(|(present, column)| present.then_some(column)).collect()
    }

    /// Whether a row's weights differ by column, but for positives and negatives.
    pub(super) fn weights_by_column(&self) -> bool {
        self.class_weights
            || self.rebalance
            || self.balance
            || self.gate
            || self.gate_given
            || self.suppression
            || self.weights_given
    }

    /// Whether a matrix of gates or weights is bound.
    pub(super) fn takes_gates(&self) -> bool {
        self.gate_given || self.weights_given || self.suppression && !self.draws
    }
}
