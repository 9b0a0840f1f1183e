//! A build without a GPU backend.

use super::Adapter;

pub(super) fn open(_software: bool) -> Result<Adapter, String> {
    Err("this program was built without a GPU backend.".to_owned())
}
