// Which background rows are drawn for each group of classes, exactly as many as its quota: the rows with the smallest
// draws, the lower row where draws are equal. One workgroup; for each group it finds the last draw that is taken, eight
// bits at a time, and among equal ones the end of the rows that are taken.
//
// scalars[SCALAR_DRAWN + 2 group] is that draw, the next word the first row that is not taken with it. With MARKS, where
// rows are few and in one window, they are marked at once. Needs the batch's labels.

// [GROUPS, N + 1], by the number of background rows.
@group(0) @binding(5) var<storage, read> quotas: array<u32>;

var<workgroup> draw_tree: array<u32, WG>;
// Rows by eight bits of their draws, sixteen of these together, and what thread 0 finds there: the bits of the last draw
// taken, how many rows are below it and how many have these bits.
var<workgroup> bins: array<atomic<u32>, 256>;
var<workgroup> sixteens: array<u32, 16>;
var<workgroup> found: vec3<u32>;

fn is_background(row: u32) -> bool {
  let label = batch_label(row);
  let ignored = (spec.flags & FLAG_IGNORE_INDEX) != 0u && label == spec.ignore_index;
  let in_column = (spec.flags & FLAG_BACKGROUND_COLUMN) != 0u && label == spec.background_column;
  return in_column && !ignored;
}

fn count_over_workgroup(thread: u32, mine: u32) -> u32 {
  workgroupBarrier();
  draw_tree[thread] = mine;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      draw_tree[thread] += draw_tree[thread + half];
    }
    workgroupBarrier();
  }
  return draw_tree[0];
}

// Of the rows with this draw, the first that is one too many: the largest row before which there are at most `wanted`.
fn end_of_equal(thread: u32, group: u32, draw: u32, wanted: u32) -> u32 {
  var end = 0u;
  for (var bit = 0u; bit < 32u; bit++) {
    let next = end | (0x80000000u >> bit);
    var mine = 0u;
    for (var n = thread; n < min(next, window.batch_rows); n += WG) {
      if (is_background(n)) {
        mine += select(0u, 1u, draw_of(n + window.first_row, group) == draw);
      }
    }
    if (count_over_workgroup(thread, mine) <= wanted && next <= window.batch_rows) {
      end = next;
    }
  }
  return end;
}

// The last draw taken and the first row not taken with it, of more candidates than are wanted.
fn last_of(thread: u32, group: u32, quota: u32) -> vec2<u32> {
  var draw = 0u;
  var below = 0u;
  var equal = 0u;
  for (var step = 0u; step < 4u; step++) {
    let shift = 24u - 8u * step;
    for (var bin = thread; bin < 256u; bin += WG) {
      atomicStore(&bins[bin], 0u);
    }
    workgroupBarrier();
    // The bits that are known.
    let known = select(0xffffffffu << (shift + 8u), 0u, step == 0u);
    for (var n = thread; n < window.batch_rows; n += WG) {
      if (is_background(n)) {
        let own = draw_of(n + window.first_row, group);
        if ((own & known) == draw) {
          atomicAdd(&bins[(own >> shift) & 255u], 1u);
        }
      }
    }
    workgroupBarrier();
    for (var part = thread; part < 16u; part += WG) {
      var sum = 0u;
      for (var bin = 16u * part; bin < 16u * part + 16u; bin++) {
        sum += atomicLoad(&bins[bin]);
      }
      sixteens[part] = sum;
    }
    workgroupBarrier();
    if (thread == 0u) {
      var before = below;
      var part = 0u;
      while (part < 15u && before + sixteens[part] < quota) {
        before += sixteens[part];
        part++;
      }
      var bin = 16u * part;
      var here = atomicLoad(&bins[bin]);
      while (bin < 16u * part + 15u && before + here < quota) {
        before += here;
        bin++;
        here = atomicLoad(&bins[bin]);
      }
      found = vec3<u32>(bin, before, here);
    }
    let last = workgroupUniformLoad(&found);
    draw |= last.x << shift;
    below = last.y;
    equal = last.z;
  }
  if (below + equal == quota) {
    return vec2<u32>(draw, window.batch_rows);
  }
  return vec2<u32>(draw, end_of_equal(thread, group, draw, quota - below));
}

fn draw_rows(thread: u32) {
  var mine = 0u;
  for (var n = thread; n < window.batch_rows; n += WG) {
    mine += select(0u, 1u, is_background(n));
  }
  _ = count_over_workgroup(thread, mine);
  let candidates = workgroupUniformLoad(&draw_tree[0]);
  var lasts: array<vec2<u32>, GROUPS>;
  for (var group = 0u; group < GROUPS; group++) {
    let quota = quotas[group * (window.batch_rows + 1u) + candidates];
    var last = vec2<u32>(0xffffffffu, window.batch_rows);
    if (quota == 0u) {
      last = vec2<u32>(0u, 0u);
    } else if (quota < candidates) {
      last = last_of(thread, group, quota);
    }
    lasts[group] = last;
    if (!MARKS && thread == 0u) {
      scalars[SCALAR_DRAWN + 2u * group] = last.x;
      scalars[SCALAR_DRAWN + 2u * group + 1u] = last.y;
    }
  }
  if (MARKS) {
    for (var row = thread; row < window.rows; row += WG) {
      if (is_background(row)) {
        store_drawn(row, lasts);
      }
    }
  }
}
