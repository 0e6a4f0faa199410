// The margin in a label's logit, where the product has left the scaled similarity.

fn at_label(row: u32, column: u32, logit: f32) -> f32 {
  return params.scale * target_of(row, column, logit / params.scale);
}
