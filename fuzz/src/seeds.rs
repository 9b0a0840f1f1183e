//! Seeds: whole inputs of each target, from which libFuzzer goes on. A target makes its own when it starts, so that they
//! never fall behind the formats.

use std::path::Path;
use std::{env, fs};

/// The variable that names the folder where seeds go; `scripts/fuzz.sh` sets it.
const FOLDER: &str = "CONSTELLATION_FUZZ_SEEDS";

/// Writes seeds where [`FOLDER`] says, each in a file of its own; nothing where it is not set.
///
/// # Panics
/// Where that folder can't be written.
pub fn plant<S: AsRef<[u8]>>(seeds: impl IntoIterator<Item = S>) {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    fs::create_dir_all(folder).expect("the folder for seeds can be made");
    for (number, seed) in seeds.into_iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed).expect("seeds can be written");
    }
}

/// A seed of a target that chooses by an input's first byte what the rest is.
pub fn chosen(choice: u8, rest: impl AsRef<[u8]>) -> Vec<u8> {
    [&[choice], rest.as_ref()].concat()
}
