//! Next-token prediction over source text: thousands of classes, as unbalanced as language is.

use std::collections::HashMap;
use std::path::Path;

use ndarray::Array2;

use crate::Failure;
use crate::corpus;
use crate::data::{Draws, Schedule, Split, Task, count};

/// Features; the first is a constant.
const FEATURES: usize = 96;
/// The weights of the nearest tokens before the predicted one, nearest first; each place has random vectors of
/// its own.
const NEAR: [f32; 4] = [1.0, 0.7, 0.4, 0.3];
/// So many tokens before the predicted one count as seen recently, whatever their place, ...
const RECENT: usize = 64;
/// ... with this weight, the less the more frequent they are: a token seen this often has this weight.
const RECENT_WEIGHT: f32 = 0.4;
const RECENT_FREQUENCY: f32 = 100.0;
/// A class of `n` occurrences keeps `KEPT * sqrt(n / KEPT)` of them once `n` exceeds `KEPT`, as word vectors
/// thin out frequent words.
const KEPT: f64 = 4.0;
/// Test rows per class, so that rare classes weigh as much as frequent ones.
const TEST_ROWS: usize = 2;
/// One file in so many is held out to test on.
const HELD_OUT: usize = 5;
const BATCH: usize = 512;

/// A token of a file.
#[derive(Clone, Copy)]
struct Place {
    file: usize,
    position: usize,
}

/// The tokens of the files as numbers, in the order of their first occurrence.
struct Corpus {
    files: Vec<Vec<u32>>,
    /// How often each token occurs in the training files.
    frequencies: Vec<u64>,
    /// Where, in the training files and in those held out.
    places: Vec<[Vec<Place>; 2]>,
}

/// The task over the files of `text`, or over the sources of this project's dependencies.
pub fn load(text: Option<&Path>, classes: usize, seed: u64) -> Result<Task, Failure> {
    let corpus = Corpus::new(&corpus::read(text)?);
    // The classes are the tokens most frequent in the training files, one occurrence at least; of two as
    // frequent the one that came first.
    let mut vocabulary: Vec<usize> =
        (0..corpus.places.len()).filter(|&token| corpus.frequencies[token] > 0).collect();
    vocabulary.sort_by_key(|&token| std::cmp::Reverse(corpus.frequencies[token]));
    vocabulary.truncate(classes);
    if vocabulary.len() < classes {
        let found = vocabulary.len();
        return Err(
            format!("the text has {found} different tokens, {classes} are wanted: see --classes").into()
        );
    }

    let mut draws = Draws::new(seed, 0);
    let (mut train, mut test) = (vec![], vec![]);
    for (class, &token) in vocabulary.iter().enumerate() {
        let [mut seen, mut unseen] = corpus.places[token].clone();
        draws.shuffle(&mut seen);
        draws.shuffle(&mut unseen);
        let keep = KEPT * (seen.len() as f64 / KEPT).max(1.0).sqrt();
        train.extend(seen.into_iter().take(keep.round() as usize).map(|place| (place, class as i32)));
        test.extend(unseen.into_iter().take(TEST_ROWS).map(|place| (place, class as i32)));
    }
    let split = |rows: &[(Place, i32)]| Split {
        features: corpus.features(rows.iter().map(|row| row.0), rows.len(), seed),
        labels: rows.iter().map(|row| row.1).collect(),
    };
    let (train, test) = (split(&train), split(&test));
    let about = format!(
        "next token of source text, {classes} classes; {} tokens to train on, {} of held-out files to test on, \
         {FEATURES} features",
        train.labels.len(),
        test.labels.len()
    );
    let steps = train.labels.len().div_ceil(BATCH);
    let schedule = Schedule { batch: BATCH, steps, linear_rate: 300.0, cosine_rate: 5.0 };
    Ok(Task { name: "words", about, counts: count(&train.labels, classes)?, train, test, schedule })
}

impl Corpus {
    fn new(texts: &[String]) -> Self {
        let mut numbers = HashMap::new();
        let mut corpus = Self { files: vec![], frequencies: vec![], places: vec![] };
        for (file, text) in texts.iter().enumerate() {
            let held_out = file % HELD_OUT == HELD_OUT - 1;
            let mut tokens = vec![];
            for (position, token) in corpus::tokens(text).enumerate() {
                let next = numbers.len();
                let number = *numbers.entry(token).or_insert(next);
                if number == next {
                    corpus.frequencies.push(0);
                    corpus.places.push(Default::default());
                }
                corpus.frequencies[number] += u64::from(!held_out);
                corpus.places[number][usize::from(held_out)].push(Place { file, position });
                tokens.push(number as u32);
            }
            corpus.files.push(tokens);
        }
        corpus
    }

    /// A constant, and a sum of random vectors for the context, of length 1.
    fn features(&self, places: impl Iterator<Item = Place>, rows: usize, seed: u64) -> Array2<f32> {
        let mut features = Array2::<f32>::zeros((rows, FEATURES));
        let mut vectors: HashMap<(usize, u32), Vec<f32>> = HashMap::new();
        for (place, mut row) in places.zip(features.rows_mut()) {
            let mut add = |slot: usize, token: u32, weight: f32| {
                let vector = vectors.entry((slot, token)).or_insert_with(|| {
                    let mut draws = Draws::new(seed, (slot as u64 + 1) << 32 | u64::from(token));
                    (1..FEATURES).map(|_| draws.normal()).collect()
                });
                row.iter_mut().skip(1).zip(vector).for_each(|(value, random)| *value += weight * *random);
            };
            let before = &self.files[place.file][..place.position];
            for (back, &token) in before.iter().rev().take(RECENT).enumerate() {
                if let Some(&weight) = NEAR.get(back) {
                    add(back, token, weight);
                }
                let frequency = self.frequencies[token as usize].max(1) as f32;
                let rarity = (RECENT_FREQUENCY / frequency).sqrt().min(3.0);
                let nearness = 1.0 - back as f32 / RECENT as f32;
                add(NEAR.len(), token, RECENT_WEIGHT * rarity * nearness);
            }
            let length = row.dot(&row).sqrt().max(f32::MIN_POSITIVE);
            row /= length;
            row[0] = 1.0;
        }
        features
    }
}
