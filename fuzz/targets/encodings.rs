//! Tables and texts in other encodings than UTF-8, with open quotes and texts without columns, uploaded as a dataset.
#![no_main]

use fuzz::datasets;
use fuzz::seeds::write_seeds;
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: write_seeds(seeds()), |bytes: &[u8]| datasets::read(bytes));

fn seeds() -> Vec<Vec<u8>> {
    let rows = |row: &dyn Fn(usize) -> String| (0..24).map(row).collect::<String>();
    let table = format!("sep=;\ntext;label\n{}", rows(&|n| format!("größer {n};{}\n", n % 2)));
    let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let open = rows(&|n| format!("{}text {n},{}\n", if n % 5 == 0 { "\"" } else { "" }, n % 2));
    let prose = rows(&|n| format!("Paragraph {n}, of\nsome lines.\n\n"));
    vec![
        utf_16(&table),
        utf_16(&format!("\u{feff}{table}")),
        table.chars().map(|character| u32::from(character).to_le_bytes()[0]).collect(),
        format!("text,label\n{open}").into_bytes(),
        prose.into_bytes(),
        rows(&|n| format!("__label__{} text {n}\n", n % 2)).into_bytes(),
    ]
}
