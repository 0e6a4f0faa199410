// Multi-hot targets under the softmax link: the first walk collects the mass alone, and every thread walks its classes
// again for loss and sum_k d_k p_k. A positive's terms are no polynomials in p, and a row may have many.

struct Collected {
  mass: Mass,
}

fn new_collected() -> Collected {
  return Collected(no_mass());
}

fn collect_block(mine: ptr<function, Collected>, row: Row, block: u32, thread: u32, u: Quad) {
  (*mine).mass = with_class(with_class(with_class(with_class((*mine).mass, u.a), u.b), u.c), u.d);
}

// Classes outside of the row are masked already.
fn collect_edge(mine: ptr<function, Collected>, row: Row, j: vec4<u32>, u: Quad) {
  collect_block(mine, row, 0u, 0u, u);
}

fn end_stretch(mine: ptr<function, Collected>) {}

fn collected_mass(mine: Collected) -> Mass {
  return mine.mass;
}

fn collected_part(mine: Collected, row: Row, thread: u32, share: Share) -> Part {
  return Part(F(0.0), F(0.0), B(true));
}
