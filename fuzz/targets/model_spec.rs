//! Model specs: shape inference, layout, and the header of the model file.
#![no_main]

use fuzz::seeds::write_seeds;
use fuzz::{jobs, json};
use libfuzzer_sys::fuzz_target;
use protocol::dataset::SampleShape;
use protocol::model::{ModelSpec, Preset};

fuzz_target!(init: write_seeds(seeds()), |bytes: &[u8]| {
    let Some(spec) = json::read::<ModelSpec>(bytes) else { return };
    jobs::examine_model(&spec);
    let fitting = (1..=20).filter(|classes| spec.check(*classes).is_ok()).count();
    assert!(fitting <= 1, "a model has one number of classes");
    for sample in [SampleShape::Text, SampleShape::Image { channels: 1, height: 8, width: 8 }] {
        drop(spec.check_input(sample));
    }
});

fn seeds() -> Vec<String> {
    let image = SampleShape::Image { channels: 1, height: 28, width: 28 };
    let presets = [(Preset::Cnn, image), (Preset::TextBag, SampleShape::Text)];
    let presets = presets.into_iter().filter_map(|(preset, sample)| preset.spec(sample, 10));
    let mut seeds: Vec<String> =
        presets.filter_map(|spec| serde_json::to_string(&spec).ok()).collect();
    seeds.extend(WRITTEN.map(str::to_owned));
    seeds
}

const WRITTEN: [&str; 3] = [
    r#"{"input":{"kind":"text","buckets":1000,"ngrams":1,"max_words":60},"layers":[{"kind":"embedding","dimension":8},
        {"kind":"conv_max_pool","channels":4,"widths":[3,4,5]},{"kind":"tanh"},{"kind":"dropout","probability":0.5},{"kind":"linear","outputs":10}]}"#,
    r#"{"input":{"kind":"image","channels":3,"height":4096,"width":4096,"mean":0.5,"deviation":0.25},"layers":[
        {"kind":"conv2d","channels":4,"kernel":4096,"stride":1,"padding":4095},{"kind":"max_pool2d","kernel":4096,"stride":4096},
        {"kind":"global_average_pool"},{"kind":"layer_norm"},{"kind":"linear","outputs":10}]}"#,
    r#"{"input":{"kind":"text","buckets":16777216,"ngrams":5,"max_words":65536,"unique":true},
        "layers":[{"kind":"embedding_bag","dimension":16777216,"combine":"mean"},{"kind":"gelu"},{"kind":"flatten"}]}"#,
];
