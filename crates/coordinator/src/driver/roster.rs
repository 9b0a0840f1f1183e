//! The enrolled devices, found by id, by key and by machine without looking through them all.
//!
//! A record that waits for approval is found by its key, and never as its machine's device.

use std::collections::{BTreeMap, HashMap};

use protocol::{DeviceId, Opaque};

use crate::store::DeviceRow;

/// Every enrolled device.
#[derive(Debug, Default)]
pub(super) struct Devices {
    rows: BTreeMap<DeviceId, DeviceRow>,
    by_key: HashMap<Opaque, DeviceId>,
    /// By hardware id and instance.
    by_machine: HashMap<(String, u32), DeviceId>,
    /// Records that wait for approval, by hardware id and instance.
    waiting: HashMap<(String, u32), DeviceId>,
}

impl Devices {
    pub(super) fn get(&self, id: &DeviceId) -> Option<&DeviceRow> {
        self.rows.get(id)
    }

    /// For what changes of a device; its key, machine and approval change by [`Self::insert`].
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

    /// The record that waits for approval to become this machine's device.
    pub(super) fn waiting_of(&self, hardware_id: &str, instance: u32) -> Option<&DeviceRow> {
        self.rows.get(self.waiting.get(&(hardware_id.to_owned(), instance))?)
    }

    /// Puts the device in place of an earlier one of this id, which is given back.
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
            // Another record may be the machine's by now.
            if index.get(&machine) == Some(id) {
                index.remove(&machine);
            }
        }
        Some(row)
    }
}

impl FromIterator<DeviceRow> for Devices {
    fn from_iter<I: IntoIterator<Item = DeviceRow>>(rows: I) -> Self {
        let mut devices = Self::default();
        for row in rows {
            devices.insert(row.id, row);
        }
        devices
    }
}
