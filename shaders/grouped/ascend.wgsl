// Up a row's tree: the derivative of each node's sum from those below it, and the gradient of each of its columns. Each logit
// is read once, its gradient is written after it and no other column needs it: it may take the logit's place.
//
// Chunks and nodes begin and end in the middle of a packed gradient's words. A thread writes the words that are all its own at
// once; its first element where that is a word's high half, and its last one where that is a low half, wait for a barrier
// each, so that no two threads write to one word at a time.

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

// What a level's columns share of the row.
struct Ascent {
  factor: f32,
  counts: bool,
  goal: u32,
  held: Held,
  leaves: Leaves,
}

// The derivative by a column's sum: of what is below, or of its own where that is a leaf or closed.
fn go_up(ascent: Ascent, bits: u32, j: u32, z: f32, below: u32) -> f32 {
  var of_below = CLOSED;
  if (below != NONE) {
    of_below = score_at(below);
  }
  let own = leaf_slope(ascent.leaves, score_below(bitcast<f32>(bits), z), j == ascent.goal);
  return select(select(bitcast<f32>(of_below), own, of_below == CLOSED), 0.0, bits == CLOSED);
}

fn of_column(ascent: Ascent, slope: f32, j: u32, z: f32, here: bool) -> f32 {
  let g = ascent.leaves.coefficient * slope + select(0.0, segment_part(j, ascent.held, z), here);
  return select(ascent.factor * select(0.0, g, ascent.counts), ascent.factor, is_nan(ascent.factor));
}

// Halves of words that wait: a column and its gradient.
struct Waiting {
  first: u32,
  of_first: f32,
  last: u32,
  of_last: f32,
}

fn new_waiting() -> Waiting {
  return Waiting(NONE, 0.0, NONE, 0.0);
}

// All threads.
fn write_both(waiting: Waiting) {
  if (!GRADIENT_PACKED) {
    return;
  }
  gradient_barrier();
  let row = opened_again();
  if (waiting.first != NONE) {
    write_waiting(row, waiting.first, waiting.of_first);
  }
  gradient_barrier();
  if (waiting.last != NONE) {
    write_waiting(row, waiting.last, waiting.of_last);
  }
  gradient_barrier();
}

// Up one chunk.
fn ascend_chunk(row: Row, ascent: Ascent, number: u32, leaf: bool, on_path: u32) -> Waiting {
  var chunk = chunk_at(number);
  var waiting = new_waiting();
  var bits = CLOSED;
  var sum = 0.0;
  var low = 0.0;
  var pair: vec2<f32>;
  for (var step = 0u; step < chunk.columns; step++) {
    let begins = bit_of(chunk.begins, step);
    chunk.node += select(0u, 1u, begins);
    bits = select(bits, score_at(chunk.node), begins);
    sum = select(sum, 0.0, begins);
    let inner = !leaf && bit_of(chunk.inner, step);
    let j = chunk.first + step;
    let z = next_logit(row, j, step == 0u, &pair);
    let slope = go_up(ascent, bits, j, z, select(NONE, chunk.below, inner));
    chunk.below += select(0u, 1u, inner);
    sum += slope;
    let g = of_column(ascent, slope, j, z, chunk.node == on_path);
    let last = step + 1u == chunk.columns;
    if (GRADIENT_PACKED) {
      if (((row.gradient + j) & 1u) == 0u) {
        low = g;
        if (last) {
          waiting.last = j;
          waiting.of_last = g;
        }
      } else if (step > 0u) {
        store_gradient_pair(row.gradient + j - 1u, low, g);
      } else {
        waiting.first = j;
        waiting.of_first = g;
      }
    } else {
      store_gradient(row.gradient + j, g);
    }
    // The sum so far: the node's last column has all of it.
    set_score(chunk.node, select(bitcast<u32>(sum), CLOSED, bits == CLOSED));
  }
  return waiting;
}

// Up a node with many columns; all threads.
fn ascend_wide(row: Row, ascent: Ascent, number: u32, leaf: bool, on_path: u32, thread: u32) -> Waiting {
  let wide = wide_at(row, number, thread);
  let bits = score_at(wide.node);
  let steps = 2u * wide_turns(wide);
  var waiting = new_waiting();
  var sum = 0.0;
  var pair: vec2<f32>;
  var low = 0.0;
  for (var step = 0u; step < steps; step++) {
    let j = wide_column(wide, step);
    let inside = is_inside_of(wide, j);
    var g = 0.0;
    if (inside) {
      let z = next_logit(row, j, (step & 1u) == 0u || j == wide.begin, &pair);
      var below = NONE;
      if (!leaf) {
        below = tables[spec.column_nodes + j];
      }
      let slope = go_up(ascent, bits, j, z, below);
      sum += slope;
      g = of_column(ascent, slope, j, z, wide.node == on_path);
      if (!GRADIENT_PACKED) {
        store_gradient(row.gradient + j, g);
      }
    }
    if (GRADIENT_PACKED) {
      if ((step & 1u) == 0u) {
        low = g;
        if (inside && !is_inside_of(wide, j + 1u)) {
          waiting.last = j;
          waiting.of_last = g;
        }
      } else if (inside) {
        if (is_inside_of(wide, j - 1u)) {
          store_gradient_pair(row.gradient + j - 1u, low, g);
        } else {
          waiting.first = j;
          waiting.of_first = g;
        }
      }
    }
  }
  let total = summed(thread, sum);
  if (thread == 0u && bits != CLOSED) {
    set_score(wide.node, bitcast<u32>(total));
  }
  return waiting;
}

// All threads, each with a chunk of its own at a time.
fn ascend_chunks(row: Row, ascent: Ascent, chunks: vec2<u32>, leaf: bool, on_path: u32, thread: u32) {
  for (var begin = chunks.x; begin < chunks.y; begin += WG) {
    var waiting = new_waiting();
    if (begin + thread < chunks.y) {
      waiting = ascend_chunk(row, ascent, begin + thread, leaf, on_path);
    }
    write_both(waiting);
  }
}

fn ascend(thread: u32, label: i32) {
  for (var left = spec.level_count; left > 0u; left--) {
    let number = left - 1u;
    let row = opened_again();
    let level = level_at(number);
    let on_path = path_node(label, number);
    var ascent: Ascent;
    ascent.factor = row_factor(row);
    ascent.counts = label >= 0;
    ascent.goal = path_column(label, number);
    if (label >= 0) {
      ascent.leaves = Leaves(
        saved_number(row, SAVED_LEAF_REFERENCE),
        saved_number(row, SAVED_LEAF_COEFFICIENT),
        saved_number(row, SAVED_LEAF_REST),
      );
    }
    if (ascent.goal != NONE) {
      ascent.held = held_in(row, number);
    }
    ascend_chunks(row, ascent, level.chunks.xy, true, on_path, thread);
    ascend_chunks(row, ascent, level.chunks.yz, false, on_path, thread);
    for (var at = level.wide.x; at < level.wide.y; at++) {
      write_both(ascend_wide(row, ascent, at, true, on_path, thread));
    }
    for (var at = level.wide.y; at < level.wide.z; at++) {
      write_both(ascend_wide(row, ascent, at, false, on_path, thread));
    }
    scores_barrier();
  }
}

fn gradient_barrier() {
  storageBarrier();
  workgroupBarrier();
}
