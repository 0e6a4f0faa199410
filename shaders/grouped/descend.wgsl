// Down a row's tree: the nodes' scores, and with STATISTICS the row's losses: of every node on the label's path, and of the
// kept leaves. Below a closed gate all leaves have the node's score and one of them stands for all: nothing is walked there.
// Each logit is read once.

var<workgroup> path_mass: array<Mass, 2>;
// The score of the leaf that stands for the label.
var<workgroup> standing: f32;

fn open_tree(thread: u32, group: u32) {
  keep_group(thread, group);
  open_scores(group);
  if (thread == 0u) {
    standing = NEG_MAX;
    set_score(0u, 0u);
  }
  scores_barrier();
}

// Closes the gates of a level's nodes. All leaves below a closed one have its score.
fn close_gates(row: Row, level: Level, on_path: u32, thread: u32, mass: ptr<function, Mass>) {
  for (var node = level.begin + thread; node < level.end; node += WG) {
    var segment = node;
    if ((spec.flags & FLAG_IN_ORDER) == 0u) {
      segment = tables[spec.node_segments + node];
    }
    let bits = score_at(node);
    let closes = bits != CLOSED && node > 0u && !own_gate(row, segment);
    set_score(node, select(bits, CLOSED, closes));
    if (closes) {
      let held = held_score(bitcast<f32>(bits));
      if (node == on_path) {
        standing = held;
      } else if (STATISTICS) {
        add_to(mass, min(held, spec.ceiling));
      }
    }
  }
  scores_barrier();
}

// A column's place in the walk: its node's score, the node below, NONE for a leaf, the label's column of this level, and
// whether the node is on the label's path.
struct Step {
  bits: u32,
  below: u32,
  goal: u32,
  here: bool,
}

// A column: to the mass of the kept leaves but the label's, and to that of the path's node but the label's column.
fn go_down(step: Step, j: u32, z: f32, scan: ptr<function, Scan>, leaves: ptr<function, Mass>, path: ptr<function, Mass>) {
  let open = step.bits != CLOSED;
  let score = score_below(bitcast<f32>(step.bits), z);
  if (step.below != NONE) {
    set_score(step.below, select(CLOSED, bitcast<u32>(score), open));
  }
  if (STATISTICS) {
    scan_logit(scan, z, j);
    let held = held_score(score);
    let leaf = step.below == NONE && open;
    if (leaf && j == step.goal) {
      standing = held;
    }
    add_to(leaves, select(NEG_MAX, min(held, spec.ceiling), leaf && j != step.goal));
    add_to(path, select(NEG_MAX, unmasked(z), step.here && j != step.goal));
  }
}

// A thread's chunks, all of them with nodes below or none. Loads and stores are not left to a branch: whether a node begins is
// no regular pattern.
fn go_down_chunks(
  row: Row,
  chunks: vec2<u32>,
  leaf: bool,
  thread: u32,
  path: Path,
  scan: ptr<function, Scan>,
  leaves: ptr<function, Mass>,
  own: ptr<function, Mass>,
) {
  var pair: vec2<f32>;
  for (var number = chunks.x + thread; number < chunks.y; number += WG) {
    var chunk = chunk_at(number);
    var meets = false;
    for (var step = 0u; step < chunk.columns; step++) {
      chunk.node += select(0u, 1u, bit_of(chunk.begins, step));
      let here = chunk.node == path.node;
      meets = meets || here;
      let inner = !leaf && bit_of(chunk.inner, step);
      let j = chunk.first + step;
      let z = next_logit(row, j, step == 0u, &pair);
      let below = select(NONE, chunk.below, inner);
      go_down(Step(score_at(chunk.node), below, path.goal, here), j, z, scan, leaves, own);
      chunk.below += select(0u, 1u, inner);
    }
    if (STATISTICS && meets) {
      path_mass[path.parity] = *own;
    }
  }
}

