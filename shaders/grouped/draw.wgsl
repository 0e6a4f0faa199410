// Which rows of others count in each sampled segment, and the denominators.
//
// Of M rows of others the Q with the smallest keys are drawn, the lower row where keys are equal. The Q-th smallest pair
// of key and row is found byte by byte from the top: a histogram of the byte over the rows that agree in all bytes
// above, then the byte that the Q-th falls on. A row is drawn where its pair is not above that one: nothing is kept
// for each row.
//
// Dispatch: as the tally, once, after all its windows. The labels are those of the whole batch.

@group(0) @binding(1) var<storage, read> scalars: array<u32>;
@group(0) @binding(4) var<storage, read> all_labels: array<i32>;
@group(0) @binding(5) var<storage, read_write> tally: array<u32>;

var<workgroup> histogram: array<atomic<u32>, 256>;
// The pair's bytes so far, and how far from the first row that agrees in them.
var<workgroup> found_key: u32;
var<workgroup> found_row: u32;
var<workgroup> rank: u32;

const ROUNDS: u32 = 8u;
// A loop has at most so many steps.
const STRETCH: u32 = 16384u;

fn is_other(row: u32, segment: u32) -> bool {
  let label = checked_label(all_labels[row]);
  if (label < 0) {
    return false;
  }
  let here = target_beside(u32(label), segment);
  return here.segment == segment && !here.own;
}

// Adds a row to the histogram of this round's byte.
fn note(row: u32, segment: u32, round: u32) {
  if (!is_other(row, segment)) {
    return;
  }
  let key = draw_word(row + window.first_row, segment);
  let of_row = round >= 4u;
  let shift = 24u - 8u * (round & 3u);
  // The bytes above this round's.
  let above = 0xffffff00u << shift;
  let word = select(key, row, of_row);
  let found = select(found_key, found_row, of_row);
  let agrees = (word & above) == (found & above) && (!of_row || key == found_key);
  if (agrees) {
    atomicAdd(&histogram[(word >> shift) & 0xffu], 1u);
  }
}

// The byte that the rank falls on.
fn settle(round: u32) {
  var before = 0u;
  var byte = 0u;
  for (var i = 0u; i < 256u; i++) {
    let here = atomicLoad(&histogram[i]);
    if (before + here > rank) {
      byte = i;
      break;
    }
    before += here;
  }
  rank -= before;
  let placed = byte << (24u - 8u * (round & 3u));
  if (round < 4u) {
    found_key |= placed;
  } else {
    found_row |= placed;
  }
}

fn inverse(denominator: f32) -> f32 {
  return select(0.0, 1.0 / denominator, denominator > 0.0);
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
  let of_batch = group == batch;
  let at = select(group, spec.segments, of_batch) * TALLY_FIELDS;
  if (DRAWN && !of_batch) {
    let others = tally[at + TALLY_OTHERS];
    let drawn = min(tables[spec.quotas + tally[at + TALLY_OWN]], others);
    let wanted = is_sampled(group) && drawn > 0u;
    let rows = select(0u, window.batch_rows, wanted);
    if (thread == 0u) {
      found_key = 0u;
      found_row = 0u;
      rank = select(0u, drawn - 1u, wanted);
    }
    for (var round = 0u; round < ROUNDS; round++) {
      for (var i = thread; i < 256u; i += WG) {
        atomicStore(&histogram[i], 0u);
      }
      workgroupBarrier();
      for (var begin = 0u; begin < rows; begin += STRETCH * WG) {
        let end = min(rows, begin + STRETCH * WG);
        for (var row = begin + thread; row < end; row += WG) {
          note(row, group, round);
        }
      }
      workgroupBarrier();
      if (thread == 0u && wanted) {
        settle(round);
      }
      workgroupBarrier();
    }
  }
  if (thread == 0u) {
    if (of_batch) {
      close_batch(at);
    } else {
      close_segment(group, at);
    }
  }
}

fn close_segment(segment: u32, at: u32) {
  let own = tally[at + TALLY_OWN];
  var others = tally[at + TALLY_OTHERS];
  if (DRAWN && is_sampled(segment)) {
    others = min(tables[spec.quotas + own], others);
    tally[at + TALLY_LAST_KEY] = found_key;
    tally[at + TALLY_LAST_ROW] = found_row;
    tally[at + TALLY_DRAWN] = select(0u, 1u, others > 0u);
  }
  var rows = f32(own + others);
  if (GIVEN) {
    rows = bitcast<f32>(tally[at + TALLY_SUM]);
  }
  tally[at + TALLY_INVERSE] = bitcast<u32>(1.0 / max(rows, 1.0));
}

fn close_batch(at: u32) {
  let kept = f32(tally[at + TALLY_KEPT]);
  var batch_inverse = spec.fixed_inverse;
  if (spec.reduction == REDUCTION_KEPT) {
    batch_inverse = inverse(kept);
  }
  if (spec.reduction == REDUCTION_PAIRS) {
    batch_inverse = inverse(f32(tally[at + TALLY_PAIRS]));
  }
  tally[at + TALLY_BATCH_INVERSE] = bitcast<u32>(batch_inverse);
  tally[at + TALLY_TREE_INVERSE] = bitcast<u32>(inverse(kept));
}
