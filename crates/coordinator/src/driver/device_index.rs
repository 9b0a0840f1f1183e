//! Index of the enrolled devices by id, key and machine.
//!
//! A record that waits for approval is found by its key, never as its machine's device.

use std::collections::{BTreeMap, HashMap};

use protocol::{DeviceId, Opaque};

use crate::store::DeviceRow;

/// All enrolled devices.
#[derive(Debug, Default)]
pub(super) struct DeviceIndex {
    rows: BTreeMap<DeviceId, DeviceRow>,
    by_key: HashMap<Opaque, DeviceId>,
    /// By hardware id and instance.
    by_machine: HashMap<(String, u32), DeviceId>,
    /// Records that wait for approval, by hardware id and instance.
    waiting: HashMap<(String, u32), DeviceId>,
}

impl DeviceIndex {
    pub(super) fn get(&self, id: &DeviceId) -> Option<&DeviceRow> {
        self.rows.get(id)
    }

    /// Returns the device for changes of its data. Changes of key, machine or approval go through
    /// [`Self::insert`].
    pub(super) fn get_mut(&mut self, id: &DeviceId) -> Option<&mut DeviceRow> {
        self.rows.get_mut(id)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &DeviceRow> {
        self.rows.values()
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn of_key(&self, key: &Opaque) -> Option<&DeviceRow> {
        self.rows.get(self.by_key.get(key)?)
    }

    pub(super) fn of_machine(&self, hardware_id: &str, instance: u32) -> Option<&DeviceRow> {
        self.rows.get(self.by_machine.get(&(hardware_id.to_owned(), instance))?)
    }

    /// Returns the record that waits for approval to become this machine's device.
    pub(super) fn waiting_of(&self, hardware_id: &str, instance: u32) -> Option<&DeviceRow> {
        self.rows.get(self.waiting.get(&(hardware_id.to_owned(), instance))?)
    }

    /// Inserts the device and returns the earlier one with this id.
    pub(super) fn insert(&mut self, id: DeviceId, row: DeviceRow) -> Option<DeviceRow> {
        let before = self.remove(&id);
        self.by_key.insert(row.public_key.clone(), id);
        let machine = (row.hardware_id.clone(), row.instance);
        let index = if row.approval.is_some() { &mut self.waiting } else { &mut self.by_machine };
        index.insert(machine, id);
        self.rows.insert(id, row);
        before
    }

    pub(super) fn remove(&mut self, id: &DeviceId) -> Option<DeviceRow> {
        let row = self.rows.remove(id)?;
        self.by_key.remove(&row.public_key);
        let machine = (row.hardware_id.clone(), row.instance);
        for index in [&mut self.by_machine, &mut self.waiting] {
            // Another record may belong to the machine by now.
            if index.get(&machine) == Some(id) {
                index.remove(&machine);
            }
        }
        Some(row)
    }
}

impl FromIterator<DeviceRow> for DeviceIndex {
    fn from_iter<I: IntoIterator<Item = DeviceRow>>(rows: I) -> Self {
        let mut devices = Self::default();
        for row in rows {
            devices.insert(row.id, row);
        }
        devices
    }
}
