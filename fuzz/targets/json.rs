//! JSON files that are no JSON lines: arrays, objects of columns, and objects that span lines. Uploaded as a dataset.
#![no_main]

use fuzz::datasets;
use fuzz::seeds::write_seeds;
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: write_seeds(seeds()), |bytes: &[u8]| datasets::read(bytes));

fn seeds() -> Vec<String> {
    let object = |n: usize| format!("{{\n\"text\":\"a }} text {n}\",\"label\":{}}}", n % 2);
    let objects: Vec<String> = (0..24).map(object).collect();
    let rows: Vec<String> = (0..24).map(|n| format!("[\"text {n}\",{}]", n % 2)).collect();
    vec![
        format!("[{}]", objects.join(",\n")),
        format!("\u{feff}[\n{}\n]\n", objects.join(",")),
        format!("{{\"data\":[{}],\"more\":1}}", objects.join(",")),
        format!("{{\"columns\":[\"text\",\"label\"],\"data\":[{}]}}", rows.join(",")),
        format!("[[\"text\",\"label\"],{}]", rows.join(",")),
        "{\"text\":{\"0\":\"a\",\"1\":\"b\"},\"label\":{\"0\":1,\"1\":2}}".to_owned(),
    ]
}
