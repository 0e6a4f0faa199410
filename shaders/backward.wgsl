// The gradient of one piece of LANES rows per workgroup, from the coefficients that a forward pass saved, times the
// upstream gradient: one read and one write of each logit.
//
// Dispatch: a workgroup for each piece of each group of LANES rows.

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let thread = local.x;
  let index = linear_workgroup(id, count);
  let group = index / window.pieces;
  let piece = index % window.pieces;
  if (!is_group(group)) {
    return;
  }
  let row = open_row(group);
  let inverse = bitcast<f32>(scalars[SCALAR_INVERSE]);
  let out = scaled(load_coefficients(row), inverse * load_upstream_lanes(row.rows));
  let threshold = float_of_bits(load_saved(SAVED_THRESHOLD, row.rows));
  open_column_term(row.rows);
  gradient_pass(row, thread, blocks_of_piece(row, piece), out, threshold);
  if (piece == 0u && thread == 0u) {
    save_edges(row, out, threshold);
  }
}
