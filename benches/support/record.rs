//! Where results are kept: `benches/record/ADAPTER-DRIVER/DATE....`.

use longtail::wgpu::AdapterInfo;
use std::path::{Path, PathBuf};

/// The folder of an adapter's records, below the working directory: its name and its driver's version, which on a software
/// adapter is the device.
pub fn folder(info: &AdapterInfo) -> PathBuf {
    // "Mesa 25.0.7-2~bpo12+1 (LLVM 15.0.6)" is Mesa 25.0.7.
    let driver = info.driver_info.split(['-', '(']).next().unwrap_or_default();
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { ' ' };
    let words: String = format!("{} {driver}", info.name).chars().map(plain).collect();
    Path::new("benches/record").join(words.split_whitespace().collect::<Vec<_>>().join("-"))
}

/// Writes today's record of an adapter, `DATE` and then `ending`, and says where.
pub fn keep(info: &AdapterInfo, ending: &str, text: &str) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let folder = folder(info);
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{}{ending}", today()?));
    std::fs::write(&path, text)?;
    Ok(path)
}

/// Today, as the system's `date` says it.
fn today() -> Result<String, Box<dyn std::error::Error>> {
    let output = std::process::Command::new("date").args(["-u", "+%F"]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
