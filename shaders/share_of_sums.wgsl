// The sums that `share_sums` left, as the items of the denominator.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(9) var<storage, read> sums: array<u32>;

fn item_count() -> u32 {
  return window.sums;
}

fn item(record: u32) -> f32 {
  return bitcast<f32>(sums[record * SUM_WORDS]);
}
