// The reduced loss, and what went wrong: rows with a label out of range, rows whose loss is NaN.
//
// Dispatch: one workgroup, after the row kernel.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(2) var<storage, read> rows_in: array<u32>;
@group(0) @binding(3) var<storage, read> saved: array<u32>;

var<workgroup> tree_loss: array<f32, WG>;
var<workgroup> tree_labels: array<vec2<u32>, WG>;
var<workgroup> tree_rows: array<vec2<u32>, WG>;

// A count and the first row of it.
fn noted(note: vec2<u32>, row: u32, yes: bool) -> vec2<u32> {
  return select(note, vec2<u32>(note.x + 1u, min(note.y, row)), yes);
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) thread: u32) {
  var sum = 0.0;
  var labels = vec2<u32>(0u, 0xffffffffu);
  var rows = vec2<u32>(0u, 0xffffffffu);
  for (var row = thread; row < params.rows; row += WG) {
    var bad_label = bitcast<i32>(rows_in[FIELD_LABEL * params.rows + row]) == LABEL_BAD;
    if (MIXED_TARGETS) {
      let second = rows_in[(FIELDS_PER_LABEL + FIELD_LABEL) * params.rows + row];
      bad_label = bad_label || bitcast<i32>(second) == LABEL_BAD;
    }
    let bits = saved[SAVED_LOSS * params.rows + row];
    labels = noted(labels, row, bad_label);
    rows = noted(rows, row, (bits & 0x7fffffffu) > 0x7f800000u && !bad_label);
    sum += bitcast<f32>(bits);
  }
  tree_loss[thread] = sum;
  tree_labels[thread] = labels;
  tree_rows[thread] = rows;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree_loss[thread] += tree_loss[thread + half];
      let a = tree_labels[thread + half];
      let b = tree_rows[thread + half];
      tree_labels[thread] = vec2<u32>(tree_labels[thread].x + a.x, min(tree_labels[thread].y, a.y));
      tree_rows[thread] = vec2<u32>(tree_rows[thread].x + b.x, min(tree_rows[thread].y, b.y));
    }
    workgroupBarrier();
  }
  if (thread == 0u) {
    let inverse = bitcast<f32>(scalars[SCALAR_INVERSE]);
    let failed = tree_labels[0].x + tree_rows[0].x > 0u;
    // 0 * inf: an infinite loss of a batch without a denominator is still 0.
    let loss = select(tree_loss[0] * inverse, 0.0, inverse == 0.0);
    scalars[SCALAR_LOSS] = select(bitcast<u32>(loss), params.nan, failed);
    scalars[SCALAR_BAD_LABELS] = tree_labels[0].x;
    scalars[SCALAR_FIRST_BAD_LABEL] = tree_labels[0].y;
    scalars[SCALAR_BAD_ROWS] = tree_rows[0].x;
    scalars[SCALAR_FIRST_BAD_ROW] = tree_rows[0].y;
  }
}
