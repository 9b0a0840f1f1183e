//! CSV and other delimited text, uploaded as a dataset.
#![no_main]

use fuzz::datasets;
use fuzz::seeds::write_seeds;
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: write_seeds(seeds()), |bytes: &[u8]| datasets::read(bytes));

fn seeds() -> Vec<String> {
    let rows = |row: &dyn Fn(usize) -> String| (0..24).map(row).collect::<String>();
    vec![
        format!("text,label\n{}", rows(&|n| format!("\"text {n}, \"\"q\"\"\nx\",{}\n", n % 2))),
        format!("\u{feff}Titel;Content;Stars\n{}", rows(&|n| format!("t{n};c{n};{}\n", n % 3))),
        rows(&|n| format!("{}\ta text {n}\n", ["pos", "neg"][n % 2])),
        rows(&|n| format!("{},0,255,{n},7\n", n % 2)),
        rows(&|n| format!("{n},only,{}\n", if n == 3 { "" } else { "a" })),
    ]
}
