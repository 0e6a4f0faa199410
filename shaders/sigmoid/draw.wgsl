// Draws background rows (draw_rows.wgsl).
//
// Dispatch: one workgroup, after prepare.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(4) var<storage, read> all_labels: array<i32>;

fn batch_label(row: u32) -> i32 {
  return all_labels[row];
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_id) local: vec3<u32>) {
  draw_rows(local.x);
}
