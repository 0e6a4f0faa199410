// Loss and gradient down the columns. A thread takes a column, or a pair of columns that share a word, of sixteen rows at
// once: four groups of LANES rows. What belongs to a class is loaded once for all of them, and what they add to a class's
// accumulated gradients is there when the column is done: it takes no further look at N x K numbers. A workgroup goes on to
// the next sixteen rows, WALK times. A row's loss is put together at the end, from what each thread has of it: there is no
// barrier before.
//
// Dispatch: a workgroup for each piece of each 16 WALK rows.

// Groups of rows of a workgroup.
const ROW_GROUPS: u32 = 4u * WALK;

struct Sixteen {
  a: Row,
  b: Row,
  c: Row,
  d: Row,
}

// What a thread has of them.
struct Own {
  loss: Quad,
  a: Scan,
  b: Scan,
  c: Scan,
  d: Scan,
}

// By thread and group.
var<workgroup> own_loss: array<F, WG * ROW_GROUPS>;
var<workgroup> own_best: array<F, WG_INDEX * ROW_GROUPS>;
var<workgroup> own_index: array<U, WG_INDEX * ROW_GROUPS>;
// By thread, a bit for each group.
var<workgroup> own_bad: array<U, WG>;

// The groups of a workgroup, all with rows that start on the same half of a word.
fn group_of(walker: u32, number: u32) -> u32 {
  let step = window.row_step;
  return (walker / step) * ROW_GROUPS * step + walker % step + number * step;
}

// Rows past the end add nothing.
fn open_live(group: u32) -> Row {
  var row = open_row(group);
  row.weight = select(F(0.0), row.weight, row.live);
  return row;
}

fn scanned(scan: Scan, z: F, j: u32) -> Scan {
  var more = scan;
  scan_logit(&more, z, j);
  return more;
}

// A column of sixteen rows: their gradients in it.
fn visit(rows: Sixteen, walker: u32, j: u32, z: Quad, factor: F, first: bool, own: ptr<function, Own>) -> Quad {
  let column = load_column(j);
  let a = element(rows.a, column, j, z.a);
  let b = element(rows.b, column, j, z.b);
  let c = element(rows.c, column, j, z.c);
  let d = element(rows.d, column, j, z.d);
  let loss = (*own).loss;
  (*own).loss = Quad(loss.a + a.loss, loss.b + b.loss, loss.c + c.loss, loss.d + d.loss);
  (*own).a = scanned((*own).a, z.a, j);
  (*own).b = scanned((*own).b, z.b, j);
  (*own).c = scanned((*own).c, z.c, j);
  (*own).d = scanned((*own).d, z.d, j);
  if (ACCUMULATES) {
    let upper = both_shares(share_of(a), share_of(b));
    leave(walker, j, both_shares(upper, both_shares(share_of(c), share_of(d))), first);
  }
  return Quad(
    gradient_of(a, z.a, factor),
    gradient_of(b, z.b, factor),
    gradient_of(c, z.c, factor),
    gradient_of(d, z.d, factor),
  );
}

fn keep_own(thread: u32, number: u32, loss: F, scan: Scan) {
  own_loss[thread * ROW_GROUPS + number] = loss;
  if (WANT_ARGMAX) {
    own_best[thread * ROW_GROUPS + number] = scan.best;
    own_index[thread * ROW_GROUPS + number] = scan.index;
  }
}

fn bad_bit(number: u32, scan: Scan) -> U {
  return select(U(0u), U(1u << number), has_bad_logit(scan));
}

fn scan_of(best: F, index: U) -> Scan {
  var scan = new_scan();
  scan.best = best;
  scan.index = index;
  return scan;
}

