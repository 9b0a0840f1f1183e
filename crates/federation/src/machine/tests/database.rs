//! Rows of a machine as JSON, as the coordinator stores them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Deserializer;

use super::*;

/// Rows by key.
type Rows<K> = BTreeMap<K, String>;

#[derive(Debug, Default)]
pub(super) struct Database {
    head: String,
    preparation: Option<String>,
    seats: Rows<u32>,
    leases: Rows<LeaseId>,
    past_leases: Rows<LeaseId>,
    rounds: Rows<u32>,
    devices: Rows<DeviceId>,
}

impl Database {
    pub(super) fn from_machine(machine: &Machine) -> Self {
        let mut database = Self::default();
        database.write(machine.all_rows());
        database
    }

    /// Writes what changed.
    pub(super) fn write(&mut self, changes: Changes) {
        self.head = json(&changes.head);
        if let Some(preparation) = &changes.preparation {
            self.preparation = Some(json(&**preparation));
        }
        put(&mut self.seats, changes.seats);
        put(&mut self.leases, changes.leases);
        put(&mut self.past_leases, changes.past_leases);
        put(&mut self.rounds, changes.rounds);
        put(&mut self.devices, changes.devices);
    }

    /// Restores the machine.
    pub(super) fn machine(&self) -> Machine {
        let mut parts = MachineRows::new(serde_json::from_str(&self.head).unwrap());
        if let Some(preparation) = &self.preparation {
            parts.set_preparation(serde_json::from_str(preparation).unwrap());
        }
        for (seat, row) in &self.seats {
            parts.add_seat(*seat, &mut Deserializer::from_str(row)).unwrap();
        }
        for (lease, row) in &self.leases {
            parts.add_lease(*lease, &mut Deserializer::from_str(row)).unwrap();
        }
        for (lease, row) in &self.past_leases {
            parts.add_past_lease(*lease, &mut Deserializer::from_str(row)).unwrap();
        }
        for row in self.rounds.values() {
            parts.add_round(&mut Deserializer::from_str(row)).unwrap();
        }
        for (device, row) in &self.devices {
            parts.add_device(*device, &mut Deserializer::from_str(row)).unwrap();
        }
        parts.machine().unwrap()
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

fn put<K: Ord>(rows: &mut Rows<K>, changed: Vec<(K, Option<Record>)>) {
    for (key, record) in changed {
        match record {
            Some(record) => rows.insert(key, json(&record)),
            None => rows.remove(&key),
        };
    }
}
