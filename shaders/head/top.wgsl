// The largest logits of each row and their classes: what a tile of classes has, merged with what the tiles before had.
// Larger logits first, the lower class first on ties; NaN is never among them. `NONE` stands where there is no class.
//
// Each turn finds the first one after the last one found, so that nothing has to be marked or sorted.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions, one for each row of the chunk.

const MOST: u32 = 64u;
const NONE: u32 = 0xffffffffu;

struct Found {
  logit: f32,
  kind: u32,
}

var<workgroup> found_before: array<Found, MOST>;
var<workgroup> found_by: array<Found, WG>;

fn is_number(value: f32) -> bool {
  return (bitcast<u32>(value) & 0x7fffffffu) <= 0x7f800000u;
}

// Whether `a` comes before `b`; NONE comes last.
fn before(a: Found, b: Found) -> bool {
  if (a.kind == NONE) {
    return false;
  }
  return b.kind == NONE || a.logit > b.logit || (a.logit == b.logit && a.kind < b.kind);
}

// The better of `best` and a candidate, if that comes after `last`.
fn better(best: Found, candidate: Found, last: Found, turn: u32) -> Found {
  if ((turn == 0u || before(last, candidate)) && before(candidate, best)) {
    return candidate;
  }
  return best;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let thread = local.x;
  let row = group.x + group.y * groups.x;
  if (row >= params.tiles) {
    return;
  }
  let line = row * params.n;
  for (var column = thread; column < params.n; column += WG) {
    let kind = params.first_class + column;
    let similarity = similarity_of(row, kind, logits[line + column]);
    logits[line + column] = logit_of(kind, similarity) - adjustment_of(kind);
  }
  let place = (params.first_row + row) * params.top;
  for (var i = thread; i < params.top; i += WG) {
    if (params.accumulate != 0u) {
      found_before[i] = Found(top_logits[place + i], top_classes[place + i]);
    } else {
      found_before[i] = Found(0.0, NONE);
    }
  }
  workgroupBarrier();
  var last = Found(0.0, NONE);
  for (var turn = 0u; turn < params.top; turn += 1u) {
    var best = Found(0.0, NONE);
    for (var column = thread; column < params.n; column += WG) {
      let logit = logits[line + column];
      if (is_number(logit)) {
        best = better(best, Found(logit, params.first_class + column), last, turn);
      }
    }
    for (var i = thread; i < params.top; i += WG) {
      best = better(best, found_before[i], last, turn);
    }
    found_by[thread] = best;
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
      if (thread < half && before(found_by[thread + half], found_by[thread])) {
        found_by[thread] = found_by[thread + half];
      }
      workgroupBarrier();
    }
    last = found_by[0];
    workgroupBarrier();
    if (thread == 0u) {
      top_logits[place + turn] = last.logit;
      top_classes[place + turn] = last.kind;
    }
  }
}
