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

fn descend(thread: u32, label: i32, weight: f32) -> Scan {
  var mass = Mass(NEG_MAX, 0.0);
  var scan = Scan(false, NEG_MAX, NONE);
  for (var number = 0u; number < spec.level_count; number++) {
    let row = opened_again();
    let level = level_at(number);
    let on_path = path_node(label, number);
    let goal = path_column(label, number);
    var own = Mass(NEG_MAX, 0.0);
    for (var turn = 0u; turn < level.turns; turn++) {
      let wide = is_wide_turn(level, turn);
      let node = node_at(row, level, turn, thread);
      let here = node.number != NONE && node.number == on_path;
      if (STATISTICS && node.entry && is_owner(wide, thread)) {
        if (here) {
          standing = held_score(node.score);
        } else {
          add_to(&mass, min(held_score(node.score), spec.ceiling));
        }
      }
      // The scores alone ask for nothing of leaves.
      let steps = select(node.steps, 0u, !STATISTICS && node.kind == ONLY_LEAVES);
      var pair: vec2<f32>;
      var fresh = true;
      for (var step = 0u; step < steps; step++) {
        let j = node_column(node, step);
        if (j >= node.begin && j < node.end) {
          let z = step_logit(row, j, fresh || (wide && (step & 1u) == 0u), &pair);
          fresh = false;
          let score = score_below(node.score, z);
          let below = node_below(node, j);
          if (below != NONE) {
            set_score(below, select(CLOSED, bitcast<u32>(score), node.open));
          }
          if (STATISTICS) {
            scan_logit(&scan, z, j);
            if (below == NONE && node.open) {
              let held = held_score(score);
              if (j == goal) {
                standing = held;
              }
              add_to(&mass, select(min(held, spec.ceiling), NEG_MAX, j == goal));
            }
            if (here) {
              add_to(&own, select(unmasked(z), NEG_MAX, j == goal));
            }
          }
        }
      }
      if (STATISTICS && here && !wide) {
        path_mass[number & 1u] = own;
      }
    }
    if (STATISTICS && is_wide_node(on_path)) {
      let total = merged(thread, own);
      if (thread == 0u) {
        path_mass[number & 1u] = total;
      }
    }
    scores_barrier();
    // The next but one level has the place again, which is behind a barrier.
    if (STATISTICS && thread == 0u) {
      let total = path_mass[number & 1u];
      var here = Target(NONE, NONE, false);
      if (goal != NONE) {
        here = Target(segment_of(goal), goal, true);
      }
      close_slot(row, number, here, log_mass(total), weight);
    }
  }
  if (STATISTICS) {
    let total = merged(thread, mass);
    if (thread == 0u) {
      close_leaves(opened_again(), log_mass(total), weight);
    }
    return merged_scan(thread, scan);
  }
  return scan;
}

fn is_wide_node(node: u32) -> bool {
  return node != NONE && (tables[spec.nodes + NODE_WORDS * node + 1u] >> 2u) > FEW;
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
