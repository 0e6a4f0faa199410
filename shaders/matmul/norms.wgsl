// For each part of each row of A the sum of squares, and the factor that normalises it.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions, ROW_LANES threads for each part.

@group(0) @binding(3) var<storage, read_write> sums: array<f32>;
@group(0) @binding(4) var<storage, read_write> factors: array<f32>;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let thread = local.x;
  let index = (group.x + group.y * groups.x) * (WG / ROW_LANES) + thread / ROW_LANES;
  if (index >= params.m * params.a_parts) {
    return;
  }
  let lane = thread % ROW_LANES;
  let part = open_part(index);
  var squares = vec4<f32>(0.0);
  for (var column = part.start + 4u * lane; column < part.end; column += 4u * ROW_LANES) {
    let x = in_part(load_a(part.row, column), column, part.end);
    squares += x * x;
  }
  let sum = sum_over_threads(lane, (squares.x + squares.y) + (squares.z + squares.w));
  if (lane == 0u) {
    sums[params.a_scale_origin + part.scale] = sum;
    factors[params.a_scale_origin + part.scale] = row_factor(sum).scale;
  }
}
