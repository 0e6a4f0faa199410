// The divergences of LANES rows per workgroup, and with a base their losses: student and teacher are read once, the student
// once more where seesaw's compensation begins at a floor that a class of the row is above.
//
// Dispatch: a workgroup for each group of LANES rows.

@group(0) @binding(9) var<storage, read> row_weights: array<f32>;

// 1 of rows that have none.
fn load_row_weight(row: u32) -> f32 {
  return row_weights[min(row + window.row_shift, arrayLength(&row_weights) - 1u)];
}

var<workgroup> tree: array<Match, WG>;
var<workgroup> tree_rest: array<Rest, WG>;

// Leaves the threads' sum in the tree's first place, which is the first thread's own.
fn merge_over_workgroup(thread: u32, mine: Gathered, last: bool) {
  tree[thread] = mine.mass;
  if (last) {
    tree_rest[thread] = rest_of(mine);
  }
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree[thread] = merged_match(tree[thread], tree[thread + half]);
      if (last) {
        tree_rest[thread] = merged_rest(tree_rest[thread], tree_rest[thread + half]);
      }
    }
    workgroupBarrier();
  }
}

// Whether rows count, and whether they have a label out of range.
struct Counts {
  kept: B,
  bad: B,
}

fn row_counts(rows: U) -> Counts {
  if (SOFT_TARGETS) {
    return Counts(B(true), B(false));
  }
  let first = load_row_int(FIELD_LABEL, rows);
  var counts = Counts(first >= I(0), first == I(LABEL_BAD));
  if (MIXED_TARGETS) {
    let second = load_row_int(FIELDS_PER_LABEL + FIELD_LABEL, rows);
    counts = Counts(counts.kept | (second >= I(0)), counts.bad | (second == I(LABEL_BAD)));
  }
  return counts;
}

fn save_only(row: Row, mass: Match) {
  store_saved(SAVED_EXPERTS, row.rows, bits_of(mass.max_s), row.live);
  store_saved(SAVED_EXPERTS + 1u, row.rows, bits_of(mass.max_t), row.live);
  store_saved(SAVED_EXPERTS + 2u, row.rows, bits_of(1.0 / mass.sum_s), row.live);
  store_saved(SAVED_EXPERTS + 3u, row.rows, bits_of(1.0 / mass.sum_t), row.live);
}

fn save_expert(expert: u32, row: Row, mass: Match, weight: f32) {
  let at = SAVED_EXPERTS + EXPERT_FIELDS * expert;
  let none = B(weight == 0.0);
  let log_weight = F(log(select(weight, 1.0, weight == 0.0)));
  // Of an expert that counts nothing every exponential is 0.
  let infinity = F(bitcast<f32>(window.infinity));
  let student = select(mass.max_s + numbers.student_unit * (log(mass.sum_s) - log_weight), infinity, none);
  let teacher = select(mass.max_t + numbers.teacher_unit * (log(mass.sum_t) - log_weight), infinity, none);
  store_saved(at, row.rows, bits_of(student), row.live);
  store_saved(at + 1u, row.rows, bits_of(teacher), row.live);
}

// The same of the base alone, once more.
fn merge_base_over_workgroup(thread: u32, mine: Base) {
  workgroupBarrier();
  tree_rest[thread].base = mine;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree_rest[thread].base = merged_base(tree_rest[thread].base, tree_rest[thread + half].base);
    }
    workgroupBarrier();
  }
}

// From what all threads have gathered of a row to its results.
fn close(row: Row, sum: F, empty: B) {
  let rest = tree_rest[0];
  let nan = U(window.nan);
  let counts = row_counts(row.rows);
  let own = load_row_weights(row.rows);
  let base = close_base(row, rest.base, (rest.bad & U(BAD_STUDENT)) != U(0u));
  let divergence = select(F(0.0), by_factor(numbers.factor * own, sum), counts.kept);
  let bad = (rest.bad != U(0u)) | counts.bad | (counts.kept & empty) | base.bad;
  store_saved(SAVED_LOSS, row.rows, select(bits_of(base.loss + divergence), nan, bad), row.live);
  store_saved(SAVED_LOG_SUM_EXP, row.rows, base.log_sum_exp, row.live);
  store_saved(SAVED_PROBABILITY, row.rows, base.probability, row.live);
  if (WANT_ARGMAX) {
    // All masked: the first class.
    let index = select(rest.index, U(0u), rest.index == U(0xffffffffu));
    store_saved(SAVED_ARGMAX, row.rows, index, row.live);
  }
  let slope = by_factor(F(divergence_inverse()), numbers.slope * own);
  store_saved(SAVED_FACTOR, row.rows, bits_of(select(F(0.0), slope, counts.kept)), row.live);
  save_reduced(row, base.loss, divergence);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let thread = local.x;
  let group = linear_workgroup(id, count);
  if (!is_group(group)) {
    return;
  }
  let row = open_row(group);
  start_base(row);
  var mine = nothing_gathered();
  var sum = F(0.0);
  var empty = B(false);
  var runs = 1u;
  if (EXPERTS) {
    runs = numbers.experts + 1u;
  }
  for (var run = 0u; run < runs; run++) {
    gather(thread, row, run, &mine);
    merge_over_workgroup(thread, mine, run + 1u == runs);
    mine.mass = no_match();
    if (thread == 0u && (!EXPERTS || run < numbers.experts)) {
      let total = tree[0];
      empty = empty | (total.max_s <= F(NEG_MAX)) | (total.max_t <= F(NEG_MAX));
      if (EXPERTS) {
        let weight = table(TABLE_WEIGHT, run);
        sum += by_factor(F(weight), divergence(total));
        save_expert(run, row, total, weight);
      } else {
        sum = divergence(total);
        save_only(row, total);
      }
    }
  }
  if (TWO_STEP) {
    var base = mine.base;
    again_for_base(row, thread, tree_rest[0].base, &base);
    merge_base_over_workgroup(thread, base);
  }
  if (thread == 0u) {
    if (EXPERTS) {
      // For the classes without an expert.
      save_expert(numbers.experts, row, no_match(), 0.0);
    }
    close(row, sum, empty);
  }
}
