// The divergence of one row per workgroup: for each expert one pass over its columns of student and teacher.
//
// Dispatch: a workgroup for each row.

@group(0) @binding(9) var<storage, read> row_weights: array<f32>;

// The masses of a softmax each, and sum_j e^{b_j} (b_j - a_j) in units of the teacher's.
struct Match {
  max_s: f32,
  sum_s: f32,
  max_t: f32,
  sum_t: f32,
  cross: f32,
  // Whether the teacher wants a class that the student has masked.
  lost: u32,
}

// What a pass over raw numbers notices on its way.
struct Notes {
  bad: u32,
  best: f32,
  index: u32,
}

var<workgroup> tree: array<Match, WG>;
var<workgroup> tree_notes: array<Notes, WG>;

fn add_class(mass: ptr<function, Match>, a: f32, b: f32) {
  let top_s = max((*mass).max_s, a);
  (*mass).sum_s = (*mass).sum_s * exp((*mass).max_s - top_s) + exp(a - top_s);
  (*mass).max_s = top_s;
  let top_t = max((*mass).max_t, b);
  let kept = exp((*mass).max_t - top_t);
  let weight = exp(b - top_t);
  (*mass).sum_t = (*mass).sum_t * kept + weight;
  (*mass).max_t = top_t;
  let masked_s = a <= NEG_MAX;
  let masked_t = b <= NEG_MAX;
  let nothing = masked_s || masked_t || weight == 0.0;
  (*mass).cross = (*mass).cross * kept + select(weight * clamp(b - a, NEG_MAX, POS_MAX), 0.0, nothing);
  if (masked_s && !masked_t) {
    (*mass).lost = 1u;
  }
}

fn merge(x: Match, y: Match) -> Match {
  var out: Match;
  out.max_s = max(x.max_s, y.max_s);
  out.sum_s = x.sum_s * exp(x.max_s - out.max_s) + y.sum_s * exp(y.max_s - out.max_s);
  out.max_t = max(x.max_t, y.max_t);
  let of_x = exp(x.max_t - out.max_t);
  let of_y = exp(y.max_t - out.max_t);
  out.sum_t = x.sum_t * of_x + y.sum_t * of_y;
  out.cross = x.cross * of_x + y.cross * of_y;
  out.lost = max(x.lost, y.lost);
  return out;
}

fn merge_over_workgroup(thread: u32, mine: Match) -> Match {
  workgroupBarrier();
  tree[thread] = mine;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree[thread] = merge(tree[thread], tree[thread + half]);
    }
    workgroupBarrier();
  }
  return tree[0];
}

// The class of the largest logit, the lowest such class on ties, and whether anything was bad.
fn notes_over_workgroup(thread: u32, mine: Notes) -> Notes {
  tree_notes[thread] = mine;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      let a = tree_notes[thread];
      let b = tree_notes[thread + half];
      let later = select(a.index, b.index, b.best > a.best);
      tree_notes[thread] = Notes(
        max(a.bad, b.bad),
        max(a.best, b.best),
        select(later, min(a.index, b.index), a.best == b.best),
      );
    }
    workgroupBarrier();
  }
  return tree_notes[0];
}

fn note_student(notes: ptr<function, Notes>, z: f32, j: u32) {
  if (is_bad_bits(bitcast<u32>(z))) {
    (*notes).bad = 1u;
  }
  if (WANT_ARGMAX) {
    let better = z > (*notes).best;
    (*notes).best = select((*notes).best, z, better);
    (*notes).index = select((*notes).index, j, better);
  }
}

// Whether the row counts, and whether it has a label out of range.
fn row_counts(row: u32) -> vec2<bool> {
  if (SOFT_TARGETS) {
    return vec2<bool>(true, false);
  }
  let first = load_row_int(FIELD_LABEL, row);
  var counts = first >= 0;
  var bad = first == LABEL_BAD;
  if (MIXED_TARGETS) {
    let second = load_row_int(FIELDS_PER_LABEL + FIELD_LABEL, row);
    counts = counts || second >= 0;
    bad = bad || second == LABEL_BAD;
  }
  return vec2<bool>(counts, bad);
}

