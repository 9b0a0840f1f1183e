//! An app that waits gives back the memory that its start, or the work before, needed.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::view::{Icon, View};

/// It may be at work again at once.
const AFTER: Duration = Duration::from_secs(30);

/// Gives back once in each wait, until the app ends.
pub(super) async fn follow(mut views: watch::Receiver<View>) {
    loop {
        if views.wait_for(rests).await.is_err() {
            return;
        }
        match timeout(AFTER, views.wait_for(|view| !rests(view))).await {
            Ok(Ok(_)) => continue,
            Ok(Err(_)) => return,
            Err(_) => {}
        }
        // The allocator walks all that is free, which no async thread should.
        if tokio::task::spawn_blocking(platform::memory::give_back).await.is_err()
            || views.wait_for(|view| !rests(view)).await.is_err()
        {
            return;
        }
    }
}

const fn rests(view: &View) -> bool {
    !matches!(view.icon, Icon::Training { .. })
}
