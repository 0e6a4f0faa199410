// What going down the columns by pairs leaves over: a row's first and its last column, where they share their word with
// something else.

const EDGE_GROUPS: u32 = (WIDTH - 1u) * ROW_GROUPS + (2u - WIDTH);

var<workgroup> edge_loss: array<F, EDGE_GROUPS>;
var<workgroup> edge_bad: array<U, EDGE_GROUPS>;
var<workgroup> edge_best: array<F, EDGE_GROUPS>;
var<workgroup> edge_index: array<U, EDGE_GROUPS>;
var<workgroup> edge_share: array<Share, 2u * EDGE_GROUPS>;

fn is_edge(side: u32, shift: u32) -> bool {
  return (shift + side * window.classes) % 2u == 1u;
}

fn edge_column_of(side: u32) -> u32 {
  return side * (window.classes - 1u);
}

fn visit_edges(walker: u32, shift: u32, thread: u32, factor: F) {
  for (var number = thread; number < ROW_GROUPS; number += WG) {
    let row = open_live(group_of(walker, number));
    var loss = F(0.0);
    var scan = new_scan();
    for (var side = 0u; side < 2u; side++) {
      if (is_edge(side, shift)) {
        let j = edge_column_of(side);
        let z = load_logits(row.logits, j);
        let one = element(row, load_column(j), j, z);
        loss += one.loss;
        scan_logit(&scan, z, j);
        if (ACCUMULATES) {
          edge_share[side * EDGE_GROUPS + number] = share_of(one);
        }
        if (WRITE_GRADIENT) {
          let g = gradient_of(one, z, factor);
          store_saved(SAVED_EDGES + side, row.rows, gradient_bits_of(g), row.live & B(GRADIENT_PACKED));
          store_gradients(row.gradient, j, g, row.live & B(!GRADIENT_PACKED));
        }
      }
    }
    edge_loss[number] = loss;
    edge_bad[number] = select(U(0u), U(1u), has_bad_logit(scan));
    edge_best[number] = scan.best;
    edge_index[number] = scan.index;
  }
}

fn leave_edges(walker: u32, shift: u32, thread: u32) {
  for (var side = thread; side < 2u; side += WG) {
    if (is_edge(side, shift)) {
      var share = edge_share[side * EDGE_GROUPS];
      for (var number = 1u; number < ROW_GROUPS; number++) {
        share = both_shares(share, edge_share[side * EDGE_GROUPS + number]);
      }
      leave(walker, edge_column_of(side), share, true);
    }
  }
}
