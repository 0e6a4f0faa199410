// From the product that is the gradient by normalised rows to the gradient by rows, in place: A has the rows, C the
// product g. The gradient by the normalised row x^ = s x is `multiplier` g - `own` x^, and
//
//   dx = s (multiplier g - own s x - along (x . (multiplier g - own s x)) x)        part by part
//
// Without ALONG rows are neither normalised nor at a distance: nothing goes along x.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions, ROW_LANES threads for each row.

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let thread = local.x;
  let row = (group.x + group.y * groups.x) * (WG / ROW_LANES) + thread / ROW_LANES;
  if (row >= params.m) {
    return;
  }
  let lane = thread % ROW_LANES;
  let terms = row_terms(row);
  var total = 0.0;
  for (var index = row * params.a_parts; index < (row + 1u) * params.a_parts; index += 1u) {
    let part = open_part(index);
    let square = square_of_part(index);
    let factor = row_factor(square);
    var products = vec4<f32>(0.0);
    for (var column = part.start + 4u * lane; column < part.end; column += 4u * ROW_LANES) {
      let x = in_part(load_a(row, column), column, part.end);
      products += x * in_part(load_c(row, column), column, part.end);
    }
    open_sum();
    let product = sum_over_threads(lane, (products.x + products.y) + (products.z + products.w));
    total += factor.scale * product;
    let own = terms.own * factor.scale;
    let along = own + factor.along * (terms.multiplier * product - own * square);
    for (var column = part.start + 4u * lane; column < part.end; column += 4u * ROW_LANES) {
      var slope = terms.multiplier * load_c(row, column);
      if (ALONG) {
        slope -= along * load_a(row, column);
      }
      store_c(row, column, part.end, factor.scale * slope);
    }
  }
  if (lane == 0u) {
    close_row(row, total);
  }
}
