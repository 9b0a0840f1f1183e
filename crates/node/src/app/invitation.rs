//! Invitation: a join link that waits for the person's decision.

use protocol::join::JoinCode;

/// Link that waits for the person's decision.
pub(super) struct Invitation {
    /// Random id. It ties an answer to the invitation that the person saw.
    pub(super) id: String,
    pub(super) code: JoinCode,
}
