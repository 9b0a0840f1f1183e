//! Scratch: CPU time, not wall.
use federation::aggregate::{Accumulator, check_update};
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}
fn main() {
    const P: usize = 10_000_000;
    let shift = 4_000_000;
    let n: usize = 100;
    let mut x = 1u64;
    let memory: Vec<u8> = (0..(4 * P + (n - 1) * shift) / 4)
        .flat_map(|_| {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1);
            (((x >> 40) as f32) / 1e9 - 0.008).to_le_bytes()
        })
        .collect();
    let updates: Vec<(&[u8], u64)> =
        (0..n).map(|k| (&memory[k * shift..][..4 * P], 1200)).collect();
    let mut target = vec![0u8; memory.len()];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        for _ in 0..2 {
            for _ in 0..2 {
                let t = cpu();
                target.copy_from_slice(&memory);
                println!("copy {:.2} GB/s", memory.len() as f64 / 1e9 / (cpu() - t));
            }
            for together in [1, 2, 4, 8, 20, 100] {
                let mut sum = Accumulator::new(P, 1200 * n as u64);
                sum.add(&updates[..1]).unwrap();
                let mut sum = Accumulator::new(P, 1200 * n as u64);
                let t = cpu();
                for call in updates.chunks(together) {
                    sum.add(call).unwrap();
                }
                println!(
                    "add {together} a call {:.2} GB/s",
                    (n * 4 * P) as f64 / 1e9 / (cpu() - t)
                );
            }
            let t = cpu();
            for (bytes, _) in &updates[..20] {
                check_update(bytes, P).unwrap();
            }
            println!("check {:.2} GB/s", (20 * 4 * P) as f64 / 1e9 / (cpu() - t));
        }
    });
}
