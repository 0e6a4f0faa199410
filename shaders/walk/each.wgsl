// A block's gradients one by one.
fn block_gradient(row: Row, block: u32, thread: u32, z: Quad) -> Quad {
  return Quad(
    element_gradient(row, column(row, block, thread, 0u), z.a),
    element_gradient(row, column(row, block, thread, 1u), z.b),
    element_gradient(row, column(row, block, thread, 2u), z.c),
    element_gradient(row, column(row, block, thread, 3u), z.d),
  );
}
