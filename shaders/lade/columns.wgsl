// What a window's rows add to each column: COLUMNS of them per workgroup, each with ROW_THREADS threads that take every
// ROW_THREADS-th row, merged in a fixed order; then merged with what the windows before have left.
//
// Dispatch: ceil(K / COLUMNS) workgroups for each window, in the order of rows.

@group(0) @binding(2) var<storage, read> rows_in: array<u32>;
@group(0) @binding(3) var<storage, read_write> classes: array<f32>;

struct Column {
  max: f32,
  sum: f32,
  own: f32,
  count: f32,
}

var<workgroup> tree: array<Column, WG>;

fn merge(a: Column, b: Column) -> Column {
  let top = max(a.max, b.max);
  let sum = a.sum * exp(a.max - top) + b.sum * exp(b.max - top);
  return Column(top, sum, a.own + b.own, a.count + b.count);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let thread = local.x;
  let column = linear_workgroup(id, count) * COLUMNS + thread % COLUMNS;
  // The last workgroup's columns beyond the last are worked on like the last, and never stored.
  let j = min(column, window.classes - 1u);
  let ratio = table(TABLE_RATIO, j);
  let label = i32(window.first_class + j);
  var mine = Column(NEG_MAX, 0.0, 0.0, 0.0);
  for (var row = thread / COLUMNS; row < window.rows; row += ROW_THREADS) {
    let own = bitcast<i32>(rows_in[FIELD_LABEL * window.rows + row]);
    if (own >= 0) {
      let z = load_logit(window.logits_origin + row * window.logits_stride + j);
      let x = clamp(z + ratio, NEG_MAX, POS_MAX);
      let top = max(mine.max, x);
      mine.sum = mine.sum * exp(mine.max - top) + exp(x - top);
      mine.max = top;
      if (own == label) {
        mine.own += z;
        mine.count += 1.0;
      }
    }
  }
  tree[thread] = mine;
  workgroupBarrier();
  for (var half = ROW_THREADS / 2u; half > 0u; half = half / 2u) {
    if (thread < half * COLUMNS) {
      tree[thread] = merge(tree[thread], tree[thread + half * COLUMNS]);
    }
    workgroupBarrier();
  }
  if (thread >= COLUMNS || column >= window.classes) {
    return;
  }
  var all = tree[thread];
  if ((window.flags & FLAG_FIRST_OF_CLASSES) == 0u) {
    let before = Column(table(TABLE_MAX, j), table(TABLE_SUM, j), table(TABLE_OWN, j), table(TABLE_COUNT, j));
    all = merge(before, all);
  }
  classes[TABLE_MAX * window.classes + j] = all.max;
  classes[TABLE_SUM * window.classes + j] = all.sum;
  classes[TABLE_OWN * window.classes + j] = all.own;
  classes[TABLE_COUNT * window.classes + j] = all.count;
}
