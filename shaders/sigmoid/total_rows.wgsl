// The denominator that depends on the targets, and the largest weight of the batch. One workgroup; ranges of rows follow
// each other and add to what those before have left. Needs the rows' fields.

// scalars[]: what ranges of rows add up.
const SCALAR_TOTAL: u32 = 11u;
const SCALAR_LARGEST: u32 = 12u;

var<workgroup> total_tree: array<vec2<f32>, WG>;

fn total_rows(thread: u32) {
  // The count, and the largest weight.
  var mine = vec2<f32>(0.0);
  for (var row = thread; row < window.rows; row += WG) {
    let label = label_of_row(row);
    let kept = MULTI_HOT || label >= 0 || label == LABEL_BACKGROUND;
    if (kept) {
      var positives = read_row(FIELD_COUNT, row);
      if (MULTI_HOT) {
        positives -= read_row(FIELD_DRAWN, row);
      }
      mine.x += select(1.0, positives, spec.reduction == REDUCTION_POSITIVES);
      if (spec.weight_norm == NORM_BATCH) {
        mine.y = max(mine.y, read_row(FIELD_FACTOR, row));
      }
    }
  }
  total_tree[thread] = mine;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      let a = total_tree[thread];
      let b = total_tree[thread + half];
      total_tree[thread] = vec2<f32>(a.x + b.x, max(a.y, b.y));
    }
    workgroupBarrier();
  }
  if (thread == 0u) {
    var total = total_tree[0];
    if (window.batch_row > 0u) {
      total.x += bitcast<f32>(scalars[SCALAR_TOTAL]);
      total.y = max(total.y, bitcast<f32>(scalars[SCALAR_LARGEST]));
    }
    scalars[SCALAR_TOTAL] = bitcast<u32>(total.x);
    scalars[SCALAR_LARGEST] = bitcast<u32>(total.y);
    if (spec.reduction != REDUCTION_FIXED) {
      scalars[SCALAR_INVERSE] = bitcast<u32>(select(0.0, 1.0 / total.x, total.x > 0.0));
    }
    scalars[SCALAR_NORM] = bitcast<u32>(select(0.0, 1.0 / total.y, total.y > 0.0));
  }
}
