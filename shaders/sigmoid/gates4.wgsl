fn load_gates_lanes(base: U, j: u32) -> F {
  return F(load_gate(base.x + j), load_gate(base.y + j), load_gate(base.z + j), load_gate(base.w + j));
}
