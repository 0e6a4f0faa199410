// What a product cannot do for the logits of a chunk of rows with some classes, in place: distances, the label's margin,
// scales, biases.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions, one for each SPAN columns of a row.

const SPAN: u32 = 16u * WG;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let index = group.x + group.y * groups.x;
  if (index >= params.tiles) {
    return;
  }
  let blocks = (params.classes + SPAN - 1u) / SPAN;
  let start = (index % blocks) * SPAN;
  let row = params.first_row + index / blocks;
  let line = (index / blocks) * params.logits_stride;
  for (var column = start + local.x; column < min(start + SPAN, params.classes); column += WG) {
    let similarity = similarity_of(row, column, logits[line + column]);
    logits[line + column] = logit_of(column, target_of(row, column, similarity));
  }
}
