//! One golden file: tensors by name and the metadata that says what they are.

use std::collections::HashMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// Why a file cannot be run.
#[derive(Debug)]
pub enum Trouble {
    /// It asks for something that this program does not compute.
    Unsupported(String),
    /// It does not hold what it says, or cannot be read.
    Malformed(String),
}

impl From<longtail::Error> for Trouble {
    fn from(error: longtail::Error) -> Self {
        Trouble::Malformed(error.to_string())
    }
}

pub type Outcome<T> = Result<T, Trouble>;

pub fn malformed<T>(reason: impl Into<String>) -> Outcome<T> {
    Err(Trouble::Malformed(reason.into()))
}

pub fn unsupported<T>(reason: impl Into<String>) -> Outcome<T> {
    Err(Trouble::Unsupported(reason.into()))
}

enum Values {
    Floats(Vec<f32>),
    Integers(Vec<i32>),
}

struct Tensor {
    shape: Vec<usize>,
    values: Values,
}

/// Tensors and metadata, in memory.
pub struct File {
    tensors: HashMap<String, Tensor>,
    metadata: HashMap<String, String>,
    hparams: Value,
    inputs: Vec<String>,
}

impl File {
    pub fn open(path: &Path) -> Outcome<Self> {
        let bytes = std::fs::read(path).or_else(|error| malformed(error.to_string()))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).or_else(|error| malformed(error.to_string()))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let json = |key: &str, absent: &str| {
            let text = metadata.get(key).map_or(absent, String::as_str);
            serde_json::from_str::<Value>(text).or_else(|error| malformed(format!("metadata {key}: {error}")))
        };
        let hparams = json("hparams", "{}")?;
        let names = json("inputs", "[]")?;
        let names = names.as_array().into_iter().flatten();
        let inputs = names.filter_map(|name| name.as_str().map(str::to_owned)).collect();
        let tensors = SafeTensors::deserialize(&bytes).or_else(|error| malformed(error.to_string()))?;
        let tensors = tensors
            .iter()
            .map(|(name, view)| {
                let values = read(name, view.dtype(), view.data())?;
                Ok((name.to_owned(), Tensor { shape: view.shape().to_vec(), values }))
            })
            .collect::<Outcome<_>>()?;
        Ok(Self { tensors, metadata, hparams, inputs })
    }

    /// A text of the metadata; empty where there is none.
    pub fn text(&self, key: &str) -> &str {
        self.metadata.get(key).map_or("", String::as_str)
    }

    /// The scalar loss in f64, from the metadata, or as the stored f32.
    pub fn loss(&self) -> Outcome<f64> {
        let exact = serde_json::from_str::<Value>(self.text("f64")).ok();
        match exact.as_ref().and_then(|values| values.get("loss")).and_then(Value::as_f64) {
            Some(loss) => Ok(loss),
            None => match self.floats("loss")? {
                [loss] => Ok(f64::from(*loss)),
                other => malformed(format!("loss has {} values", other.len())),
            },
        }
    }

    /// A number among the hyper-parameters; `None` where it is absent or null.
    pub fn hparam(&self, key: &str) -> Outcome<Option<f64>> {
        match self.hparams.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => malformed(format!("hparams: {key} is {value}, not a number")),
            },
        }
    }

    /// A number among the hyper-parameters that has to be there.
    pub fn number(&self, key: &str) -> Outcome<f64> {
        match self.hparam(key)? {
            Some(number) => Ok(number),
            None => malformed(format!("hparams: {key} is missing")),
        }
    }

    /// A whole number among the hyper-parameters, at least 0, that has to be there.
    pub fn whole_number(&self, key: &str) -> Outcome<u64> {
        let number = self.number(key)?;
        match number.fract() == 0.0 && (0.0..2f64.powi(53)).contains(&number) {
            true => Ok(number as u64),
            false => malformed(format!("hparams: {key} is {number}, not a whole number")),
        }
    }

    /// The hyper-parameter at a path of keys.
    pub fn nested(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.hparams, |value, key| value.get(key))
    }

    /// A text among the hyper-parameters; empty where there is none.
    pub fn word(&self, key: &str) -> &str {
        self.hparams.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether a hyper-parameter is the JSON `true`.
    pub fn is_set(&self, key: &str) -> bool {
        self.hparams.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether the tensor is there and an input: outputs of the authors' code are for comparison only.
    pub fn has_input(&self, name: &str) -> bool {
        self.tensors.contains_key(name) && self.inputs.iter().any(|input| input == name)
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn tensor(&self, name: &str) -> Outcome<&Tensor> {
        match self.tensors.get(name) {
            Some(tensor) => Ok(tensor),
            None => malformed(format!("tensor {name} is missing")),
        }
    }

    pub fn shape(&self, name: &str) -> Outcome<&[usize]> {
        Ok(&self.tensor(name)?.shape)
    }

    pub fn floats(&self, name: &str) -> Outcome<&[f32]> {
        match &self.tensor(name)?.values {
            Values::Floats(values) => Ok(values),
            Values::Integers(_) => malformed(format!("tensor {name} holds integers")),
        }
    }

    /// Floats, widened.
    pub fn column(&self, name: &str) -> Outcome<Vec<f64>> {
        Ok(self.floats(name)?.iter().map(|value| f64::from(*value)).collect())
    }

    pub fn integers(&self, name: &str) -> Outcome<&[i32]> {
        match &self.tensor(name)?.values {
            Values::Integers(values) => Ok(values),
            Values::Floats(_) => malformed(format!("tensor {name} holds floats")),
        }
    }

    /// Whole numbers of either type, at least 0.
    pub fn whole(&self, name: &str) -> Outcome<Vec<u64>> {
        let values: Vec<f64> = match &self.tensor(name)?.values {
            Values::Floats(values) => values.iter().map(|value| f64::from(*value)).collect(),
            Values::Integers(values) => values.iter().map(|value| f64::from(*value)).collect(),
        };
        if values.iter().any(|value| !(value.fract() == 0.0 && *value >= 0.0 && *value < 2f64.powi(53))) {
            return malformed(format!("tensor {name} holds something else than counts"));
        }
        Ok(values.into_iter().map(|value| value as u64).collect())
    }
}

fn read(name: &str, dtype: Dtype, data: &[u8]) -> Outcome<Values> {
    fn words<const M: usize, T>(data: &[u8], read: impl Fn([u8; M]) -> T) -> Vec<T> {
        data.chunks_exact(M).filter_map(|word| word.try_into().ok()).map(read).collect()
    }
    Ok(match dtype {
        Dtype::F32 => Values::Floats(words(data, f32::from_le_bytes)),
        Dtype::F64 => Values::Floats(words(data, |word| f64::from_le_bytes(word) as f32)),
        Dtype::I32 => Values::Integers(words(data, i32::from_le_bytes)),
        Dtype::I64 => {
            let narrow = words(data, |word| i32::try_from(i64::from_le_bytes(word)));
            match narrow.into_iter().collect() {
                Ok(values) => Values::Integers(values),
                Err(_) => return malformed(format!("tensor {name} does not fit 32-bit integers")),
            }
        }
        Dtype::U8 | Dtype::BOOL => Values::Floats(data.iter().map(|value| f32::from(*value)).collect()),
        other => return malformed(format!("tensor {name} has the type {other:?}")),
    })
}
