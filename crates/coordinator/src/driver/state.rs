//! In-memory copy of the database, as tables whose changes are committed or rolled back together.

use std::collections::{BTreeMap, HashSet};

use federation::table::{Table, Transaction};
use protocol::{BlobHash, DeviceId, JobId, LeaseId, ModelId};

use super::device_index::{DeviceIndex, Devices};
use super::join_code_index::{JoinCodeIndex, JoinCodes};
use super::lease_records::open_record;
use super::notification_tables::Notifications;
use super::sign_in_links::Links;
use crate::store::{
    DatasetRow, Day, JobDetails, JobRow, LeaseRow, Loaded, ModelName, ModelRow, SessionRow,
    TokenRow,
};

#[derive(Debug, Default)]
pub(super) struct State {
    /// Each machine has a transaction of its own.
    pub(super) jobs: Table<JobId, JobRow>,
    /// Jobs that have any details.
    pub(super) job_details: Table<JobId, JobDetails>,
    pub(super) devices: Devices,
    /// Worker run that each device last reported. A restart clears them.
    pub(super) runs: Table<DeviceId, String>,
    pub(super) join_codes: JoinCodes,
    pub(super) tokens: Table<String, TokenRow>,
    pub(super) sessions: Table<String, SessionRow>,
    pub(super) links: Links,
    pub(super) model_names: Table<String, ModelName>,
    pub(super) model_files: Table<ModelId, BlobHash>,
    /// Models that this batch writes.
    pub(super) models: Table<ModelId, ModelRow>,
    /// Models that this batch deletes.
    pub(super) removed_models: Table<ModelId, ()>,
    /// By id.
    pub(super) datasets: Table<String, DatasetRow>,
    /// Devices that were active at the last check, to detect those that go silent.
    pub(super) active: HashSet<DeviceId>,
    pub(super) notifications: Notifications,
    /// Jobs with an open notice that they are stalled.
    pub(super) stalled: Table<JobId, ()>,
    /// Held leases, and those that this batch ends.
    pub(super) leases: Table<LeaseId, LeaseRow>,
    /// By date.
    pub(super) days: Table<String, Day>,
    /// Jobs that were granted leases since the last trim.
    pub(super) leased_jobs: HashSet<JobId>,
}

impl State {
    /// Returns whether a commit has something to write, apart from the jobs' machines.
    pub(super) fn has_unwritten(&mut self) -> bool {
        self.written_tables().iter().any(|table| table.has_unwritten())
    }

    /// Keeps the changes of all tables, which are written.
    pub(super) fn commit(&mut self) {
        let changed = self.leases.changed().filter_map(|(lease, _)| self.leases.get(lease));
        let ended = changed.filter(|row| !row.is_open()).map(|row| row.record.id);
        let ended: Vec<LeaseId> = ended.collect();
        for table in self.written_tables() {
            table.commit();
        }
        for table in self.transient_tables() {
            table.commit();
        }
        // They are only read from the database from now on.
        for lease in ended {
            self.leases.evict(&lease);
        }
        for model in self.models.keys().copied().collect::<Vec<_>>() {
            self.models.evict(&model);
        }
        for model in self.removed_models.keys().copied().collect::<Vec<_>>() {
            self.removed_models.evict(&model);
        }
    }

    /// Undoes the changes of all tables.
    pub(super) fn roll_back(&mut self) {
        for table in self.written_tables() {
            table.roll_back();
        }
        for table in self.transient_tables() {
            table.roll_back();
        }
    }

    /// Returns the tables that the database has too.
    fn written_tables(&mut self) -> [&mut dyn Transaction; 15] {
        [
            &mut self.jobs,
            &mut self.job_details,
            &mut self.devices,
            &mut self.join_codes,
            &mut self.tokens,
            &mut self.sessions,
            &mut self.models,
            &mut self.removed_models,
            &mut self.model_names,
            &mut self.datasets,
            &mut self.notifications.notices,
            &mut self.notifications.webhooks,
            &mut self.notifications.deliveries,
            &mut self.leases,
            &mut self.days,
        ]
    }

    /// Returns the tables that follow from others or that a restart clears.
    fn transient_tables(&mut self) -> [&mut dyn Transaction; 4] {
        [&mut self.runs, &mut self.links, &mut self.model_files, &mut self.stalled]
    }
}

impl From<Loaded> for State {
    fn from(loaded: Loaded) -> Self {
        let model_files = loaded.models.iter().map(|row| (row.model.id, row.model.blake3));
        let model_names = loaded.model_names.into_iter().map(|it| (it.name, it.row));
        let details = loaded.job_details.into_iter().map(|it| (it.job, it.details));
        let notifications = Notifications::from(&loaded.notifications);
        let join_codes = loaded.join_codes.into_iter().map(|row| (row.id.clone(), row)).collect();
        let devices = loaded.devices.into_iter().map(|row| (row.id, row)).collect();
        let devices = Devices::stored(devices, DeviceIndex::default());
        let mut leases: BTreeMap<LeaseId, LeaseRow> =
            loaded.leases.into_iter().map(|row| (row.record.id, row)).collect();
        for machine in loaded.jobs.iter().map(|row| &row.machine) {
            for lease in machine.holders().filter_map(|device| machine.lease_of(device)) {
                let record = || open_record(&lease, devices.get(&lease.device_id));
                leases.entry(lease.id).or_insert_with(record);
            }
        }
        Self {
            model_files: Table::stored(model_files.collect(), ()),
            model_names: Table::stored(model_names.collect(), ()),
            job_details: Table::stored(details.collect(), ()),
            datasets: stored(loaded.datasets, |row| row.id.clone()),
            stalled: Table::stored(notifications.stalled().map(|job| (job, ())).collect(), ()),
            notifications,
            jobs: stored(loaded.jobs, |row| row.id),
            devices,
            join_codes: Table::stored(join_codes, JoinCodeIndex::default()),
            tokens: stored(loaded.tokens, |row| row.id.clone()),
            sessions: stored(loaded.sessions, |row| row.id.clone()),
            leases: Table::stored(leases, ()),
            days: Table::stored(
                loaded.days.into_iter().map(|row| (row.date, row.day)).collect(),
                (),
            ),
            ..Self::default()
        }
    }
}

fn stored<K: Ord + Clone, V: Clone>(rows: Vec<V>, key: impl Fn(&V) -> K) -> Table<K, V> {
    Table::stored(rows.into_iter().map(|row| (key(&row), row)).collect(), ())
}
