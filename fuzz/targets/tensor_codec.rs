//! Updates: parameter vectors are decoded or rejected, and the mean of a round does not depend on
//! the order of the updates.
#![no_main]

use federation::aggregate::{Accumulator, check_update};
use fuzz::seeds::{with_choice, write_seeds};
use libfuzzer_sys::fuzz_target;
use protocol::codec::{decode, encode};

fuzz_target!(init: write_seeds(seeds()), |bytes: &[u8]| {
    let Some((expected, bytes)) = bytes.split_first() else { return };
    let expected = usize::from(*expected);
    let read = decode(bytes, expected);
    let checked = check_update(bytes, expected);
    let Ok(parameters) = read else {
        assert!(checked.is_err());
        return;
    };
    assert_eq!(encode(&parameters), bytes);
    let Ok(norm) = checked else { return };
    assert!(norm.is_finite() && norm >= 0.0);
    let other = encode(&vec![0.25; expected]);
    let mean = |updates: [(&[u8], u64); 2]| {
        let mut sum = Accumulator::new(expected, 5);
        for update in updates {
            sum.add(&[update]).expect("what was checked can be added");
        }
        sum.finish(&vec![0.5; expected])
    };
    let (one, two) = (mean([(bytes, 2), (&other, 3)]), mean([(&other, 3), (bytes, 2)]));
    assert!(one.iter().all(|parameter| parameter.is_finite()));
    assert_eq!(encode(&one), encode(&two));
});

fn seeds() -> Vec<Vec<u8>> {
    let vectors =
        [vec![], vec![0.0, -1.5, 1e-30], vec![16.0; 9], vec![f32::NAN, f32::INFINITY, -17.0]];
    vectors
        .map(|vector| with_choice(u8::try_from(vector.len()).unwrap_or(0), encode(&vector)))
        .into()
}
