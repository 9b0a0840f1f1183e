//! Job files.
#![no_main]

use fuzz::jobs;
use fuzz::seeds::write_seeds;
use libfuzzer_sys::fuzz_target;
use protocol::job::JobSpec;
use protocol::unknown_field::unknown_field;

fuzz_target!(init: write_seeds(SEEDS), |bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(job) = toml::from_str::<JobSpec>(text) else { return };
    let written: serde_json::Value = toml::from_str(text).expect("a job is a table");
    if let Ok(read) = serde_json::to_value(&job) {
        drop(unknown_field(&written, &read));
    }
    if job.check().is_ok() {
        let written = toml::to_string(&job).expect("a checked job can be written as a file");
        assert_eq!(toml::from_str::<JobSpec>(&written).as_ref(), Ok(&job), "{written}");
    }
    jobs::examine(&job);
});

const SEEDS: [&str; 4] = [
    "name = \"n\"\nmodel_type = \"nlp\"\ndataset = \"ag_news\"\n",
    "name = \"n\"\nmodel_type = \"vision\"\ndataset = \"digits\"\nseed = 7\n[model]\npreset = \"cnn\"\n[data]\npartitions = 12\n\
     partitioner = { kind = \"dirichlet\", alpha = 0.1 }\n[plan]\nlocal_epochs = 2\nbatch_size = 32\n\
     optimizer = { kind = \"sgd\", learning_rate = 0.1 }\n[strategy]\nname = \"fedavg\"\nfraction = 1.0\nmaximum_norm = 2.5\n\
     [run]\nrounds = 3\nround_deadline = \"1h 30m\"\nminimum_fraction = 0.5\npriority = 5\n",
    "name = \"n\"\nmodel_type = \"nlp\"\ndataset = \"d\"\n[model.input]\nkind = \"text\"\nbuckets = 1000\nngrams = 2\nmax_words = 60\n\
     [[model.layers]]\nkind = \"embedding_bag\"\ndimension = 8\ncombine = \"sqrtn\"\n[[model.layers]]\nkind = \"linear\"\noutputs = 3\n",
    "name = \"n\"\nmodel_type = \"nlp\"\ndataset = \"d\"\nstrategy.fraction = nan\ndata.partitioner.kind = \"quantity\"\n\
     data.partitioner.alpha = inf\n[plan]\nthreads = 0x10\n",
];
