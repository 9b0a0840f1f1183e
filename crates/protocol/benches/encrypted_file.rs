//! Throughput of encrypting and decrypting files, compared with BLAKE3, which hashes every cached
//! blob anyway.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use protocol::BlobHash;
use protocol::encrypted_file::{Encryptor, StorageKey, open, seal};

const BYTES: usize = 64 << 20;
/// Bytes per write, as the trainer writes.
const PIECE: usize = 1 << 20;

fn benchmark(criterion: &mut Criterion) {
    let key = StorageKey::from_bytes([7; 32]);
    let plain: Vec<u8> = (0..=250_u8).cycle().take(BYTES).collect();
    let whole = seal(&key, &plain, [1; 32]).expect("a cipher");
    let mut group = criterion.benchmark_group("sealed_64MiB");
    group.sample_size(10).throughput(Throughput::BytesDecimal(BYTES as u64));
    group.bench_function("seal", |bencher| {
        let mut out = Vec::new();
        bencher.iter(|| {
            let mut encryptor = Encryptor::begin(&key, [1; 32], &mut out);
            for piece in plain.chunks(PIECE) {
                encryptor.push(black_box(piece), &mut out).expect("a cipher");
                black_box(&mut out).clear();
            }
            encryptor.finish(&mut out).expect("a cipher");
        });
    });
    group.bench_function("open", |bencher| {
        let copy = || whole.clone();
        bencher.iter_batched(copy, |file| black_box(open(&key, file)), BatchSize::PerIteration);
    });
    group.bench_function("blake3", |bencher| {
        bencher.iter(|| black_box(BlobHash::compute(black_box(&plain))));
    });
    group.finish();
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
