//! Index of the enrolled devices by key and machine.
//!
//! A record that waits for approval is found by its key, never as its machine's device.

use std::collections::HashMap;

use federation::table::{Index, Table};
use protocol::{DeviceId, Opaque};

use crate::store::DeviceRow;

/// All enrolled devices by id.
pub(super) type Devices = Table<DeviceId, DeviceRow, DeviceIndex>;

#[derive(Debug, Default)]
pub(super) struct DeviceIndex {
    by_key: HashMap<Opaque, DeviceId>,
    /// By hardware id and instance.
    by_machine: HashMap<(String, u32), DeviceId>,
    /// Records that wait for approval, by hardware id and instance.
    waiting: HashMap<(String, u32), DeviceId>,
}

/// Lookup of a device by what the index holds.
pub(super) trait FindDevice {
    fn by_key(&self, key: &Opaque) -> Option<&DeviceRow>;
    fn by_hardware(&self, hardware_id: &str, instance: u32) -> Option<&DeviceRow>;
    /// Returns the record that waits for approval to become this machine's device.
    fn pending_by_hardware(&self, hardware_id: &str, instance: u32) -> Option<&DeviceRow>;
}

impl FindDevice for Devices {
    fn by_key(&self, key: &Opaque) -> Option<&DeviceRow> {
        self.get(self.index().by_key.get(key)?)
    }

    fn by_hardware(&self, hardware_id: &str, instance: u32) -> Option<&DeviceRow> {
        self.get(self.index().by_machine.get(&(hardware_id.to_owned(), instance))?)
    }

    fn pending_by_hardware(&self, hardware_id: &str, instance: u32) -> Option<&DeviceRow> {
        self.get(self.index().waiting.get(&(hardware_id.to_owned(), instance))?)
    }
}

impl Index<DeviceId, DeviceRow> for DeviceIndex {
    fn insert(&mut self, id: &DeviceId, row: &DeviceRow) {
        self.by_key.insert(row.public_key.clone(), *id);
        let machine = (row.hardware_id.clone(), row.instance);
        let index = if row.approval.is_some() { &mut self.waiting } else { &mut self.by_machine };
        index.insert(machine, *id);
    }

    fn remove(&mut self, id: &DeviceId, row: &DeviceRow) {
        let machine = (row.hardware_id.clone(), row.instance);
        if self.by_key.get(&row.public_key) == Some(id) {
            self.by_key.remove(&row.public_key);
        }
        for index in [&mut self.by_machine, &mut self.waiting] {
            // Another record may belong to the machine by now.
            if index.get(&machine) == Some(id) {
                index.remove(&machine);
            }
        }
    }
}
