// dL/d class_scale_j = sum_n dL/du_nj scale z_nj, one thread per class, rows in order: the same bits on every run.
// The result takes the gradient's binding; the logits must still be there. Windows of later rows add to it.
//
// Dispatch: ceil(K / WG) workgroups for each window.

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let j = linear_workgroup(id, count) * WG + local.x;
  if (j >= window.classes) {
    return;
  }
  let inverse = bitcast<f32>(scalars[SCALAR_INVERSE]);
  let term = load_class(j);
  var sum = 0.0;
  if ((window.flags & FLAG_FIRST_OF_CLASSES) == 0u) {
    sum = read_gradient_word(j);
  }
  for (var group = 0u; group < window.rows; group++) {
    let row = open_row(group);
    let out = scaled(load_coefficients(row), inverse * load_upstream_lanes(row.rows));
    let threshold = float_of_bits(load_saved(SAVED_THRESHOLD, row.rows));
    let z = load_logits(row.logits, j);
    let at = at_label(row, j);
    let u = compensated(kept_logit(row, term, j, z, at), threshold);
    let g = gradient_z(row, out, j, u, class_factor(row, term), term.weight, at);
    // A masked class gives nothing; 0 * -inf would.
    sum += select(g * z, F(0.0), z < F(NEG_MAX));
  }
  store_gradient(j, sum);
}
