// Which background rows are drawn for each group of classes, exactly as many as its quota: the rows with the smallest
// draws, the lower row where draws are equal. One workgroup; for all groups at once it finds the last draw that is taken,
// eight bits at a time until the rows with the same bits are all taken, and among equal ones the end of the rows that are.
//
// scalars[SCALAR_DRAWN + 2 group] is that draw, the next word the first row that is not taken with it. With MARKS, where
// rows are few and in one window, they are marked at once. Needs the batch's labels.

// [GROUPS, N + 1], by the number of background rows.
@group(0) @binding(5) var<storage, read> quotas: array<u32>;

// The last draw of a group that is taken, as far as its bits are known: how many draws are below these bits, and how many
// have them.
struct Last {
  bits: u32,
  below: u32,
  equal: u32,
}

var<workgroup> draw_tree: array<u32, WG>;
// By group: rows by eight bits of their draws, sixteen of these together, and what one thread finds there.
var<workgroup> bins: array<atomic<u32>, 256u * GROUPS>;
var<workgroup> sixteens: array<u32, 16u * GROUPS>;
var<workgroup> found: array<Last, GROUPS>;

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

// Whether some of the rows with the last draw's bits are not taken.
fn is_open(last: Last, quota: u32) -> bool {
  return quota > 0u && last.below + last.equal > quota;
}

// The last draw with eight bits more, which begin at `shift`, from the bins. Loads come before what decides, so that none
// waits for another.
fn narrowed(group: u32, last: Last, quota: u32, shift: u32) -> Last {
  var below = last.below;
  var part = 0u;
  var open = true;
  for (var next = 0u; next < 15u; next++) {
    let here = sixteens[16u * group + next];
    open = open && below + here < quota;
    below += select(0u, here, open);
    part += select(0u, 1u, open);
  }
  var bin = 16u * part;
  open = true;
  for (var next = 0u; next < 15u; next++) {
    let here = atomicLoad(&bins[256u * group + 16u * part + next]);
    open = open && below + here < quota;
    below += select(0u, here, open);
    bin += select(0u, 1u, open);
  }
  let equal = atomicLoad(&bins[256u * group + bin]);
  // Where all rows with these bits are taken, the last draw is the largest with them.
  let others = select(0u, (1u << shift) - 1u, below + equal == quota);
  return Last(last.bits | (bin << shift) | others, below, equal);
}

fn draw_rows(thread: u32) {
  var mine = 0u;
  for (var n = thread; n < window.batch_rows; n += WG) {
    mine += select(0u, 1u, is_background(n));
  }
  _ = count_over_workgroup(thread, mine);
  let candidates = workgroupUniformLoad(&draw_tree[0]);
  var quota: array<u32, GROUPS>;
  var last: array<Last, GROUPS>;
  var open = false;
  for (var group = 0u; group < GROUPS; group++) {
    quota[group] = quotas[group * (window.batch_rows + 1u) + candidates];
    last[group] = Last(0u, 0u, candidates);
    if (!is_open(last[group], quota[group])) {
      last[group].bits = 0xffffffffu;
    }
    open = open || is_open(last[group], quota[group]);
  }
  for (var shift = 32u; shift > 0u && open; shift -= 8u) {
    let known = select(0xffffffffu << (shift & 31u), 0u, shift == 32u);
    for (var bin = thread; bin < 256u * GROUPS; bin += WG) {
      atomicStore(&bins[bin], 0u);
    }
    workgroupBarrier();
    for (var n = thread; n < window.batch_rows; n += WG) {
      if (is_background(n)) {
        for (var group = 0u; group < GROUPS; group++) {
          let own = draw_of(n + window.first_row, group);
          if ((own & known) == last[group].bits) {
            atomicAdd(&bins[256u * group + ((own >> (shift - 8u)) & 255u)], 1u);
          }
        }
      }
    }
    workgroupBarrier();
    for (var part = thread; part < 16u * GROUPS; part += WG) {
      var sum = 0u;
      for (var bin = 16u * part; bin < 16u * part + 16u; bin++) {
        sum += atomicLoad(&bins[bin]);
      }
      sixteens[part] = sum;
    }
    workgroupBarrier();
    for (var group = thread; group < GROUPS; group += WG) {
      found[group] = narrowed(group, last[group], quota[group], shift - 8u);
    }
    open = false;
    for (var group = 0u; group < GROUPS; group++) {
      let next = workgroupUniformLoad(&found[group]);
      if (is_open(last[group], quota[group])) {
        last[group] = next;
      }
      open = open || is_open(last[group], quota[group]);
    }
  }
  var ends: array<vec2<u32>, GROUPS>;
  for (var group = 0u; group < GROUPS; group++) {
    ends[group] = vec2<u32>(last[group].bits, window.batch_rows);
    if (quota[group] == 0u) {
      ends[group] = vec2<u32>(0u);
    } else if (is_open(last[group], quota[group])) {
      ends[group].y = end_of_equal(thread, group, last[group].bits, quota[group] - last[group].below);
    }
    if (!MARKS && thread == 0u) {
      scalars[SCALAR_DRAWN + 2u * group] = ends[group].x;
      scalars[SCALAR_DRAWN + 2u * group + 1u] = ends[group].y;
    }
  }
  if (MARKS) {
    for (var row = thread; row < window.rows; row += WG) {
      if (is_background(row)) {
        store_drawn(row, ends);
      }
    }
  }
}
