// The sums that `loss_sums` left, as the items of the reduced loss.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(9) var<storage, read> sums: array<u32>;

fn item_count() -> u32 {
  return window.sums;
}

fn item(record: u32) -> Sum {
  let at = record * SUM_WORDS;
  return Sum(
    bitcast<f32>(sums[at]),
    Noted(sums[at + 1u], sums[at + 2u]),
    Noted(sums[at + 3u], sums[at + 4u]),
  );
}
