// Which background rows are drawn for each group of classes, exactly as many as its quota: the rows with the smallest
// draws, the lower row where draws are equal. One workgroup; for each group it finds the last draw that is taken by a
// search over its bits, and among equal ones the end of the rows that are taken.
//
// scalars[SCALAR_DRAWN + 2 group] is that draw, the next word the first row that is not taken with it.
// Dispatch: one workgroup, after prepare. Quotas: [GROUPS, N + 1], by the number of background rows.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(2) var<storage, read> all_labels: array<i32>;
@group(0) @binding(3) var<storage, read> quotas: array<u32>;

var<workgroup> tree: array<u32, WG>;

fn is_background(row: u32) -> bool {
  let label = all_labels[row];
  let ignored = (spec.flags & FLAG_IGNORE_INDEX) != 0u && label == spec.ignore_index;
  let in_column = (spec.flags & FLAG_BACKGROUND_COLUMN) != 0u && label == spec.background_column;
  return in_column && !ignored;
}

fn sum_over_workgroup(thread: u32, mine: u32) -> u32 {
  workgroupBarrier();
  tree[thread] = mine;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree[thread] += tree[thread + half];
    }
    workgroupBarrier();
  }
  return tree[0];
}

// Background rows whose draw is below `draw`, or equal to it in rows before `row`.
fn taken(thread: u32, group: u32, draw: u32, row: u32) -> u32 {
  var mine = 0u;
  for (var n = thread; n < window.batch_rows; n += WG) {
    if (is_background(n)) {
      let own = draw_of(n + window.first_row, group);
      mine += select(0u, 1u, own < draw || own == draw && n < row);
    }
  }
  return sum_over_workgroup(thread, mine);
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) thread: u32) {
  var mine = 0u;
  for (var n = thread; n < window.batch_rows; n += WG) {
    mine += select(0u, 1u, is_background(n));
  }
  let candidates = sum_over_workgroup(thread, mine);
  for (var group = 0u; group < GROUPS; group++) {
    let quota = quotas[group * (window.batch_rows + 1u) + candidates];
    // The largest draw below which there are fewer rows than wanted, bit by bit.
    var draw = 0u;
    for (var bit = 0u; bit < 32u; bit++) {
      let next = draw | (0x80000000u >> bit);
      if (taken(thread, group, next, 0u) < quota) {
        draw = next;
      }
    }
    // Of the rows with that draw, those before the first one that is too many.
    var row = 0u;
    for (var bit = 0u; bit < 32u; bit++) {
      let next = row | (0x80000000u >> bit);
      let count = taken(thread, group, draw, next);
      if (next <= window.batch_rows && count <= quota) {
        row = next;
      }
    }
    if (thread == 0u) {
      scalars[SCALAR_DRAWN + 2u * group] = draw;
      scalars[SCALAR_DRAWN + 2u * group + 1u] = row;
    }
  }
}
