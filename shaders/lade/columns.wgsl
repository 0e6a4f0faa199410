// What a window's rows add to each column: four columns per thread, of which a workgroup has 4 * QUADS, each with
// ROW_THREADS threads that take some rows each, merged in a fixed order; then merged with what the windows before have left.
// Needs columns_of_logits.wgsl or columns_of_parts.wgsl.
//
// Dispatch: ceil(K / (4 * QUADS)) workgroups for each window, in the order of rows.

@group(0) @binding(2) var<storage, read> rows_in: array<u32>;
@group(0) @binding(3) var<storage, read_write> classes: array<f32>;

const ROW_THREADS: u32 = WG / QUADS;

struct Columns {
  max: vec4<f32>,
  sum: vec4<f32>,
  own: vec4<f32>,
  count: vec4<f32>,
  kept: f32,
}

var<workgroup> tree: array<Columns, WG>;

fn merge(a: Columns, b: Columns) -> Columns {
  let top = max(a.max, b.max);
  let sum = a.sum * exp(a.max - top) + b.sum * exp(b.max - top);
  return Columns(top, sum, a.own + b.own, a.count + b.count, a.kept + b.kept);
}

// Adds logits to the columns that are their rows' own.
fn add_own(mine: ptr<function, Columns>, z: vec4<f32>, own: vec4<bool>) {
  (*mine).own += select(vec4<f32>(0.0), z, own);
  (*mine).count += select(vec4<f32>(0.0), vec4<f32>(1.0), own);
}

// The columns beyond the last are worked on like the last, and never stored.
fn four(first: u32) -> vec4<u32> {
  return min(first + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(window.classes - 1u));
}

fn four_of_table(column: u32, j: vec4<u32>) -> vec4<f32> {
  return vec4<f32>(table(column, j.x), table(column, j.y), table(column, j.z), table(column, j.w));
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let thread = local.x;
  let first = 4u * (linear_workgroup(id, count) * QUADS + thread % QUADS);
  let j = four(first);
  tree[thread] = gathered(thread, j);
  workgroupBarrier();
  for (var half = ROW_THREADS / 2u; half > 0u; half = half / 2u) {
    if (thread < half * QUADS) {
      tree[thread] = merge(tree[thread], tree[thread + half * QUADS]);
    }
    workgroupBarrier();
  }
  if (thread >= QUADS) {
    return;
  }
  var all = tree[thread];
  if ((window.flags & FLAG_FIRST_OF_CLASSES) == 0u) {
    let before = Columns(
      four_of_table(TABLE_MAX, j),
      four_of_table(TABLE_SUM, j),
      four_of_table(TABLE_OWN, j),
      four_of_table(TABLE_COUNT, j),
      table(TABLE_KEPT, j.x),
    );
    all = merge(before, all);
  }
  for (var k = 0u; k < 4u; k++) {
    if (first + k < window.classes) {
      set_table(TABLE_MAX, first + k, all.max[k]);
      set_table(TABLE_SUM, first + k, all.sum[k]);
      set_table(TABLE_OWN, first + k, all.own[k]);
      set_table(TABLE_COUNT, first + k, all.count[k]);
      set_table(TABLE_KEPT, first + k, all.kept);
    }
  }
}
