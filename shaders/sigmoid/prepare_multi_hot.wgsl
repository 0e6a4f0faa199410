// One workgroup for each four rows, multi-hot targets: sums over the rows' targets. What belongs to a class is loaded once
// for the four. Also, once, what start_pass does.
//
// Dispatch: a workgroup for each four rows of each window, before every pass. The first window of some rows begins the
// sums, the others add to them; `settle` makes the row's weight of them, or with SETTLES, where there is one window, the
// thread that stores them.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(3) var<storage, read> classes: array<f32>;
@group(0) @binding(4) var<storage, read> dense: array<f32>;
@group(0) @binding(7) var<storage, read> row_weights: array<f32>;

// What the workgroup's threads have of four rows: sums of t, of t times the row weight's column with the smallest count, of
// t / n and of t m.
var<workgroup> tree_count: array<vec4<f32>, WG>;
var<workgroup> tree_rho: array<vec4<f32>, WG_RHO>;
var<workgroup> tree_least: array<vec4<f32>, WG_RHO>;
var<workgroup> tree_share: array<vec4<f32>, WG_REBALANCE>;
var<workgroup> tree_margin: array<vec4<f32>, WG_MARGIN>;

// All of it in one fixed tree: thread 0's places have it.
fn merge_threads(thread: u32) {
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    workgroupBarrier();
    if (thread < half) {
      let other = thread + half;
      tree_count[thread] += tree_count[other];
      if (HAS_RHO) {
        tree_rho[thread] += tree_rho[other];
        tree_least[thread] = min(tree_least[thread], tree_least[other]);
      }
      if (HAS_REBALANCE) {
        tree_share[thread] += tree_share[other];
      }
      if (HAS_MARGIN) {
        tree_margin[thread] += tree_margin[other];
      }
    }
  }
  workgroupBarrier();
}

// What the windows of these rows before this one have left, or `first` in the first window.
fn before(field: u32, row: u32, first: f32) -> f32 {
  if ((window.flags & FLAG_FIRST_OF_ROWS) != 0u) {
    return first;
  }
  return read_row(field, row);
}

fn store_rows(row: u32, lane: u32) {
  store_row(FIELD_COUNT, row, before(FIELD_COUNT, row, 0.0) + tree_count[0][lane]);
  if (HAS_RHO) {
    store_row(FIELD_RHO, row, before(FIELD_RHO, row, 0.0) + tree_rho[0][lane]);
    // The smallest count waits here for `settle_row`.
    store_row(FIELD_FACTOR, row, min(before(FIELD_FACTOR, row, POS_MAX), tree_least[0][lane]));
  }
  if (HAS_REBALANCE) {
    store_row(FIELD_SHARE, row, before(FIELD_SHARE, row, 0.0) + tree_share[0][lane]);
  }
  if (HAS_MARGIN) {
    store_row(FIELD_MARGIN, row, before(FIELD_MARGIN, row, 0.0) + tree_margin[0][lane]);
  }
  if ((window.flags & FLAG_FIRST_OF_ROWS) != 0u) {
    var weight = 1.0;
    if ((spec.flags & FLAG_ROW_WEIGHTS) != 0u) {
      weight = row_weights[row + window.row_shift];
    }
    rows_out[FIELD_LABEL * window.rows + row] = bitcast<u32>(LABEL_NONE);
    store_row(FIELD_WEIGHT, row, weight);
    store_row(FIELD_BACKGROUND, row, 0.0);
    store_row(FIELD_DRAWN, row, 0.0);
  }
  // The background column's target, which is no positive of a denominator.
  let own = spec.background_column - i32(window.first_class);
  if ((spec.flags & FLAG_BACKGROUND_COLUMN) != 0u && own >= 0 && own < i32(window.classes)) {
    store_row(FIELD_DRAWN, row, dense[window.dense_origin + row * window.dense_stride + u32(own)]);
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) number: vec3<u32>,
) {
  let thread = local.x;
  let first = 4u * linear_workgroup(id, number);
  if (first == 0u && thread == 0u && (window.flags & FLAG_FIRST_WINDOW) != 0u) {
    start_pass();
  }
  if (first >= window.rows) {
    return;
  }
  // Only what something needs: most losses divide by what does not depend on the targets.
  let needed = HAS_RHO || HAS_REBALANCE || HAS_MARGIN || spec.reduction == REDUCTION_POSITIVES;
  let classes_read = select(0u, window.classes, needed);
  // Rows past the end repeat the last one.
  var count = vec4<f32>(0.0);
  var rho = vec4<f32>(0.0);
  var least = vec4<f32>(POS_MAX);
  var share = vec4<f32>(0.0);
  var margin = vec4<f32>(0.0);
  let rows = min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(window.rows - 1u));
  let base = window.dense_origin + rows * window.dense_stride;
  for (var j = thread; j < classes_read; j += WG) {
    let t = vec4<f32>(dense[base.x + j], dense[base.y + j], dense[base.z + j], dense[base.w + j]);
    count += t;
    if (HAS_RHO) {
      let value = class_value(COLUMN_RHO, j);
      rho += t * value;
      least = min(least, t * value + (1.0 - t) * spec.absent);
    }
    if (HAS_REBALANCE) {
      share += t * class_value(COLUMN_INVERSE_COUNT, j);
    }
    if (HAS_MARGIN) {
      margin += t * class_value(COLUMN_MARGIN, j);
    }
  }
  tree_count[thread] = count;
  if (HAS_RHO) {
    tree_rho[thread] = rho;
    tree_least[thread] = least;
  }
  if (HAS_REBALANCE) {
    tree_share[thread] = share;
  }
  if (HAS_MARGIN) {
    tree_margin[thread] = margin;
  }
  merge_threads(thread);
  for (var lane = thread; lane < min(4u, window.rows - first); lane += WG) {
    store_rows(first + lane, lane);
    if (SETTLES) {
      settle_row(first + lane);
    }
  }
}
