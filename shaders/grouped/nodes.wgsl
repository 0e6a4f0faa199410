// A row's tree under its gates, level by level. Nodes are numbered in that order, those below one after another, whatever
// the caller's numbers.
//
// A node with few columns belongs to one thread, which walks them; one with many to the workgroup, each thread taking
// every WG-th pair. A turn is WG nodes with few columns, or one with many.
//
// The scores: on the way down, of each node the sum of logits along the path to it, or CLOSED below a closed gate; on the
// way up the derivative of the tree's loss by that sum.

const CLOSED: u32 = 0xffffffffu;
const FEW: u32 = 32u;
// Kinds of nodes: only leaves below, only nodes, both.
const ONLY_LEAVES: u32 = 0u;
const ONLY_NODES: u32 = 1u;
// Words of a node in `tables`: its first column, their number and its kind, its first node below, its segment.
const NODE_WORDS: u32 = 4u;

struct Level {
  begin: u32,
  end: u32,
  wide_begin: u32,
  wide: u32,
  turns: u32,
}

fn level_at(number: u32) -> Level {
  let at = spec.levels + 2u * number;
  var level = Level(tables[at], tables[at + 2u], tables[at + 1u], 0u, 0u);
  level.wide = tables[at + 3u] - level.wide_begin;
  level.turns = level.wide + (level.end - level.begin + WG - 1u) / WG;
  return level;
}

struct Node {
  number: u32,  // NONE for a thread without one
  begin: u32,
  end: u32,
  kind: u32,
  below: u32,
  // The first column of this thread's and how far it is from one pair to the next; a pair is a word of a packed gradient.
  first: u32,
  stride: u32,
  steps: u32,
  // The sum along the path to the node; whether that and its own gate are open; whether only its own is closed.
  score: f32,
  open: bool,
  entry: bool,
}

fn is_wide_turn(level: Level, turn: u32) -> bool {
  return turn < level.wide;
}

// One thread answers for a node.
fn is_owner(wide: bool, thread: u32) -> bool {
  return !wide || thread == 0u;
}

fn node_at(row: Row, level: Level, turn: u32, thread: u32) -> Node {
  var node = Node(NONE, 0u, 0u, ONLY_LEAVES, 0u, 0u, 2u, 0u, 0.0, false, false);
  let wide = is_wide_turn(level, turn);
  var number = level.begin + (turn - level.wide) * WG + thread;
  if (wide) {
    number = tables[spec.wide + level.wide_begin + turn];
  }
  if (number >= level.end) {
    return node;
  }
  let at = spec.nodes + NODE_WORDS * number;
  let size = tables[at + 1u] >> 2u;
  if (!wide && size > FEW) {
    return node;
  }
  node.number = number;
  node.begin = tables[at];
  node.end = node.begin + size;
  node.kind = tables[at + 1u] & 3u;
  let odd = select(0u, (row.gradient + node.begin) & 1u, GRADIENT_PACKED);
  node.first = node.begin - odd;
  node.steps = 2u * ((size + odd + 1u) / 2u);
  if (wide) {
    node.first += 2u * thread;
    node.stride = 2u * WG;
    node.steps = 2u * ((size + odd + 2u * WG - 1u) / (2u * WG));
  }
  if (node.kind == ONLY_NODES) {
    node.below = tables[at + 2u];
  }
  let score = score_at(number);
  var segment = number;
  if ((spec.flags & FLAG_IN_ORDER) == 0u) {
    segment = tables[at + 3u];
  }
  let gate = number == 0u || own_gate(row, segment);
  node.score = bitcast<f32>(score);
  node.open = score != CLOSED && gate;
  node.entry = score != CLOSED && !gate;
  return node;
}

// The column of a step; outside of the node's for none.
fn node_column(node: Node, step: u32) -> u32 {
  return node.first + (step >> 1u) * node.stride + (step & 1u);
}

// The node below a column; NONE below a leaf.
fn node_below(node: Node, j: u32) -> u32 {
  if (node.kind == ONLY_NODES) {
    return node.below + (j - node.begin);
  }
  if (node.kind == ONLY_LEAVES) {
    return NONE;
  }
  return tables[spec.column_nodes + j];
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

// A logit of a node's column. Two that share a word are loaded once, where a step goes on in the word of the last one.
fn step_logit(row: Row, j: u32, fresh: bool, pair: ptr<function, vec2<f32>>) -> f32 {
  if (!LOGITS_PACKED) {
    return load_logit(row.logits + j);
  }
  let at = row.logits + j;
  if (fresh || (at & 1u) == 0u) {
    *pair = load_logit_pair(at & 0xfffffffeu);
  }
  return select((*pair).x, (*pair).y, (at & 1u) == 1u);
}
