// The gradient of LANES rows per workgroup from the coefficients that a forward pass saved, times the upstream
// gradient: one read and one write of each logit.
//
// Dispatch: ceil(N / LANES) workgroups.

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let group = linear_workgroup(id, count);
  if (group * LANES >= params.rows) {
    return;
  }
  let row = open_row(group);
  let inverse = bitcast<f32>(scalars[SCALAR_INVERSE]);
  let out = scaled(load_coefficients(row), inverse * load_upstream_lanes(row.rows));
  let threshold = float_of_bits(load_saved(SAVED_THRESHOLD, row.rows));
  for (var j = thread; j < params.classes; j += WG) {
    let term = load_class(j);
    let u = compensated(kept_logit(row, term, j, load_logits(row.logits, j)), threshold);
    store_gradients(row.gradient, j, term.scale * gradient_u(row, out, j, u, class_factor(row, term), term.weight), row.live);
  }
}
