//! Checks of jobs and models: everything that passes validation must be computable.

use federation::partition::partition;
use protocol::Timestamp;
use protocol::dataset::SampleShape;
use protocol::job::JobSpec;
use protocol::model::ModelSpec;
use protocol::model_file;
use safetensors::tensor::Metadata;

/// Number of classes of the rows that a job partitions.
const CLASSES: u32 = 3;
const ROWS: u32 = 50;

/// Runs the steps of `POST /jobs` and of a job start that need no I/O.
pub fn examine(job: &JobSpec) {
    if job.check().is_err() {
        return;
    }
    let deadline = job.round_deadline().expect("a checked job has a duration or none");
    if let Some(deadline) = deadline {
        // The deadline is sent to devices as JSON.
        let closes = Timestamp::from_millis(1_763_888_400_123).after(deadline);
        let json = serde_json::to_string(&closes).expect("a time can be written");
        assert_eq!(serde_json::from_str::<Timestamp>(&json).ok(), Some(closes), "{json}");
    }
    for rows in [0, 1, u64::from(u32::MAX), u64::MAX] {
        assert_eq!(job.plan().steps(rows) == 0, rows == 0);
    }
    let images = |channels, side| SampleShape::Image { channels, height: side, width: side };
    for sample in [SampleShape::Text, images(1, 28), images(3, 32), images(16, 4096)] {
        if let Ok(spec) = job.model_spec(sample, CLASSES) {
            assert!(spec.check(CLASSES).is_ok() && spec.check_input(sample).is_ok());
            examine_model(&spec);
        }
    }
    check_partitions(job);
}

fn check_partitions(job: &JobSpec) {
    let labels: Vec<u32> = (0..ROWS).map(|row| row % CLASSES).collect();
    let data = &job.data;
    // More partitions than rows always give the same error; a search for it would only take time.
    let Ok(partitions) = partition(job.seed, &data.partitioner, &labels, CLASSES, data.partitions)
    else {
        return;
    };
    assert!(
        partitions.len() == data.partitions as usize
            && partitions.iter().all(|rows| !rows.is_empty())
    );
    let mut rows = partitions.concat();
    rows.sort_unstable();
    assert!(rows.into_iter().eq(0..ROWS), "each row is in one partition");
}

/// Computes the layout of a model and writes the header of its file, which another reader must
/// understand.
pub fn examine_model(spec: &ModelSpec) {
    let Ok(shapes) = spec.shapes() else {
        assert!(spec.layout().is_err() && model_file::header(spec).is_err());
        return;
    };
    assert_eq!(shapes.len(), spec.layers.len());
    let layout = spec.layout().expect("what has shapes has a layout");
    let mut offset = 0;
    for tensor in &layout.tensors {
        assert_eq!(tensor.offset, offset);
        offset += tensor.count();
    }
    assert_eq!(offset, layout.parameters);
    let header = model_file::header(spec).expect("what has a layout has a header");
    let (length, text) = header.split_first_chunk().expect("a header begins with its length");
    assert_eq!(u64::from_le_bytes(*length), text.len() as u64);
    let metadata: Metadata = serde_json::from_slice(text).expect("the header is safetensors");
    let mut tensors: Vec<_> = metadata.tensors().into_iter().collect();
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let known = tensors.iter().map(|(name, info)| (name.as_str(), &info.shape));
    assert!(known.eq(layout.tensors.iter().map(|tensor| (tensor.name.as_str(), &tensor.shape))));
    let spec_text = metadata.metadata().as_ref().and_then(|metadata| metadata.get("spec"));
    let read: ModelSpec =
        serde_json::from_str(spec_text.expect("the spec is there")).expect("JSON");
    assert_eq!(read, *spec);
}
