// Gradients for column_tree.wgsl, from the logits: before the gradient is written, which in place leaves none.

fn shares_of(n: u32, j: u32) -> vec2<f32> {
  let row = open_row(n);
  return shares(element(row, load_column(j), j, load_logits(row.logits, j)).slope, target_of(row, j));
}

fn unscaled() -> f32 {
  return 1.0;
}
