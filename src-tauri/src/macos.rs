//! macOS: the Dock icon, and `constellation://` links that the system delivers.

use tauri::{AppHandle, Runtime};

/// Shows or hides the Dock icon. The app has one only while the dashboard is open.
#[cfg(target_os = "macos")]
pub(crate) fn show_in_dock<R: Runtime>(app: &AppHandle<R>, shown: bool) {
    use tauri::ActivationPolicy;
    let policy = if shown { ActivationPolicy::Regular } else { ActivationPolicy::Accessory };
    if let Err(error) = app.set_activation_policy(policy) {
        tracing::warn!(%error, "can't change the Dock icon");
    }
}

#[cfg(not(target_os = "macos"))]
pub(crate) fn show_in_dock<R: Runtime>(_: &AppHandle<R>, _: bool) {}

/// Calls `open` with each `constellation://…` link that is opened. Other systems pass links as an argument of
/// the program.
#[cfg(target_os = "macos")]
pub(crate) fn on_link<R: Runtime>(app: &AppHandle<R>, open: impl Fn(&str) + Send + Sync + 'static) {
    use tauri_plugin_deep_link::DeepLinkExt;
    app.deep_link().on_open_url(move |event| {
        for url in event.urls() {
            open(url.as_str());
        }
    });
}

#[cfg(not(target_os = "macos"))]
pub(crate) fn on_link<R: Runtime>(_: &AppHandle<R>, _: impl Fn(&str) + Send + Sync + 'static) {}
