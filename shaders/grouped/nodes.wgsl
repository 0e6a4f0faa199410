// A row's tree under its gates, level by level. Nodes are numbered in that order, those below one after another, whatever
// the caller's numbers.
//
// Nodes with few columns are put together to chunks of neighbouring columns, each of which a thread walks; those with many
// belong to the workgroup, each thread taking every WG-th pair of columns.
//
// The scores: on the way down, of each node the sum of logits along the path to it, or CLOSED where a gate on it is closed;
// on the way up of those that are open the derivative of the tree's loss by that sum.

const CLOSED: u32 = 0xffffffffu;
// Words in `tables` of a level: its first node; its first chunk, and the first one with a node below; its first node with many
// columns, and the first of those with a node below.
const LEVEL_WORDS: u32 = 5u;
// Of a chunk: its first column, its first node, the first node below, a bit for each column that a node begins with, one
// for each that a node is below, how many columns.
const CHUNK_WORDS: u32 = 6u;
// Of a node with many columns: the node, its first column, the end.
const WIDE_WORDS: u32 = 3u;

struct Level {
  begin: u32,
  end: u32,
  chunks: vec3<u32>,  // the first; the first with a node below; the end
  wide: vec3<u32>,
}

fn level_at(number: u32) -> Level {
  let at = spec.levels + LEVEL_WORDS * number;
  let next = at + LEVEL_WORDS;
  return Level(
    tables[at],
    tables[next],
    vec3<u32>(tables[at + 1u], tables[at + 2u], tables[next + 1u]),
    vec3<u32>(tables[at + 3u], tables[at + 4u], tables[next + 3u]),
  );
}

struct Chunk {
  first: u32,
  // The node of the column before; the node below of the next column that has one.
  node: u32,
  below: u32,
  begins: u32,
  inner: u32,
  columns: u32,
}

fn chunk_at(number: u32) -> Chunk {
  let at = spec.chunks + CHUNK_WORDS * number;
  return Chunk(
    tables[at],
    tables[at + 1u] - 1u,
    tables[at + 2u],
    tables[at + 3u],
    tables[at + 4u],
    tables[at + 5u],
  );
}

struct Wide {
  node: u32,
  begin: u32,
  end: u32,
  // The thread's first pair; a pair is a word of a packed gradient, and the first one may begin before the node.
  first: u32,
}

fn wide_at(row: Row, number: u32, thread: u32) -> Wide {
  let at = spec.wide + WIDE_WORDS * number;
  let begin = tables[at + 1u];
  let odd = select(0u, (row.gradient + begin) & 1u, GRADIENT_PACKED);
  return Wide(tables[at], begin, tables[at + 2u], begin - odd + 2u * thread);
}

// Pairs of the workgroup's, the same number for each thread.
fn wide_turns(wide: Wide) -> u32 {
  return (wide.end - wide.begin + 1u + 2u * WG - 1u) / (2u * WG);
}

// The column of one of the thread's steps, two to a pair.
fn wide_column(wide: Wide, step: u32) -> u32 {
  return wide.first + WG * (step & 0xfffffffeu) + (step & 1u);
}

fn is_inside_of(wide: Wide, j: u32) -> bool {
  return j >= wide.begin && j < wide.end;
}

fn bit_of(word: u32, place: u32) -> bool {
  return ((word >> place) & 1u) == 1u;
}

// f before the ceiling, of a column below a score: NEG_MAX where a mask is on the path.
fn score_below(score: f32, z: f32) -> f32 {
  return select(score + z, NEG_MAX, z < NEG_MAX || score <= NEG_MAX);
}

fn held_score(score: f32) -> f32 {
  return clamp(score, NEG_MAX, POS_MAX);
}

// The label's path: its column in a level's node, NONE beyond its leaf; and that node.
fn path_column(label: i32, level: u32) -> u32 {
  if (label < 0) {
    return NONE;
  }
  let at = tables[spec.label_starts + u32(label)] + level;
  if (at >= tables[spec.label_starts + u32(label) + 1u]) {
    return NONE;
  }
  return tables[spec.label_columns + at];
}

fn path_node(label: i32, level: u32) -> u32 {
  if (label < 0) {
    return NONE;
  }
  if (level == 0u) {
    return 0u;
  }
  let column = path_column(label, level - 1u);
  if (column == NONE) {
    return NONE;
  }
  return tables[spec.column_nodes + column];
}

// Whether a node is one with many columns.
fn is_wide(level: Level, node: u32) -> bool {
  for (var number = level.wide.x; number < level.wide.z; number++) {
    if (tables[spec.wide + WIDE_WORDS * number] == node) {
      return true;
    }
  }
  return false;
}

// A logit of a walk along neighbouring columns: two that share a word are loaded once.
fn next_logit(row: Row, j: u32, fresh: bool, pair: ptr<function, vec2<f32>>) -> f32 {
  if (!LOGITS_PACKED) {
    return load_logit(row.logits + j);
  }
  let at = row.logits + j;
  if (fresh || (at & 1u) == 0u) {
    *pair = load_logit_pair(at & 0xfffffffeu);
  }
  return select((*pair).x, (*pair).y, (at & 1u) == 1u);
}
