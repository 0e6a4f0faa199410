// Up a row's tree: the derivative of each node's sum from those below it, and the gradient of each of its columns. Each logit
// is read once, its gradient is written after it and no other column needs it: it may take the logit's place.
//
// Nodes begin and end in the middle of a packed gradient's words. A node writes the words that are all its own at once; its
// first element where that is a word's high half, and its last one where that is a low half, wait for a barrier each, so
// that no two threads write to one word at a time.

var<workgroup> tree_slopes: array<f32, WG>;

// What the leaves' cross-entropy left of a row.
struct Leaves {
  reference: f32,
  coefficient: f32,
  rest: f32,
}

// The derivative of the tree's loss by the score of a kept leaf. The gradient ends at the ceiling.
fn leaf_slope(leaves: Leaves, score: f32, stands: bool) -> f32 {
  let held = held_score(score);
  let slope = select(exp(held - leaves.reference), -leaves.rest, stands);
  return select(slope, 0.0, held > spec.ceiling);
}

fn summed(thread: u32, mine: f32) -> f32 {
  workgroupBarrier();
  tree_slopes[thread] = mine;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree_slopes[thread] += tree_slopes[thread + half];
    }
    workgroupBarrier();
  }
  return tree_slopes[0];
}

// A half that waits. The row's own first and last word are left to `stitch`.
fn write_waiting(row: Row, j: u32, g: f32) {
  if (j == 0u) {
    if ((row.gradient & 1u) == 1u) {
      store_saved(SAVED_EDGES, row.rows, gradient_bits(g), row.live);
      return;
    }
  }
  if (j + 1u == window.classes && ((row.gradient + j) & 1u) == 0u) {
    store_saved(SAVED_EDGES + 1u, row.rows, gradient_bits(g), row.live);
    return;
  }
  write_half(row, j, g);
}

fn ascend(thread: u32, label: i32) {
  for (var left = spec.level_count; left > 0u; left--) {
    let number = left - 1u;
    let row = opened_again();
    let factor = row_factor(row);
    let counts = row.label >= 0;
    let level = level_at(number);
    let on_path = path_node(label, number);
    let goal = path_column(label, number);
    var held = Held(NONE, NONE, 0.0, 0.0, 0.0);
    var leaves = Leaves(0.0, 0.0, 0.0);
    if (counts) {
      leaves = Leaves(
        saved_number(row, SAVED_LEAF_REFERENCE),
        saved_number(row, SAVED_LEAF_COEFFICIENT),
        saved_number(row, SAVED_LEAF_REST),
      );
      if (goal != NONE) {
        held = held_in(row, number);
      }
    }
    for (var turn = 0u; turn < level.turns; turn++) {
      let wide = is_wide_turn(level, turn);
      let node = node_at(row, level, turn, thread);
      let here = node.number != NONE && node.number == on_path;
      var sum = 0.0;
      var pair: vec2<f32>;
      var fresh = true;
      // The last low half, and the halves that wait.
      var low = 0.0;
      var has_low = false;
      var first = vec2<u32>(NONE, 0u);
      var last = vec2<u32>(NONE, 0u);
      for (var step = 0u; step < node.steps; step++) {
        let j = node_column(node, step);
        let inside = j >= node.begin && j < node.end;
        var g = 0.0;
        if (inside) {
          let z = step_logit(row, j, fresh || (wide && (step & 1u) == 0u), &pair);
          fresh = false;
          let below = node_below(node, j);
          var slope = 0.0;
          if (below != NONE) {
            slope = bitcast<f32>(score_at(below));
          }
          if (below == NONE && node.open) {
            slope = leaf_slope(leaves, score_below(node.score, z), j == goal);
          }
          sum += slope;
          slope = leaves.coefficient * slope + select(0.0, segment_part(j, held, z), here);
          g = select(factor * select(0.0, slope, counts), factor, is_nan(factor));
          if (!GRADIENT_PACKED) {
            store_gradient(row.gradient + j, g);
          }
        }
        if (GRADIENT_PACKED) {
          if ((step & 1u) == 0u) {
            low = g;
            has_low = inside;
          } else if (inside) {
            if (has_low) {
              store_gradient_pair(row.gradient + j - 1u, low, g);
            } else {
              first = vec2<u32>(j, bitcast<u32>(g));
            }
          } else if (has_low) {
            last = vec2<u32>(j - 1u, bitcast<u32>(low));
          }
        }
      }
      if (wide) {
        sum = summed(thread, sum);
      }
      if (node.number != NONE && is_owner(wide, thread)) {
        let closed = select(0.0, leaf_slope(leaves, node.score, here), node.entry);
        set_score(node.number, bitcast<u32>(select(closed, sum, node.open)));
      }
      if (GRADIENT_PACKED) {
        scores_barrier();
        gradient_barrier();
        let again = opened_again();
        if (first.x != NONE) {
          write_waiting(again, first.x, bitcast<f32>(first.y));
        }
        gradient_barrier();
        if (last.x != NONE) {
          write_waiting(again, last.x, bitcast<f32>(last.y));
        }
        gradient_barrier();
      }
    }
    scores_barrier();
  }
}

fn gradient_barrier() {
  storageBarrier();
  workgroupBarrier();
}