// sum_j q_j (log q_j - log s_j), which is at least 0.
fn divergence(mass: Match) -> f32 {
  let student = mass.max_s + log(mass.sum_s);
  let teacher = mass.max_t + log(mass.sum_t);
  let all = mass.cross / mass.sum_t + (student - teacher);
  return select(max(all, 0.0), bitcast<f32>(window.infinity), mass.lost != 0u);
}

fn save_expert(expert: u32, row: u32, mass: Match) {
  let at = SAVED_EXPERTS + EXPERT_FIELDS * expert;
  store_saved(at, row, bitcast<u32>(mass.max_s), true);
  store_saved(at + 1u, row, bitcast<u32>(1.0 / mass.sum_s), true);
  store_saved(at + 2u, row, bitcast<u32>(mass.max_t), true);
  store_saved(at + 3u, row, bitcast<u32>(1.0 / mass.sum_t), true);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let thread = local.x;
  let group = linear_workgroup(id, count);
  if (group >= window.rows) {
    return;
  }
  let row = open_row(group);
  var notes = Notes(0u, NEG_MAX, 0xffffffffu);
  if (EXPERTS) {
    for (var j = thread; j < window.classes; j += WG) {
      note_student(&notes, load_logit(row.logits + j), j);
    }
  }
  var sum = 0.0;
  var empty = false;
  for (var expert = 0u; expert < numbers.experts; expert++) {
    var begin = 0u;
    var end = numbers.teacher_columns;
    if (EXPERTS) {
      begin = u32(table(TABLE_BEGIN, expert));
      if (expert + 1u < numbers.experts) {
        end = u32(table(TABLE_BEGIN, expert + 1u));
      }
    }
    var mass = Match(NEG_MAX, 0.0, NEG_MAX, 0.0, 0.0, 0u);
    for (var m = begin + thread; m < end; m += WG) {
      var j = m;
      if (EXPERTS) {
        j = u32(table(TABLE_CLASS, m));
      }
      let z = load_logit(row.logits + j);
      let t = load_teacher(row.dense + m);
      if (!EXPERTS) {
        note_student(&notes, z, j);
      }
      if (is_bad_bits(bitcast<u32>(t))) {
        notes.bad = 1u;
      }
      add_class(&mass, by_scale(z, numbers.inverse_temperature), by_scale(t, numbers.teacher_scale));
    }
    let total = merge_over_workgroup(thread, mass);
    if (thread == 0u) {
      empty = empty || total.max_s <= NEG_MAX || total.max_t <= NEG_MAX;
      let weight = expert_weight(expert);
      sum += select(weight * divergence(total), 0.0, weight == 0.0);
      save_expert(expert, row.rows, total);
    }
  }
  let seen = notes_over_workgroup(thread, notes);
  if (thread == 0u) {
    let counts = row_counts(row.rows);
    let own = row_weights[min(row.rows + window.row_shift, arrayLength(&row_weights) - 1u)];
    let factor = numbers.factor * own;
    let bad = seen.bad != 0u || counts.y || (counts.x && empty);
    let loss = select(factor * sum, 0.0, factor == 0.0 || !counts.x);
    store_saved(SAVED_LOSS, row.rows, select(bitcast<u32>(loss), window.nan, bad), true);
    store_saved(SAVED_LOG_SUM_EXP, row.rows, window.nan, true);
    store_saved(SAVED_PROBABILITY, row.rows, window.nan, true);
    if (WANT_ARGMAX) {
      // All masked: the first class.
      store_saved(SAVED_ARGMAX, row.rows, select(seen.index, 0u, seen.index == 0xffffffffu), true);
    }
    store_saved(SAVED_FACTOR, row.rows, bitcast<u32>(select(0.0, numbers.slope * own, counts.x)), true);
  }
}
