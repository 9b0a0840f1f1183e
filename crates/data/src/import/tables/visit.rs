//! Function that receives the rows of a table.

use std::borrow::Cow;

/// Receives a record: its line or row number, and its cells. A missing value is empty. Fails with a reason.
pub(super) type Visit<'v> = dyn FnMut(u64, &[Cow<'_, str>]) -> Result<(), String> + 'v;
