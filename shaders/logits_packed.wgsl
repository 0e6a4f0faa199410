// Logits of 16 bits, two in a word. Needs logits_f16.wgsl or logits_bf16.wgsl.

fn load_logit(i: u32) -> f32 {
  let pair = unpack_logits(logits[i >> 1u]);
  return select(pair.x, pair.y, (i & 1u) == 1u);
}

// The elements of a word.
fn load_logit_word(i: u32) -> vec2<f32> {
  return unpack_logits(logits[i]);
}

// Elements i and i + 1. Where pairs follow the words of another matrix, they may lie across two words of this one.
fn load_logit_pair(i: u32) -> vec2<f32> {
  if (LOGITS_STRADDLE) {
    return vec2<f32>(load_logit(i), load_logit(i + 1u));
  }
  return unpack_logits(logits[i >> 1u]);
}
