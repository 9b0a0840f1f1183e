//! Tests of the store with a real database.

use std::path::Path;
use std::time::Duration;

use federation::machine::{Event, Machine, MachineSettings};
use protocol::api::{Change, ChangeKind, Role};
use protocol::{DeviceId, JobId, Timestamp};
use rusqlite::Connection;
use uuid::Uuid;

use protocol::api::Events;

use super::*;

fn job_row(n: u128) -> JobRow {
    let spec = serde_json::json!({"name": "n", "model_type": "nlp", "dataset": "synthetic"});
    let id = JobId::from_uuid(Uuid::from_u128(n));
    let spec = serde_json::from_value(spec).unwrap();
    let machine =
        Machine::new(MachineSettings { job: id, spec, lease_timeout: Duration::from_secs(5) });
    JobRow { id, created_at: Timestamp::from_millis(7), created_by: Some("x".to_owned()), machine }
}

pub(super) fn token(id: &str) -> TokenRow {
    TokenRow {
        id: id.to_owned(),
        hash: [3; 32],
        role: Role::Viewer,
        name: String::new(),
        device: None,
        created_at: Timestamp::from_millis(1),
        expires_at: Some(Timestamp::from_millis(2)),
        last_used: None,
    }
}

fn change(id: &str) -> Change {
    Change { kind: ChangeKind::Job, id: id.to_owned() }
}

#[test]
fn committed_rows_are_loaded_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let mut row = job_row(1);
    let device = Some(DeviceId::from_uuid(Uuid::from_u128(9)));
    let token = TokenRow { role: Role::Device, device, ..token("t") };
    {
        let mut store = Store::open(&path).unwrap();
        assert_eq!(store.load("cluster").unwrap().cluster_id, "cluster");
        row.machine.handle(Timestamp::from_millis(8), Event::Start).unwrap();
        let batch = Batch {
            jobs: vec![JobChanges::from_job(&row, true, usize::MAX)],
            tokens: vec![token.clone()],
            changes: vec![change("1")],
            ..Batch::default()
        };
        assert_eq!(store.commit(&batch).unwrap(), 1);
    }
    let store = Store::open(&path).unwrap();
    let loaded = store.load("another").unwrap();
    assert_eq!(loaded.cluster_id, "cluster");
    assert_eq!(store.revision(), 1);
    assert_eq!(loaded.jobs[0].machine, row.machine);
    assert_eq!(loaded.tokens, [token]);
}

#[test]
fn a_newer_database_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    let version: u32 = Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, 99);
}

#[test]
fn events_list_each_subject_once_and_reset_outdated_revisions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let mut store = Store::open(&path).unwrap();
    let reader = Reader::new(&path);
    assert_eq!(
        reader.events(0, u64::MAX).unwrap(),
        Events { revision: 0, changes: vec![], reset: false }
    );
    for id in ["a", "b", "a"] {
        store.commit(&Batch { changes: vec![change(id)], ..Batch::default() }).unwrap();
    }
    let all = reader.events(0, u64::MAX).unwrap();
    assert_eq!((all.revision, all.reset), (3, false));
    assert_eq!(all.changes, [change("b"), change("a")]);
    assert_eq!(reader.events(2, u64::MAX).unwrap().changes, [change("a")]);
    assert_eq!(reader.events(3, u64::MAX).unwrap().changes, []);
    assert!(reader.events(4, u64::MAX).unwrap().reset);

    // What is not published yet is not told: its snapshots are the old ones.
    let published_yet = reader.events(0, 2).unwrap();
    assert_eq!((published_yet.revision, published_yet.reset), (2, false));
    assert_eq!(published_yet.changes, [change("a"), change("b")]);
    let nothing_new = reader.events(2, 2).unwrap();
    assert_eq!((nothing_new.revision, nothing_new.changes, nothing_new.reset), (2, vec![], false));

    store.connection.execute("DELETE FROM changes WHERE revision < 3", []).unwrap();
    assert!(reader.events(1, u64::MAX).unwrap().reset);
    assert!(!reader.events(2, u64::MAX).unwrap().reset);
}

#[test]
fn a_failed_batch_leaves_nothing() {
    let mut store = Store::open(Path::new(":memory:")).unwrap();
    let token = token("t");
    let twice = Batch {
        jobs: vec![JobChanges::from_job(&job_row(1), true, usize::MAX)],
        tokens: vec![token.clone(), token],
        changes: vec![change("1")],
        ..Batch::default()
    };
    store.commit(&twice).unwrap_err();
    assert_eq!(store.revision(), 0);
    assert!(store.load("c").unwrap().jobs.is_empty());
}
