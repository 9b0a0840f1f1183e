//! macOS: the bundle itself as a login item, by `SMAppService` (macOS 13). Type-checked only; it has never
//! run on a Mac.

use std::path::Path;

use objc2_service_management::{SMAppService, SMAppServiceStatus};

/// Launch agent that the package installs if the organization's profile starts the app at login
/// (`packaging/scripts/postinstall`). A login item would then start the app twice.
const LAUNCH_AGENT: &str = "/Library/LaunchAgents/com.constellation.app.agent.plist";

#[derive(Debug, Clone)]
pub(super) struct Item(());

impl Item {
    #[expect(clippy::unnecessary_wraps, reason = "other systems may have no place for it")]
    pub(super) fn current_user() -> Result<Self, String> {
        Ok(Self(()))
    }

    #[expect(clippy::unused_self, reason = "macOS knows which program asks")]
    #[expect(unsafe_code, reason = "the bindings mark every method of the framework so")]
    pub(super) fn set(&self, starts: bool) -> Result<(), String> {
        let starts = starts && !Path::new(LAUNCH_AGENT).exists();
        // SAFETY: the calls take nothing from us, and the class exists from macOS 13 on, the oldest
        // that the bundle allows.
        let (service, status) = unsafe {
            let service = SMAppService::mainAppService();
            let status = service.status();
            (service, status)
        };
        let is_there =
            matches!(status, SMAppServiceStatus::Enabled | SMAppServiceStatus::RequiresApproval);
        if starts != is_there {
            // SAFETY: as above.
            let done = unsafe {
                if starts {
                    service.registerAndReturnError()
                } else {
                    service.unregisterAndReturnError()
                }
            };
            done.map_err(|error| error.localizedDescription().to_string())?;
        }
        // SAFETY: as above.
        if starts && unsafe { service.status() } == SMAppServiceStatus::RequiresApproval {
            return Err(
                "macOS needs your permission: allow Constellation in System Settings, General, Login \
                 Items"
                    .into()
            );
        }
        Ok(())
    }
}
