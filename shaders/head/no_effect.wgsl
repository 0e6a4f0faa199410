// No direction's effect is taken out, and the rows are normalised later.

struct Effect {
  factor: f32,
  along: f32,
}

fn direction_of(column: u32) -> f32 {
  return 0.0;
}

fn effect_of(part: Part, thread: u32) -> Effect {
  return Effect(1.0, 0.0);
}
