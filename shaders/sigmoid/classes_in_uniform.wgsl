// The class table as a uniform block, for software adapters: they read one without asking each thread whether it is active.
@group(0) @binding(11) var<uniform> class_table: array<vec4<f32>, CLASS_VECTORS>;

fn class_value(column: u32, j: u32) -> f32 {
  let i = column * window.classes + j;
  return class_table[i >> 2u][i & 3u];
}
