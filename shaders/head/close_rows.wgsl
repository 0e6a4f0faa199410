// From the product that is the gradient by normalised rows to the gradient by rows, in place: A has the rows, C the
// product g. The gradient by the normalised row x^ = s x is `multiplier` g - `own` x^, and
//
//   dx = s (multiplier g - own s x - along (x . (multiplier g - own s x)) x)        part by part
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions, one for each row.

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= params.tiles) {
    return;
  }
  let terms = row_terms(row, thread);
  var total = 0.0;
  for (var index = row * params.a_parts; index < (row + 1u) * params.a_parts; index += 1u) {
    let part = open_part(index);
    let square = square_of_part(index);
    let factor = row_factor(square);
    var products = vec4<f32>(0.0);
    for (var column = part.start + 4u * thread; column < part.end; column += 4u * WG) {
      let x = in_part(load_a(row, column), column, part.end);
      products += x * in_part(load_c(row, column), column, part.end);
    }
    // The threads may still be reading the sum before.
    workgroupBarrier();
    let product = sum_over_threads(thread, (products.x + products.y) + (products.z + products.w));
    total += factor.scale * product;
    let own = terms.own * factor.scale;
    let along = own + factor.along * (terms.multiplier * product - own * square);
    for (var column = part.start + 4u * thread; column < part.end; column += 4u * WG) {
      let slope = terms.multiplier * load_c(row, column) - along * load_a(row, column);
      store_c(row, column, part.end, factor.scale * slope);
    }
  }
  if (thread == 0u) {
    close_row(row, total);
  }
}
