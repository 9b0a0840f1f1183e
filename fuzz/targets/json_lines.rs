//! JSON Lines, uploaded as a dataset.
#![no_main]

use fuzz::datasets;
use fuzz::seeds::write_seeds;
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: write_seeds(seeds()), |bytes: &[u8]| datasets::read(bytes));

fn seeds() -> Vec<String> {
    let lines = |line: &dyn Fn(usize) -> String| (0..24).map(line).collect::<String>();
    vec![
        lines(&|n| format!("{{\"text\":\"text {n}\",\"label\":{}}}\n", n % 2)),
        lines(&|n| {
            format!(
                "{{\"title\":\"t\\u00e9{n}\",\"content\":[1,{{}}],\"stars\":{}.5e0}}\r\n\n",
                n % 3
            )
        }),
        lines(&|n| format!("{{\"key{n}\":null,\"label\":true,\"text\":\"a\"}}\n")),
        "{\"text\":\"a\",\"label\":1}\n[1]\n{\"te".to_owned(),
    ]
}