// What all threads have of each group, put together in a fixed tree: thread 0's places have it.
fn merge_threads(thread: u32) {
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    workgroupBarrier();
    for (var at = thread; at < half * ROW_GROUPS; at += WG) {
      let other = at + half * ROW_GROUPS;
      own_loss[at] += own_loss[other];
      if (WANT_ARGMAX) {
        let scan = merged_scan(scan_of(own_best[at], own_index[at]), scan_of(own_best[other], own_index[other]));
        own_best[at] = scan.best;
        own_index[at] = scan.index;
      }
    }
    if (thread < half) {
      own_bad[thread] |= own_bad[thread + half];
    }
  }
  workgroupBarrier();
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let thread = local.x;
  let index = linear_workgroup(id, count);
  let walker = index / window.pieces;
  let piece = index % window.pieces;
  var factor = F(0.0);
  if (WRITE_GRADIENT) {
    factor = F(bitcast<f32>(scalars[SCALAR_INVERSE]));
  }
  // In columns, or in pairs of them that are whole words, of which a thread has one of each of the piece's steps.
  let shift = open_row(group_of(walker, 0u)).shift;
  let start = piece * window.piece_blocks * WG;
  let begin = max(start, shift);
  let end = min(start + window.piece_blocks * WG, (window.classes + shift) / WIDTH);
  if (WIDTH == 2u && piece == 0u) {
    visit_edges(walker, shift, thread, factor);
  }
  var bad = U(0u);
  for (var walk = 0u; walk < WALK; walk++) {
    let number = 4u * walk;
    if (walk > 0u && !is_group(group_of(walker, number))) {
      break;
    }
    let rows = Sixteen(
      open_live(group_of(walker, number)),
      open_live(group_of(walker, number + 1u)),
      open_live(group_of(walker, number + 2u)),
      open_live(group_of(walker, number + 3u)),
    );
    var own = Own(Quad(F(0.0), F(0.0), F(0.0), F(0.0)), new_scan(), new_scan(), new_scan(), new_scan());
    for (var unit = begin + thread; unit < end; unit += WG) {
      let j = WIDTH * unit - shift;
      if (WIDTH == 2u) {
        let a = load_logit_pairs(rows.a.logits, j);
        let b = load_logit_pairs(rows.b.logits, j);
        let c = load_logit_pairs(rows.c.logits, j);
        let d = load_logit_pairs(rows.d.logits, j);
        let x = visit(rows, walker, j, Quad(a.x, b.x, c.x, d.x), factor, walk == 0u, &own);
        let y = visit(rows, walker, j + 1u, Quad(a.y, b.y, c.y, d.y), factor, walk == 0u, &own);
        if (WRITE_GRADIENT) {
          store_gradient_pairs(rows.a.gradient, j, x.a, y.a, rows.a.live);
          store_gradient_pairs(rows.b.gradient, j, x.b, y.b, rows.b.live);
          store_gradient_pairs(rows.c.gradient, j, x.c, y.c, rows.c.live);
          store_gradient_pairs(rows.d.gradient, j, x.d, y.d, rows.d.live);
        }
      } else {
        let z = Quad(
          load_logits(rows.a.logits, j),
          load_logits(rows.b.logits, j),
          load_logits(rows.c.logits, j),
          load_logits(rows.d.logits, j),
        );
        let g = visit(rows, walker, j, z, factor, walk == 0u, &own);
        if (WRITE_GRADIENT) {
          store_gradients(rows.a.gradient, j, g.a, rows.a.live);
          store_gradients(rows.b.gradient, j, g.b, rows.b.live);
          store_gradients(rows.c.gradient, j, g.c, rows.c.live);
          store_gradients(rows.d.gradient, j, g.d, rows.d.live);
        }
      }
    }
    keep_own(thread, number, own.loss.a, own.a);
    keep_own(thread, number + 1u, own.loss.b, own.b);
    keep_own(thread, number + 2u, own.loss.c, own.c);
    keep_own(thread, number + 3u, own.loss.d, own.d);
    bad |= bad_bit(number, own.a) | bad_bit(number + 1u, own.b) | bad_bit(number + 2u, own.c) | bad_bit(number + 3u, own.d);
  }
  own_bad[thread] = bad;
  merge_threads(thread);
  if (WIDTH == 2u && ACCUMULATES && piece == 0u) {
    leave_edges(walker, shift, thread);
  }
  for (var number = thread; number < ROW_GROUPS; number += WG) {
    let group = group_of(walker, number);
    var row: Row;
    row.rows = lane_rows(group);
    row.live = live_lanes(group);
    var scan = new_scan();
    if (WANT_ARGMAX) {
      scan = scan_of(own_best[number], own_index[number]);
    }
    var loss = own_loss[number];
    var marks = own_bad[0] & U(1u << number);
    if (WIDTH == 2u && piece == 0u) {
      loss += edge_loss[number];
      marks |= edge_bad[number];
      scan = merged_scan(scan_of(edge_best[number], edge_index[number]), scan);
    }
    // Of a row in which masks leave nothing, the first.
    let best = select(scan.index, U(0u), scan.index == U(0xffffffffu));
    store_result(row, piece, Result(loss, marks != U(0u), scan.best, best));
  }
}
