// The rows of a softmax loss and the columns of the regulariser beside it in one pass over the logits: a workgroup has
// sixteen rows at once, as four groups of LANES. A thread takes one column after the other; what a column's sixteen rows add
// to it is there at once, what a row's columns add up to when the walk is done. A workgroup goes on to further sixteen
// rows, and adds their columns to what it has left of the former.
//
// column_parts[2, K] of each workgroup: the largest z + ratio, and the sum of exponentials under it.
// Dispatch: at most a workgroup for each sixteen rows.

@group(0) @binding(9) var<storage, read_write> column_parts: array<f32>;

// Columns that a thread adds up by themselves, so that long rows lose fewer digits.
const STRETCH: u32 = 256u;

struct Sixteen {
  a: Row,
  b: Row,
  c: Row,
  d: Row,
}

// What a thread has of a group's rows.
struct Own {
  mass: Mass,
  scan: Scan,
}

struct OwnSixteen {
  a: Own,
  b: Own,
  c: Own,
  d: Own,
}

fn open_sixteen(sixteen: u32) -> Sixteen {
  let group = 4u * sixteen;
  return Sixteen(open_row(group), open_row(group + 1u), open_row(group + 2u), open_row(group + 3u));
}

fn nothing() -> OwnSixteen {
  let own = Own(no_mass(), new_scan());
  return OwnSixteen(own, own, own, own);
}

// Where compensation begins.
fn threshold_of(row: Row) -> F {
  if (HAS_COMPENSATION) {
    return own_threshold(label_logits(row).first);
  }
  return F(POS_MAX);
}

// A row's largest class changes seldom: no rescaling for each.
fn with_class(own: Own, row: Row, j: u32, z: F, threshold: F) -> Own {
  var scan = own.scan;
  scan_logit(&scan, z, j);
  var mass = own.mass;
  let entry = visit(row, j, z, at_label(row, j), threshold).entry;
  let top = max(mass.max, entry.u);
  if (any_lane(top > mass.max)) {
    raise(&mass, top);
  }
  let added = include(&mass, entry, top);
  return Own(mass, scan);
}

fn both(own: Own, more: Own) -> Own {
  return Own(merge(own.mass, more.mass), merged_scan(own.scan, more.scan));
}

// The row as its column sees it, NEG_MAX where it does not count.
fn in_column(row: Row, z: F, ratio: f32) -> F {
  let x = clamp(z + ratio, F(NEG_MAX), F(POS_MAX));
  return select(F(NEG_MAX), x, row.live & (row.first_label >= I(0)));
}

fn largest_lane(x: F) -> f32 {
  return max(max(x.x, x.y), max(x.z, x.w));
}

// As long as no row counts this is a sum of ones under NEG_MAX, which the first that does makes nothing of.
fn leave_column(part: u32, j: u32, x: Quad, first: bool) {
  let at = 2u * part * window.classes + j;
  let above = at + window.classes;
  var top = largest_lane(max(max(x.a, x.b), max(x.c, x.d)));
  var before = 0.0;
  if (!first) {
    let old = column_parts[at];
    top = max(top, old);
    before = column_parts[above] * exp(old - top);
  }
  let under = F(top);
  let sum = (exp(x.a - under) + exp(x.b - under)) + (exp(x.c - under) + exp(x.d - under));
  column_parts[at] = top;
  column_parts[above] = before + sum_of_lanes(sum);
}

fn gather(thread: u32, sixteen: u32, part: u32, first: bool) -> OwnSixteen {
  let rows = open_sixteen(sixteen);
  let thresholds = Quad(threshold_of(rows.a), threshold_of(rows.b), threshold_of(rows.c), threshold_of(rows.d));
  var all = nothing();
  for (var begin = thread; begin < window.classes; begin += STRETCH * WG) {
    var own = nothing();
    let end = min(begin + STRETCH * WG, window.classes);
    for (var j = begin; j < end; j += WG) {
      let z = Quad(
        load_logits(rows.a.logits, j),
        load_logits(rows.b.logits, j),
        load_logits(rows.c.logits, j),
        load_logits(rows.d.logits, j),
      );
      own.a = with_class(own.a, rows.a, j, z.a, thresholds.a);
      own.b = with_class(own.b, rows.b, j, z.b, thresholds.b);
      own.c = with_class(own.c, rows.c, j, z.c, thresholds.c);
      own.d = with_class(own.d, rows.d, j, z.d, thresholds.d);
      let ratio = table(TABLE_RATIO, j);
      let x = Quad(
        in_column(rows.a, z.a, ratio),
        in_column(rows.b, z.b, ratio),
        in_column(rows.c, z.c, ratio),
        in_column(rows.d, z.d, ratio),
      );
      leave_column(part, j, x, first);
    }
    all = OwnSixteen(both(all.a, own.a), both(all.b, own.b), both(all.c, own.c), both(all.d, own.d));
  }
  return all;
}

// The rows' results. A logit of -inf, which masks a class for the loss, is none that a column can count.
fn close_group(thread: u32, group: u32, own: Own) {
  let row = open_row(group);
  var scan = own.scan;
  scan.largest_bits = select(scan.largest_bits, U(0xffffffffu), scan.largest_bits >= U(0xff800000u));
  let total = merge_over_workgroup(thread, own.mass);
  let out = close_row(thread, row, total, label_logits(row), threshold_of(row), scan);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let thread = local.x;
  let part = linear_workgroup(id, count);
  let parts = count.x * count.y;
  for (var sixteen = part; is_group(4u * sixteen); sixteen += parts) {
    let own = gather(thread, sixteen, part, sixteen == part);
    close_group(thread, 4u * sixteen, own.a);
    close_group(thread, 4u * sixteen + 1u, own.b);
    close_group(thread, 4u * sixteen + 2u, own.c);
    close_group(thread, 4u * sixteen + 3u, own.d);
  }
}
