//! Seeds: complete inputs from which libFuzzer starts. Each target generates its own at the start,
//! so that they always match the current formats.

use std::path::Path;
use std::{env, fs};

/// Environment variable with the folder for seeds; `scripts/fuzz.sh` sets it.
const FOLDER: &str = "CONSTELLATION_FUZZ_SEEDS";

/// Writes each seed to its own file in the folder [`FOLDER`]. Does nothing if the variable is not
/// set.
///
/// # Panics
/// Panics if the folder can't be written.
pub fn write_seeds<S: AsRef<[u8]>>(seeds: impl IntoIterator<Item = S>) {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    fs::create_dir_all(folder).expect("the folder for seeds can be made");
    for (number, seed) in seeds.into_iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed).expect("seeds can be written");
    }
}

/// Seed for a target that selects the meaning of the input by its first byte.
pub fn with_choice(choice: u8, rest: impl AsRef<[u8]>) -> Vec<u8> {
    [&[choice], rest.as_ref()].concat()
}
