// The words of a packed gradient that a row shares with its neighbours: puts the halves together that the rows'
// kernels left in `saved`. What lies between two rows keeps its bits. One thread per row.
//
// Dispatch: ceil(N / WG) workgroups, after the gradient.

@group(0) @binding(4) var<storage, read> saved: array<u32>;

fn edge(which: u32, row: u32) -> u32 {
  return saved[(SAVED_EDGES + which) * window.rows + row] & 0xffffu;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let row = linear_workgroup(id, count) * WG + local.x;
  if (row >= window.rows) {
    return;
  }
  let begin = window.gradient_origin + row * window.gradient_stride;
  let end = begin + window.classes;
  let adjacent = window.gradient_stride == window.classes;
  if ((begin & 1u) == 1u) {
    var low = read_gradient_word(begin >> 1u) & 0xffffu;
    if (adjacent && row > 0u) {
      low = edge(1u, row - 1u);
    }
    write_gradient_word(begin >> 1u, low | (edge(0u, row) << 16u));
  }
  // The next row puts its own first word together.
  if ((end & 1u) == 1u && !(adjacent && row + 1u < window.rows)) {
    let high = read_gradient_word(end >> 1u) & 0xffff0000u;
    write_gradient_word(end >> 1u, high | edge(1u, row));
  }
}
