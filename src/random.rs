//! The counter-based generator behind every random gate: the same bits on the host and in every kernel.
//!
//! Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
//! SC 2011): 32-bit additions, rotations and exclusive-ors only, so that WGSL and Rust agree bit for bit.
//! A draw depends on its seed, step, row and class and on nothing else, not even on the order of the draws.

const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
const PARITY: u32 = 0x1BD1_1BDA;

/// Threefry-2x32-20 of `counter` under `key`.
///
/// ```
/// // The generator's published test vector.
/// assert_eq!(longtail::random::threefry([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
/// ```
pub fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let [k0, k1] = key;
    let keys = [k0, k1, PARITY ^ k0 ^ k1];
    let mut x0 = counter[0].wrapping_add(k0);
    let mut x1 = counter[1].wrapping_add(k1);
    for block in 0..5u32 {
        let half = if block % 2 == 0 { &ROTATIONS[..4] } else { &ROTATIONS[4..] };
        for &rotation in half {
            x0 = x0.wrapping_add(x1);
            x1 = x1.rotate_left(rotation) ^ x0;
        }
        let pick = |offset: u32| keys.get(((block + offset) % 3) as usize).copied().unwrap_or_default();
        x0 = x0.wrapping_add(pick(1));
        x1 = x1.wrapping_add(pick(2)).wrapping_add(block + 1);
    }
    [x0, x1]
}

/// The key of one step of a seed.
pub fn step_key(seed: u64, step: u64) -> [u32; 2] {
    threefry(words(seed), words(step))
}

/// A draw of 24 uniform bits for `row` and `class` under a step's key: rows of an even and the next odd number share
/// one call and take its first and its second word.
pub fn draw_24(key: [u32; 2], row: u32, class: u32) -> u32 {
    draw_32(key, row, class) >> 8
}

/// A draw of 16 uniform bits for `row` and `class` under a step's key: the four rows from a multiple of four on share one
/// call and take its halves, the lower half of a word first. What gates of every row and class are made of, where a call for
/// each would cost more than the rest of the loss.
///
/// ```
/// use longtail::random::{draw_16, threefry};
/// let [first, second] = threefry([3, 4], [2, 7]);
/// assert_eq!([8, 9, 10, 11].map(|row| draw_16([3, 4], row, 7)), [
///     first & 0xffff, first >> 16, second & 0xffff, second >> 16,
/// ]);
/// ```
pub fn draw_16(key: [u32; 2], row: u32, class: u32) -> u32 {
    let [first, second] = threefry(key, [row >> 2, class]);
    let word = if row & 2 == 0 { first } else { second };
    (word >> (16 * (row & 1))) & 0xffff
}

/// All 32 bits of which [`draw_24`] takes the upper ones.
pub fn draw_32(key: [u32; 2], row: u32, class: u32) -> u32 {
    let [even, odd] = threefry(key, [row >> 1, class]);
    if row.is_multiple_of(2) { even } else { odd }
}

/// The 24-bit draw below which something of this probability happens; probabilities are in steps of 2^-24.
pub(crate) fn threshold_24(probability: f64) -> u32 {
    threshold(probability, 24)
}

/// The same of a 16-bit draw, in steps of 2^-16.
pub(crate) fn threshold_16(probability: f64) -> u32 {
    threshold(probability, 16)
}

fn threshold(probability: f64, bits: u32) -> u32 {
    // `as` saturates, and the checks keep probabilities in [0, 1].
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0..=2^bits")]
    let threshold = (probability * f64::from(1u32 << bits)).round() as u32;
    threshold
}

/// Where the draws of a random term come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum DrawSource {
    /// From the counter-based generator, by seed and step. The default.
    #[default]
    Counter,
    /// The caller gives the outcome of every draw with the batch.
    Given,
}

/// Draws `wanted` of the rows in `candidates` without replacement; the drawn rows, ascending.
///
/// Each candidate has the key `draw_32(key, row, stream)`, and those with the smallest keys are drawn, the lower row
/// where keys are equal. The keys are independent and uniform, so every set of that size is equally likely, up to ties
/// (about `M^2 / 2^33` of them among M candidates). Neither the order of the candidates nor the machine matters: a
/// kernel finds the same rows by ranking each key among the others. All candidates are drawn where `wanted` is not
/// below their number.
///
/// ```
/// use longtail::random::{sample_rows, step_key};
/// let key = step_key(7, 0);
/// let drawn = sample_rows(key, 0, &[4, 1, 9, 6], 2);
/// assert_eq!(drawn.len(), 2);
/// assert_eq!(sample_rows(key, 0, &[9, 6, 4, 1], 2), drawn);
/// assert_eq!(sample_rows(key, 0, &[4, 1], 5), [1, 4]);
/// ```
pub fn sample_rows(key: [u32; 2], stream: u32, candidates: &[u32], wanted: usize) -> Vec<u32> {
    let mut keyed: Vec<(u32, u32)> = candidates.iter().map(|&row| (draw_32(key, row, stream), row)).collect();
    keyed.sort_unstable();
    keyed.truncate(wanted);
    let mut rows: Vec<u32> = keyed.into_iter().map(|(_, row)| row).collect();
    rows.sort_unstable();
    rows
}

/// How many of `count` rows a `share` of them is: the product in f64 without its fraction, as Python's
/// `int(share * count)` has it.
///
/// ```
/// assert_eq!(longtail::random::quota(0.1, 39), 3);
/// ```
pub fn quota(share: f64, count: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounding down is the rule")]
    let rows = (share * count as f64) as usize;
    rows
}

/// Low and high word.
fn words(value: u64) -> [u32; 2] {
    [(value & 0xffff_ffff) as u32, (value >> 32) as u32]
}
