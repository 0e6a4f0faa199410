// The gradient by rows from the gradient by normalised rows: A has the rows, C gets
// (g - x (x . g) along) scale, part by part, with the sums of squares that norms.wgsl has left.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions, one for each part.

@group(0) @binding(4) var<storage, read> sums: array<f32>;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let thread = local.x;
  let index = group.x + group.y * groups.x;
  if (index >= params.tiles) {
    return;
  }
  let part = open_part(index);
  let factor = row_factor(sums[params.a_scale_origin + part.scale]);
  var products = vec4<f32>(0.0);
  for (var column = part.start + 4u * thread; column < part.end; column += 4u * WG) {
    let x = in_part(load_a(part.row, column), column, part.end);
    products += x * in_part(load_gradient(part.row, column), column, part.end);
  }
  let product = sum_over_threads(thread, (products.x + products.y) + (products.z + products.w));
  let along = factor.along * product;
  for (var column = part.start + 4u * thread; column < part.end; column += 4u * WG) {
    let slope = load_gradient(part.row, column) - along * load_a(part.row, column);
    store_c(part.row, column, part.end, factor.scale * slope);
  }
}
