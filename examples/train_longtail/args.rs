//! The command line.

use std::path::PathBuf;

use crate::head::Kind;
use crate::{Failure, losses};

pub const HELP: &str = "\
Trains a classifier head on long-tailed data once per loss, and prints the accuracy over classes with many
(above 100), medium (20 to 100) and few (below 20) training rows.

Usage: train_longtail [OPTIONS]

  --task NAME      wine, words or all (default all)
                     wine   red wine by quality: 6 classes
                     words  next-token prediction over the sources that cargo unpacked to build this project
  --losses A,B     names of the method table (default cross_entropy,balanced_softmax,ldam_drw,equalization,seesaw)
  --head NAME      linear or cosine: this head for every loss, with its products on the device
                   (default each loss's own, with products on the host)
  --text DIR       learn words from the files of this folder instead
  --classes K      the number of different words (default 8192)
  --steps N        training steps instead of the task's own number
  --epochs N       passes over the training data instead
  --seed N         of the split, the features and the order (default 1)
  --out DIR        where the plots go (default target/longtail)
  --help           this text
";

pub struct Args {
    pub wine: bool,
    pub words: bool,
    pub losses: Vec<String>,
    pub head: Option<Kind>,
    pub text: Option<PathBuf>,
    pub classes: usize,
    pub steps: Option<usize>,
    pub epochs: Option<usize>,
    pub seed: u64,
    pub out: PathBuf,
}

impl Args {
    /// `None` when only the help is wanted.
    pub fn parse(mut given: impl Iterator<Item = String>) -> Result<Option<Self>, Failure> {
        let mut args = Self {
            wine: true,
            words: true,
            losses: losses::DEFAULT.split(',').map(str::to_owned).collect(),
            head: None,
            text: None,
            classes: 8192,
            steps: None,
            epochs: None,
            seed: 1,
            out: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target").join("longtail"),
        };
        while let Some(name) = given.next() {
            if ["--help", "-h"].contains(&name.as_str()) {
                return Ok(None);
            }
            let known = [
                "--task",
                "--losses",
                "--head",
                "--text",
                "--classes",
                "--steps",
                "--epochs",
                "--seed",
                "--out",
            ];
            if !known.contains(&name.as_str()) {
                return Err(format!("no option {name}: see --help").into());
            }
            let value = given.next().ok_or_else(|| format!("{name} needs a value: see --help"))?;
            match name.as_str() {
                "--task" => {
                    (args.wine, args.words) = match value.as_str() {
                        "wine" => (true, false),
                        "words" => (false, true),
                        "all" => (true, true),
                        _ => return Err(format!("--task is wine, words or all, not {value}").into()),
                    }
                }
                "--losses" => args.losses = value.split(',').map(|loss| loss.trim().to_owned()).collect(),
                "--head" => {
                    args.head = match value.as_str() {
                        "linear" => Some(Kind::Linear),
                        "cosine" => Some(Kind::Cosine),
                        _ => return Err(format!("--head is linear or cosine, not {value}").into()),
                    }
                }
                "--text" => args.text = Some(value.into()),
                "--classes" => args.classes = at_least_one(&name, &value)?,
                "--steps" => args.steps = Some(at_least_one(&name, &value)?),
                "--epochs" => args.epochs = Some(at_least_one(&name, &value)?),
                "--seed" => {
                    args.seed = value.parse().map_err(|_| format!("--seed is a number, not {value}"))?;
                }
                _ => args.out = value.into(),
            }
        }
        Ok(Some(args))
    }
}

fn at_least_one(name: &str, value: &str) -> Result<usize, Failure> {
    match value.parse() {
        Ok(number) if number >= 1 => Ok(number),
        _ => Err(format!("{name} is a number of at least 1, not {value}").into()),
    }
}
