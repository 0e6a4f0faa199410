// How a row's columns are laid over the threads of a workgroup: in blocks of 4 * WG columns, of which each thread has
// four. Needs columns1.wgsl or columns2.wgsl.
//
// Blocks are counted from `shift` columns before the row, so that a thread's pairs of columns are whole words. A block
// that sticks out of the row at either end is an edge: its columns are checked one by one.

struct Pair {
  x: F,
  y: F,
}

struct Quad {
  a: F,
  b: F,
  c: F,
  d: F,
}

const BLOCK: u32 = 4u * WG;

// A range of blocks, and those of them that lie within the row as a whole.
struct Blocks {
  begin: u32,
  end: u32,
  whole_begin: u32,
  whole_end: u32,
}

// The blocks of one piece of the row; piece_blocks of them each.
fn blocks_of_piece(row: Row, piece: u32) -> Blocks {
  let all = (window.classes + row.shift + BLOCK - 1u) / BLOCK;
  let begin = min(piece * window.piece_blocks, all);
  return blocks_between(row, begin, min(begin + window.piece_blocks, all));
}

fn blocks_of_row(row: Row) -> Blocks {
  return blocks_between(row, 0u, (window.classes + row.shift + BLOCK - 1u) / BLOCK);
}

fn blocks_between(row: Row, begin: u32, end: u32) -> Blocks {
  let first = select(begin, 1u, begin == 0u && row.shift > 0u);
  return Blocks(begin, end, min(first, end), max(min(first, end), min(end, (window.classes + row.shift) / BLOCK)));
}

// The two blocks of a range that may be edges: the last and, with WIDTH 2, the first. NO_BLOCK without one.
const NO_BLOCK: u32 = 0xffffffffu;

fn edge_block(blocks: Blocks, which: u32) -> u32 {
  let tail = select(NO_BLOCK, blocks.whole_end, blocks.whole_end < blocks.end);
  let head = select(NO_BLOCK, blocks.begin, blocks.begin < blocks.whole_begin);
  return select(head, tail, which + 1u == WIDTH);
}

// Edges are walked WIDTH columns at a time, in EDGE_STEPS steps: there are few of them, and one step is all the code.
const EDGE_STEPS: u32 = 4u;

fn has_edges(blocks: Blocks) -> bool {
  return blocks.begin < blocks.whole_begin || blocks.whole_end < blocks.end;
}

// The first column of a step, OUTSIDE where the range has none.
const OUTSIDE: u32 = 0xfffffffeu;

fn edge_column(row: Row, blocks: Blocks, thread: u32, step: u32) -> u32 {
  let steps = 4u / WIDTH;
  let block = edge_block(blocks, step / steps);
  return select(column(row, block, thread, WIDTH * (step % steps)), OUTSIDE, block == NO_BLOCK);
}

fn is_inside(j: u32) -> bool {
  return j < window.classes;
}

fn clamped(j: u32) -> u32 {
  return min(j, window.classes - 1u);
}
