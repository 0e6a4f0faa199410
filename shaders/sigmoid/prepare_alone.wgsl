// Few rows in one window, hard labels: all that comes before the rows are worked on, without a dispatch between it.
//
// Dispatch: one workgroup, before every pass.

fn batch_label(row: u32) -> i32 {
  return labels[row + window.row_shift];
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_id) local: vec3<u32>) {
  let thread = local.x;
  if (thread == 0u) {
    start_pass();
  }
  for (var row = thread; row < window.rows; row += WG) {
    prepare_row(row);
  }
  storageBarrier();
  workgroupBarrier();
  draw_rows(thread);
  total_rows(thread);
}
