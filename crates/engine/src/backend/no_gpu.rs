//! Stub for builds without a GPU backend.

use std::path::Path;

use super::adapter::Adapter;

pub(super) fn open(_software: bool, _cache: Option<&Path>) -> Result<Adapter, String> {
    Err("this program was built without a GPU backend.".to_owned())
}
