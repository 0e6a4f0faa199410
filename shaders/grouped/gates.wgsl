// The gates of a row's nodes as bits: each node's own, then those of whole paths. One thread per row.
//
// Dispatch: ceil(N / WG) workgroups for each window, before the statistics.

@group(0) @binding(1) var<storage, read> scalars: array<u32>;
@group(0) @binding(4) var<storage, read_write> saved: array<u32>;

fn word_at(row: u32, word: u32) -> u32 {
  return (SAVED_SLOTS + spec.slots * SLOT_FIELDS + word) * window.rows + row;
}

fn gate_of(row: u32, segment: u32) -> bool {
  // The root's is always open.
  if (segment == 0u) {
    return true;
  }
  if (GIVEN) {
    return given_weight(row, segment) != 0.0;
  }
  return (draw_word(row + window.first_row, segment) >> 8u) >= spec.drop_threshold;
}

fn is_path_open(row: u32, segment: u32) -> bool {
  return ((saved[word_at(row, spec.gate_words + segment / 32u)] >> (segment & 31u)) & 1u) != 0u;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let row = linear_workgroup(id, count) * WG + thread;
  if (row >= window.rows) {
    return;
  }
  for (var word = 0u; word < spec.gate_words; word++) {
    var own = 0u;
    var paths = 0u;
    for (var bit = 0u; bit < 32u; bit++) {
      let segment = 32u * word + bit;
      if (segment >= spec.segments) {
        break;
      }
      let open = gate_of(row, segment);
      // The node above comes before, perhaps in this word.
      var above = true;
      if (segment > 0u) {
        let node = tables[spec.above + segment];
        if (node / 32u == word) {
          above = ((paths >> (node & 31u)) & 1u) != 0u;
        } else {
          above = is_path_open(row, node);
        }
      }
      own |= select(0u, 1u << bit, open);
      paths |= select(0u, 1u << bit, open && above);
    }
    saved[word_at(row, word)] = own;
    saved[word_at(row, spec.gate_words + word)] = paths;
  }
}
