// The denominator that depends on the targets, and the largest weight of the batch. One workgroup; ranges of rows follow
// each other and add to what those before have left.
//
// Dispatch: one workgroup for each range of rows, after the rows are prepared.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(2) var<storage, read> rows_in: array<u32>;

// scalars[]: what ranges of rows add up.
const SCALAR_TOTAL: u32 = 11u;
const SCALAR_LARGEST: u32 = 12u;

var<workgroup> tree: array<vec2<f32>, WG>;

fn row_value(field: u32, row: u32) -> f32 {
  return bitcast<f32>(rows_in[field * window.rows + row]);
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_id) local: vec3<u32>) {
  let thread = local.x;
  // The count, and the largest weight.
  var mine = vec2<f32>(0.0);
  for (var row = thread; row < window.rows; row += WG) {
    let label = bitcast<i32>(rows_in[FIELD_LABEL * window.rows + row]);
    let kept = MULTI_HOT || label >= 0 || label == LABEL_BACKGROUND;
    if (kept) {
      var positives = row_value(FIELD_COUNT, row);
      if (MULTI_HOT) {
        positives -= row_value(FIELD_DRAWN, row);
      }
      mine.x += select(1.0, positives, spec.reduction == REDUCTION_POSITIVES);
      if (spec.weight_norm == NORM_BATCH) {
        mine.y = max(mine.y, row_value(FIELD_FACTOR, row));
      }
    }
  }
  tree[thread] = mine;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      let a = tree[thread];
      let b = tree[thread + half];
      tree[thread] = vec2<f32>(a.x + b.x, max(a.y, b.y));
    }
    workgroupBarrier();
  }
  if (thread == 0u) {
    var total = tree[0];
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
