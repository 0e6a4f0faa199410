// What a product cannot do for the logits of a chunk, in place: distances, the label's margin, scales, biases.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions, one for each SPAN columns of a row.

const SPAN: u32 = 16u * WG;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = group.x + group.y * groups.x;
  if (index >= params.tiles) {
    return;
  }
  let blocks = (params.n + SPAN - 1u) / SPAN;
  let start = (index % blocks) * SPAN;
  let row = params.first_row + index / blocks;
  let line = (index / blocks) * params.n;
  for (var column = start + thread; column < min(start + SPAN, params.n); column += WG) {
    let similarity = similarity_of(row, column, logits[line + column]);
    logits[line + column] = logit_of(column, target_of(row, column, similarity));
  }
}
