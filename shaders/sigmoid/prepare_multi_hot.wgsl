// One workgroup per row, multi-hot targets: sums over the row's targets. Also, once, what start_pass does.
//
// Dispatch: a workgroup for each row of each window, before every pass. The first window of some rows begins the sums,
// the others add to them; `settle` makes the row's weight of them.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(2) var<storage, read_write> rows_out: array<u32>;
@group(0) @binding(3) var<storage, read> classes: array<f32>;
@group(0) @binding(4) var<storage, read> dense: array<f32>;
@group(0) @binding(7) var<storage, read> row_weights: array<f32>;

var<workgroup> tree: array<vec4<f32>, WG>;
var<workgroup> tree_min: array<f32, WG>;

fn store_row(field: u32, row: u32, value: f32) {
  rows_out[field * window.rows + row] = bitcast<u32>(value);
}

fn read_row(field: u32, row: u32) -> f32 {
  return bitcast<f32>(rows_out[field * window.rows + row]);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let row = linear_workgroup(id, count);
  if (row == 0u && thread == 0u && (window.flags & FLAG_FIRST_WINDOW) != 0u) {
    start_pass();
  }
  if (row >= window.rows) {
    return;
  }
  // Only what something needs: most losses divide by what does not depend on the targets.
  let needed = HAS_RHO || HAS_REBALANCE || HAS_MARGIN || spec.reduction == REDUCTION_POSITIVES;
  let classes_read = select(0u, window.classes, needed);
  // The sums of t, of t times the row weight's column, of t / n and of t m; the smallest count.
  var sum = vec4<f32>(0.0);
  var smallest = POS_MAX;
  let base = window.dense_origin + row * window.dense_stride;
  for (var j = thread; j < classes_read; j += WG) {
    let t = dense[base + j];
    sum.x += t;
    if (HAS_RHO) {
      let value = classes[COLUMN_RHO * window.classes + j];
      sum.y += t * value;
      smallest = min(smallest, t * value + (1.0 - t) * spec.absent);
    }
    if (HAS_REBALANCE) {
      sum.z += t * classes[COLUMN_INVERSE_COUNT * window.classes + j];
    }
    if (HAS_MARGIN) {
      sum.w += t * classes[COLUMN_MARGIN * window.classes + j];
    }
  }
  tree[thread] = sum;
  tree_min[thread] = smallest;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree[thread] += tree[thread + half];
      tree_min[thread] = min(tree_min[thread], tree_min[thread + half]);
    }
    workgroupBarrier();
  }
  if (thread == 0u) {
    var total = tree[0];
    var least = tree_min[0];
    if ((window.flags & FLAG_FIRST_OF_ROWS) == 0u) {
      total += vec4<f32>(read_row(FIELD_COUNT, row), read_row(FIELD_RHO, row), read_row(FIELD_SHARE, row),
        read_row(FIELD_MARGIN, row));
      least = min(least, read_row(FIELD_FACTOR, row));
    } else {
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
      store_row(FIELD_DRAWN, row, dense[base + u32(own)]);
    }
    store_row(FIELD_COUNT, row, total.x);
    store_row(FIELD_RHO, row, total.y);
    store_row(FIELD_SHARE, row, total.z);
    store_row(FIELD_MARGIN, row, total.w);
    // The smallest count waits here for `settle`.
    store_row(FIELD_FACTOR, row, least);
  }
}
