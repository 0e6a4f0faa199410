// Rows of features that no factor can express, in f32: with the centre taken off, and, at test time, normalised and
// without the effect of a direction: x^ - effect cos(x^, c) c / |c|, part by part.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions, one for each part of each row.

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
  let effect = effect_of(part, thread);
  for (var column = part.start + thread; column < part.end; column += WG) {
    let x = load_a(part.row, column).x - centre_of(column);
    moved[part.row * params.k + column] = effect.factor * x - effect.along * direction_of(column);
  }
}
