fn load_gates_lanes(base: U, j: u32) -> F {
  return load_gate(base + j);
}
