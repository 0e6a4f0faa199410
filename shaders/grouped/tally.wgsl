// Counts rows: for each segment those with a column of their own in it, the others and the sum of given weights, and for
// the batch the kept rows and the pairs of a row and a segment. Windows add up in their order.
//
// Dispatch: a workgroup for each segment, where anything depends on them, and one more, for each window.

@group(0) @binding(2) var<storage, read> rows_in: array<u32>;
@group(0) @binding(5) var<storage, read_write> tally: array<u32>;

var<workgroup> tree_counts: array<vec2<u32>, WG>;
var<workgroup> tree_sums: array<f32, WG>;

fn add_up(thread: u32, counts: vec2<u32>, sum: f32) {
  tree_counts[thread] = counts;
  tree_sums[thread] = sum;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree_counts[thread] += tree_counts[thread + half];
      tree_sums[thread] += tree_sums[thread + half];
    }
    workgroupBarrier();
  }
}

fn label_of(row: u32) -> i32 {
  return bitcast<i32>(rows_in[FIELD_LABEL * window.rows + row]);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let thread = local.x;
  let group = linear_workgroup(id, count);
  let batch = select(0u, spec.segments, PER_SEGMENT);
  if (group > batch) {
    return;
  }
  var counts = vec2<u32>(0u, 0u);
  var sum = 0.0;
  for (var row = thread; row < window.rows; row += WG) {
    let label = label_of(row);
    if (label < 0) {
      continue;
    }
    if (group == batch) {
      counts += vec2<u32>(1u, tables[spec.label_pairs + u32(label)]);
    } else {
      let here = target_beside(u32(label), group);
      if (here.segment == group) {
        counts += select(vec2<u32>(0u, 1u), vec2<u32>(1u, 0u), here.own);
        sum += given_weight(row, group);
      }
    }
  }
  add_up(thread, counts, sum);
  if (thread == 0u) {
    let at = select(group, spec.segments, group == batch) * TALLY_FIELDS;
    var before = vec2<u32>(0u, 0u);
    var sum_before = 0.0;
    if ((window.flags & FLAG_FIRST_WINDOW) == 0u) {
      before = vec2<u32>(tally[at], tally[at + 1u]);
      sum_before = bitcast<f32>(tally[at + TALLY_SUM]);
    }
    tally[at] = before.x + tree_counts[0].x;
    tally[at + 1u] = before.y + tree_counts[0].y;
    tally[at + TALLY_SUM] = bitcast<u32>(sum_before + tree_sums[0]);
  }
}
