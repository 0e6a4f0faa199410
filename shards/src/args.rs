//! The command line.

use longtail::Element;

pub const HELP: &str = "\
Shards the classes over MPI ranks and compares loss and gradient with those of one process that has all classes.

Usage: mpirun -n RANKS longtail-shards [OPTIONS]

  --rows N         rows of the batch (default 256)
  --classes K      classes of all ranks together (default 30011)
  --element NAME   f32, f16 or bf16 (default f32)
  --methods A,B    names of the method table (default cross_entropy,balanced_softmax,ldam_drw,focal,
                   label_smoothing,equalization,seesaw,seesaw_paper,mixup,soft_label_ce)
  --help           this text

Each line: rounds of messages, bytes that a rank sends and holds on its device beside logits and gradient, time of a
step, loss, and how far loss and gradient are from those of one process, relative to the largest. The exit code is 1
if they are too far.
";

const METHODS: &str = "cross_entropy,balanced_softmax,ldam_drw,focal,label_smoothing,equalization,seesaw,\
                       seesaw_paper,mixup,soft_label_ce";

/// What is to be run.
pub struct Args {
    pub rows: usize,
    pub classes: usize,
    pub element: Element,
    pub methods: Vec<String>,
}

impl Args {
    /// `None` when only the help is wanted.
    pub fn parse(mut given: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let list = |names: &str| names.split(',').map(|name| name.trim().to_owned()).collect();
        let mut args = Self { rows: 256, classes: 30_011, element: Element::F32, methods: list(METHODS) };
        while let Some(name) = given.next() {
            if ["--help", "-h"].contains(&name.as_str()) {
                return Ok(None);
            }
            let known = ["--rows", "--classes", "--element", "--methods"];
            if !known.contains(&name.as_str()) {
                return Err(format!("there is no option {name}"));
            }
            let value = given.next().ok_or_else(|| format!("{name} needs a value"))?;
            let number = || match value.parse::<usize>() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(format!("{name} is a number above 0, not {value}")),
            };
            match name.as_str() {
                "--rows" => args.rows = number()?,
                "--classes" => args.classes = number()?,
                "--element" => {
                    args.element = Element::from_name(&value)
                        .ok_or_else(|| format!("{name} is f32, f16 or bf16, not {value}"))?;
                }
                _ => args.methods = list(&value),
            }
        }
        Ok(Some(args))
    }
}
