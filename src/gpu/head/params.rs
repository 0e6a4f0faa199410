//! The uniform block of `shaders/head/params.wgsl`.

use crate::head::{Beyond, Head, RowNorm, SINE_FLOOR, TargetMargin};

/// What a head's kernel is told, in the order of the shader's struct.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[expect(missing_docs, reason = "the fields are documented in the shader")]
pub struct HeadParams {
    pub m: u32,
    pub n: u32,
    pub k: u32,
    pub a_stride: u32,
    pub a_origin: u32,
    pub a_part: u32,
    pub a_parts: u32,
    pub c_stride: u32,
    pub c_origin: u32,
    pub tiles: u32,
    pub accumulate: u32,
    pub classes: u32,
    pub first_row: u32,
    pub first_class: u32,
    pub row_factors: u32,
    pub row_slopes: u32,
    pub row_rests: u32,
    pub class_factors: u32,
    pub class_scaled: u32,
    pub class_offsets: u32,
    pub row_offsets: u32,
    pub row_sums: u32,
    pub logits_stride: u32,
    pub ignored: i32,
    pub has_ignored: u32,
    pub top: u32,
    pub alpha: f32,
    pub power: f32,
    pub eps: f32,
    pub offset: f32,
    pub scale: f32,
    pub margin: f32,
    pub margin_cos: f32,
    pub margin_sin: f32,
    pub margin_limit: f32,
    pub margin_drop: f32,
    pub sine_floor: f32,
    pub effect: f32,
    pub momentum: f32,
}

/// The kernels compute in f32; ranges have been checked.
pub(super) fn narrow(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "the kernels compute in f32; the range is checked")]
    let value = value as f32;
    value
}

impl HeadParams {
    /// Scale and margin.
    pub(super) fn with_head(mut self, head: &Head) -> Self {
        self.scale = narrow(head.scale);
        self.sine_floor = narrow(SINE_FLOOR);
        match head.margin {
            TargetMargin::None => {}
            TargetMargin::Cosine { margin } => self.margin = narrow(margin),
            TargetMargin::Angle { margin, beyond, .. } => {
                self.margin = narrow(margin);
                self.margin_cos = narrow(margin.cos());
                self.margin_sin = narrow(margin.sin());
                self.margin_limit = narrow((std::f64::consts::PI - margin).cos());
                let drop = if beyond == Beyond::Linear { margin * margin.sin() } else { 0.0 };
                self.margin_drop = narrow(drop);
            }
        }
        self
    }

    /// How rows are normalised.
    pub(super) fn with_norm(mut self, norm: RowNorm) -> Self {
        (self.power, self.eps, self.offset) = (narrow(norm.power), narrow(norm.eps), narrow(norm.offset));
        self
    }
}
