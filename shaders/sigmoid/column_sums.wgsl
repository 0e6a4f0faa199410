// Gradients for column_tree.wgsl, from the logits: before the gradient is written, which in place leaves none.

fn slope_of(row: Row, j: u32) -> f32 {
  return element(row, load_column(j), j, load_logits(row.logits, j)).slope;
}

fn shares_of(n: u32, j: vec4<u32>) -> Shares {
  let row = open_row(n);
  let slopes = vec4<f32>(slope_of(row, j.x), slope_of(row, j.y), slope_of(row, j.z), slope_of(row, j.w));
  let targets = vec4<f32>(target_of(row, j.x), target_of(row, j.y), target_of(row, j.z), target_of(row, j.w));
  return shares(slopes, targets);
}

fn items() -> u32 {
  return window.rows;
}

fn unscaled() -> f32 {
  return 1.0;
}
