// A gradient apart from the logits.
@group(0) @binding(6) var<storage, read_write> gradient: array<GradientWord>;

fn read_gradient_word(i: u32) -> GradientWord {
  return gradient[i];
}

fn write_gradient_word(i: u32, word: GradientWord) {
  gradient[i] = word;
}
