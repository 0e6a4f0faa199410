// Puts together what a range's classes have for the kernels that compute logits as they need them: one binding.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions, a thread for each class.

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let column = (group.x + group.y * groups.x) * WG + local.x;
  if (column >= params.classes) {
    return;
  }
  class_numbers[CLASS_SQUARE * params.classes + column] = class_square(column);
  class_numbers[CLASS_BIAS * params.classes + column] = bias_of(column);
  class_numbers[CLASS_SCALE * params.classes + column] = class_scale_of(column);
  for (var part = column * params.a_parts; part < (column + 1u) * params.a_parts; part += 1u) {
    class_numbers[CLASS_FACTORS * params.classes + part] = class_factor(part);
  }
}
