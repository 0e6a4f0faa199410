//! The golden files: inputs and losses made by the authors' own code.
#![allow(dead_code, reason = "each test file uses a part")]

use longtail::ClassCounts;
use safetensors::SafeTensors;

/// One golden file, in memory.
pub struct Golden {
    name: String,
    bytes: Vec<u8>,
}

impl Golden {
    /// `tests/golden/NAME.safetensors`.
    pub fn open(name: &str) -> Self {
        let path = format!("{}/tests/golden/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { name: name.into(), bytes }
    }

    /// The names of all golden files here.
    pub fn names() -> Vec<String> {
        let folder = format!("{}/tests/golden", env!("CARGO_MANIFEST_DIR"));
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                name.strip_suffix(".safetensors").map(str::to_owned)
            })
            .collect();
        names.sort();
        names
    }

    fn words(&self, tensor: &str) -> Option<Vec<[u8; 4]>> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let data = file.tensor(tensor).ok()?.data().to_vec();
        Some(data.chunks_exact(4).map(|word| word.try_into().unwrap()).collect())
    }

    /// An f32 tensor, widened.
    pub fn floats(&self, tensor: &str) -> Vec<f64> {
        let words = self.words(tensor).unwrap_or_else(|| panic!("{} has no {tensor}", self.name));
        words.into_iter().map(|word| f64::from(f32::from_le_bytes(word))).collect()
    }

    /// An i32 tensor, where there is one.
    pub fn integers(&self, tensor: &str) -> Option<Vec<i32>> {
        Some(self.words(tensor)?.into_iter().map(i32::from_le_bytes).collect())
    }

    /// The stored class counts.
    pub fn counts(&self) -> ClassCounts {
        let counts: Vec<u64> = self.floats("class_counts").into_iter().map(|count| count as u64).collect();
        ClassCounts::new(counts).unwrap()
    }

    /// A text of the metadata.
    pub fn text(&self, key: &str) -> String {
        let (_, header) = SafeTensors::read_metadata(&self.bytes).unwrap();
        header.metadata().as_ref().unwrap()[key].clone()
    }

    /// A number among the hyper-parameters.
    pub fn number(&self, key: &str) -> f64 {
        let hparams: serde_json::Value = serde_json::from_str(&self.text("hparams")).unwrap();
        hparams[key].as_f64().unwrap_or_else(|| panic!("{} has no {key}", self.name))
    }

    /// The loss in f64.
    pub fn loss(&self) -> f64 {
        let values: serde_json::Value = serde_json::from_str(&self.text("f64")).unwrap();
        values["loss"].as_f64().unwrap()
    }
}
