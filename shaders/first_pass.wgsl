// One pass over a range of a row's columns for their mass.
//
// Seesaw's compensation with eps > 0 needs the raw log-sum-exp before it can weigh a class, but only classes of
// probability above eps change, at most 1/eps of them. So with TWO_STEP the pass sums the mass without compensation
// and keeps the largest u of each of at most TILES stretches of a thread's columns: what follows reads only those
// stretches again in which some class lies above the threshold.

struct FirstPass {
  mass: Mass,
  scan: Scan,
  // The largest u of the last stretch.
  top: F,
}

// Blocks of a stretch; the stretches' largest u go to tile_top, the last of them to `top` as well.
fn first_pass(
  row: Row,
  thread: u32,
  blocks: Blocks,
  tile_blocks: u32,
  threshold: F,
  tile_top: ptr<function, array<F, TILES>>,
) -> FirstPass {
  var mass = no_mass();
  var top = F(NEG_MAX);
  var tail_top = F(NEG_MAX);
  // The edges first, column by column: the whole blocks need no checks.
  var edges = new_scan();
  if (has_edges(blocks)) {
    for (var step = 0u; step < EDGE_STEPS * WIDTH; step++) {
      let j = edge_column(row, blocks, thread, step / WIDTH) + step % WIDTH;
      if (is_inside(j)) {
        let z = load_logits(row.logits, j);
        scan_logit(&edges, z, j);
        let a = visit(row, j, z, at_label(row, j), threshold);
        add_class(&mass, a.entry);
        if (TWO_STEP) {
          if (blocks.begin < blocks.whole_begin && step < 4u) {
            top = max(top, a.rest);
          } else {
            tail_top = max(tail_top, a.rest);
          }
        }
      }
    }
  }
  var scan = new_scan();
  // Sums of sums: a stretch of blocks is added up by itself, so that long rows lose fewer digits.
  var stretch = no_mass();
  var tile = 0u;
  var left = tile_blocks;
  if (blocks.begin < blocks.whole_begin) {
    left -= 1u;
  }
  for (var block = blocks.whole_begin; block < blocks.whole_end; block++) {
    if (TWO_STEP && left == 0u) {
      (*tile_top)[tile] = top;
      tile += 1u;
      left = tile_blocks;
      top = F(NEG_MAX);
    }
    // Four columns at a time: their loads are in flight together.
    let z = load_block(row, block, thread);
    let ja = column(row, block, thread, 0u);
    let jb = column(row, block, thread, 1u);
    let jc = column(row, block, thread, 2u);
    let jd = column(row, block, thread, 3u);
    scan_logit(&scan, z.a, ja);
    scan_logit(&scan, z.b, jb);
    scan_logit(&scan, z.c, jc);
    scan_logit(&scan, z.d, jd);
    let ahead = labels_from(row, ja);
    var a: Visit;
    var b: Visit;
    var c: Visit;
    var d: Visit;
    if (has_label_near(ahead)) {
      a = visit(row, ja, z.a, at_label_of(ahead, 0u), threshold);
      b = visit(row, jb, z.b, at_label_of(ahead, column_offset(1u)), threshold);
      c = visit(row, jc, z.c, at_label_of(ahead, column_offset(2u)), threshold);
      d = visit(row, jd, z.d, at_label_of(ahead, column_offset(3u)), threshold);
    } else {
      a = visit(row, ja, z.a, no_label(), threshold);
      b = visit(row, jb, z.b, no_label(), threshold);
      c = visit(row, jc, z.c, no_label(), threshold);
      d = visit(row, jd, z.d, no_label(), threshold);
    }
    add_classes(&stretch, a.entry, b.entry, c.entry, d.entry);
    if ((block & 63u) == 63u) {
      mass = merge(mass, stretch);
      stretch = no_mass();
    }
    if (TWO_STEP) {
      top = max(top, max(max(a.rest, b.rest), max(c.rest, d.rest)));
      left -= 1u;
    }
  }
  mass = merge(mass, stretch);
  if (TWO_STEP) {
    if (left == 0u) {
      (*tile_top)[tile] = top;
      tile += 1u;
      top = F(NEG_MAX);
    }
    top = max(top, tail_top);
    if (tile < TILES) {
      (*tile_top)[tile] = top;
    }
  }
  return FirstPass(mass, merged_scan(edges, scan), top);
}