// All threads: nodes with many columns.
fn go_down_wide(
  row: Row,
  nodes: vec2<u32>,
  leaf: bool,
  thread: u32,
  path: Path,
  scan: ptr<function, Scan>,
  leaves: ptr<function, Mass>,
  own: ptr<function, Mass>,
) {
  var pair: vec2<f32>;
  for (var number = nodes.x; number < nodes.y; number++) {
    let wide = wide_at(row, number, thread);
    let bits = score_at(wide.node);
    let here = wide.node == path.node;
    let steps = 2u * wide_turns(wide);
    for (var step = 0u; step < steps; step++) {
      let j = wide_column(wide, step);
      if (is_inside_of(wide, j)) {
        let z = next_logit(row, j, (step & 1u) == 0u || j == wide.begin, &pair);
        var below = NONE;
        if (!leaf) {
          below = tables[spec.column_nodes + j];
        }
        go_down(Step(bits, below, path.goal, here), j, z, scan, leaves, own);
      }
    }
  }
}

// Of the label's path the node and the column in a level, and whether that is an odd one.
struct Path {
  node: u32,
  goal: u32,
  parity: u32,
}

fn descend(thread: u32, label: i32, weight: f32) -> Scan {
  var scan = Scan(false, NEG_MAX, NONE);
  var leaves = Mass(NEG_MAX, 0.0);
  for (var number = 0u; number < spec.level_count; number++) {
    let row = opened_again();
    let level = level_at(number);
    let on_path = path_node(label, number);
    let goal = path_column(label, number);
    let path = Path(on_path, goal, number & 1u);
    close_gates(row, level, on_path, thread, &leaves);
    var own = Mass(NEG_MAX, 0.0);
    // Without statistics leaves have nothing to say.
    if (STATISTICS) {
      go_down_chunks(row, level.chunks.xy, true, thread, path, &scan, &leaves, &own);
      go_down_wide(row, level.wide.xy, true, thread, path, &scan, &leaves, &own);
    }
    go_down_chunks(row, level.chunks.yz, false, thread, path, &scan, &leaves, &own);
    go_down_wide(row, level.wide.yz, false, thread, path, &scan, &leaves, &own);
    if (STATISTICS && is_wide(level, on_path)) {
      let total = merged(thread, own);
      if (thread == 0u) {
        path_mass[number & 1u] = total;
      }
    }
    scores_barrier();
    // The next but one level has the place again, which is behind a barrier.
    if (STATISTICS && thread == 0u) {
      var here = Target(NONE, NONE, false);
      if (goal != NONE) {
        here = Target(segment_of(goal), goal, true);
      }
      close_slot(opened_again(), number, here, log_mass(path_mass[number & 1u]), weight);
    }
  }
  if (STATISTICS) {
    let total = merged(thread, leaves);
    if (thread == 0u) {
      close_leaves(opened_again(), log_mass(total), weight);
    }
    return merged_scan(thread, scan);
  }
  return scan;
}

// One thread: the row's cross-entropy over the kept leaves.
fn close_leaves(row: Row, others: f32, weight: f32) {
  if (row.label < 0) {
    return;
  }
  let cross = cross_entropy(min(standing, spec.ceiling), others);
  let inverse = bitcast<f32>(tally[spec.segments * TALLY_FIELDS + TALLY_TREE_INVERSE]);
  let coefficient = weight * spec.tree_weight * inverse;
  row_bad |= select(0u, 1u, cross.empty);
  row_loss += weighted(spec.tree_weight, cross.loss);
  row_reduced += weighted(coefficient, cross.loss);
  store_saved(SAVED_LEAF_REFERENCE, row.rows, bitcast<u32>(cross.reference), row.live);
  store_saved(SAVED_LEAF_COEFFICIENT, row.rows, bitcast<u32>(coefficient), row.live);
  store_saved(SAVED_LEAF_REST, row.rows, bitcast<u32>(cross.rest), row.live);
}
