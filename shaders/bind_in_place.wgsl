// The gradient takes the logits' place.
@group(0) @binding(5) var<storage, read_write> logits: array<LogitWord>;

fn read_gradient_word(i: u32) -> GradientWord {
  return logits[i];
}

fn write_gradient_word(i: u32, word: GradientWord) {
  logits[i] = word;
}
