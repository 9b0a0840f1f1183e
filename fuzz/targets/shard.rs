//! Shards, and the token ids of their texts.
#![no_main]

use data::{Row, Sample, shard, text};
use fuzz::seeds::write_seeds;
use libfuzzer_sys::fuzz_target;
use protocol::dataset::SampleShape;

fuzz_target!(init: write_seeds(seeds()), |bytes: &[u8]| {
    let Ok(read) = shard::read(bytes) else { return };
    let rows: Vec<&Row> = read.rows.iter().collect();
    assert!(shard::write(read.sample, &rows) == bytes, "the same rows have the same bytes");
    let mut ids = Vec::new();
    for row in rows {
        let Sample::Text(text) = &row.sample else { continue };
        ids.clear();
        let buckets = row.label.max(2);
        text::ids(text, buckets, 3, 100, &mut ids);
        assert!(ids.len() <= 300 && ids.iter().all(|id| (1..buckets).contains(id)));
    }
});

fn seeds() -> Vec<Vec<u8>> {
    let texts = ["a text", "Zwölf Boxkämpfer", "it's 日本語, don’t"].map(str::to_owned);
    let rows: Vec<Row> = texts
        .into_iter()
        .zip(0..)
        .map(|(text, label)| Row { label, sample: Sample::Text(text) })
        .collect();
    let images = [0, 255].map(|shade| Row { label: 1, sample: Sample::Image(vec![shade; 12]) });
    let size = SampleShape::Image { channels: 3, height: 2, width: 2 };
    vec![
        shard::write(SampleShape::Text, &rows.iter().collect::<Vec<_>>()),
        shard::write(SampleShape::Text, &[]),
        shard::write(size, &images.iter().collect::<Vec<_>>()),
    ]
}
