//! Returns unused memory to the system while the app is idle.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::view::{Icon, View};

/// Idle time before memory is returned, so that a short pause between leases does not trigger it.
const IDLE_DELAY: Duration = Duration::from_secs(30);

/// Returns memory once per idle period, until the app ends.
pub(super) async fn follow(mut views: watch::Receiver<View>) {
    loop {
        if views.wait_for(is_idle).await.is_err() {
            return;
        }
        match timeout(IDLE_DELAY, views.wait_for(|view| !is_idle(view))).await {
            Ok(Ok(_)) => continue,
            Ok(Err(_)) => return,
            Err(_) => {}
        }
        // The allocator walks all free memory, which would block an async thread.
        if tokio::task::spawn_blocking(platform::memory::release_unused).await.is_err()
            || views.wait_for(|view| !is_idle(view)).await.is_err()
        {
            return;
        }
    }
}

const fn is_idle(view: &View) -> bool {
    !matches!(view.icon, Icon::Training { .. })
}
