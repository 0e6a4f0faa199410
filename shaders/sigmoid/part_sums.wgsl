// Gradients for column_tree.wgsl as down_columns.wgsl has left them: a sum for each workgroup of rows.

@group(0) @binding(5) var<storage, read> gradient_parts: array<f32>;

fn shares_of(n: u32, j: vec4<u32>) -> Shares {
  let at = j + 2u * n * window.classes;
  let more = at + window.classes;
  return Shares(
    vec4<f32>(gradient_parts[more.x], gradient_parts[more.y], gradient_parts[more.z], gradient_parts[more.w]),
    vec4<f32>(gradient_parts[at.x], gradient_parts[at.y], gradient_parts[at.z], gradient_parts[at.w]),
  );
}

fn items() -> u32 {
  let step = window.row_step;
  return step * ((window.rows + 16u * WALK * step - 1u) / (16u * WALK * step));
}

fn unscaled() -> f32 {
  return 1.0;
}
