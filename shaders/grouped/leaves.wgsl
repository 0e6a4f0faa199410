// Leaves of the tree under a row's gates. Both words of gates come from `gates.wgsl`: whether a node's own gate is open,
// and whether those of all nodes above it are as well.

fn gate_bit(row: Row, first_word: u32, segment: u32) -> bool {
  let word = load_saved(saved_gates(first_word + segment / 32u), row.rows);
  return ((word >> (segment & 31u)) & 1u) != 0u;
}

fn is_open(row: Row, segment: u32) -> bool {
  return gate_bit(row, 0u, segment);
}

fn is_path_open(row: Row, segment: u32) -> bool {
  return gate_bit(row, spec.gate_words, segment);
}

// f_k before the ceiling, NEG_MAX where a mask is on its open path; and whether the leaf is kept.
struct Leaf {
  raw: f32,
  kept: bool,
}

fn leaf_of(row: Row, label: u32) -> Leaf {
  let end = tables[spec.label_starts + label + 1u];
  var open = true;
  var masked = false;
  var leaf = Leaf(0.0, true);
  for (var i = tables[spec.label_starts + label]; i < end; i++) {
    let column = tables[spec.label_columns + i];
    let segment = segment_of(column);
    let own = is_open(row, segment);
    open = open && own;
    leaf.kept = leaf.kept && (own || tables[spec.first_labels + segment] == label);
    if (open) {
      let z = load_logit(row.logits + column);
      masked = masked || z < NEG_MAX;
      leaf.raw += unmasked(z);
    }
  }
  leaf.raw = select(clamp(leaf.raw, NEG_MAX, POS_MAX), NEG_MAX, masked);
  return leaf;
}

// The kept leaf that stands for a label: the lowest one below the topmost closed node above it, or itself.
fn standing_for(row: Row, label: u32) -> u32 {
  let end = tables[spec.label_starts + label + 1u];
  for (var i = tables[spec.label_starts + label]; i < end; i++) {
    let segment = segment_of(tables[spec.label_columns + i]);
    if (!is_open(row, segment)) {
      return tables[spec.first_labels + segment];
    }
  }
  return label;
}
