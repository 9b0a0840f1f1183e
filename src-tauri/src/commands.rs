//! Commands for the app's pages.
#![expect(clippy::needless_pass_by_value, reason = "Tauri hands everything over by value")]

use node::app::{App, Joining, Mode, Pause, SettingsView, View};
use tauri::{AppHandle, Runtime, State, WebviewWindow};

use crate::arguments::Page;
use crate::windows;

#[tauri::command]
pub(crate) fn view(app: State<'_, App>) -> View {
    app.views().borrow().clone()
}

#[tauri::command]
pub(crate) fn settings(app: State<'_, App>) -> SettingsView {
    app.settings()
}

#[tauri::command]
pub(crate) fn set_setting(
    app: State<'_, App>,
    key: &str,
    value: Option<&str>,
) -> Result<SettingsView, String> {
    app.set(key, value)
}

#[tauri::command]
pub(crate) fn choose(app: State<'_, App>, worker: bool, coordinator: bool) -> Result<(), String> {
    app.choose(Mode { worker, coordinator })
}

/// Async, because a window can't be created while the page's thread waits for the response.
#[tauri::command]
pub(crate) async fn join<R: Runtime>(
    handle: AppHandle<R>,
    app: State<'_, App>,
    code: String,
) -> Result<(), String> {
    match app.join(&code)? {
        Joining::Started => {}
        Joining::Invited => windows::open(&handle, Page::Join),
    }
    Ok(())
}

#[tauri::command]
pub(crate) fn accept(app: State<'_, App>, invitation: &str) -> Result<(), String> {
    app.accept(invitation)
}

#[tauri::command]
pub(crate) fn decline(app: State<'_, App>, invitation: &str) {
    app.decline(Some(invitation));
}

#[tauri::command]
pub(crate) async fn leave(app: State<'_, App>) -> Result<String, String> {
    app.leave().await
}

#[tauri::command]
pub(crate) fn pause(app: State<'_, App>, until: Pause) -> Result<(), String> {
    app.pause(until)
}

#[tauri::command]
pub(crate) fn resume(app: State<'_, App>) {
    app.resume();
}

#[tauri::command]
pub(crate) fn contribute(app: State<'_, App>) {
    app.contribute();
}

/// Async, because a window can't be created while the page's thread waits for the response.
#[tauri::command]
pub(crate) async fn open<R: Runtime>(handle: AppHandle<R>, page: Page) {
    windows::open(&handle, page);
}

#[tauri::command]
pub(crate) fn close<R: Runtime>(window: WebviewWindow<R>) -> Result<(), String> {
    window.close().map_err(|error| error.to_string())
}

#[tauri::command]
pub(crate) fn quit<R: Runtime>(handle: AppHandle<R>, app: State<'_, App>) -> Result<(), String> {
    if !app.views().borrow().may.quit {
        return Err("Managed by your organization: you can't quit the app here.".to_owned());
    }
    handle.exit(0);
    Ok(())
}
