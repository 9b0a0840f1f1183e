//! App with a display: Tauri, the menu-bar icon and the windows.

use std::sync::Mutex;

use clap::Parser;
use node::app::single_instance::SingleInstance;
use node::app::{App, Options};
use tauri::{AppHandle, Builder, Emitter, Manager, RunEvent, Runtime};
use tokio::runtime::Runtime as Tokio;

use crate::arguments::{Arguments, Page};
use crate::tray::Tray;
use crate::{commands, dashboard, macos, windows};

/// Runs until the user quits.
///
/// # Errors
/// The settings, the app's folder or the display can't be used.
pub(crate) fn run(
    arguments: &Arguments,
    instance: Option<SingleInstance>,
    options: Options,
    tokio: Tokio,
) -> anyhow::Result<()> {
    tauri::async_runtime::set(tokio.handle().clone());
    let (show, link) = (arguments.show, arguments.link.clone());
    let stopped = tokio.block_on(async { node::until_signal() })?;
    let app = configure(Builder::default())
        .setup(move |tauri| {
            let handle = tauri.handle().clone();
            let app = App::start(options, tauri::async_runtime::handle().inner().clone())?;
            handle.manage(app.clone());
            macos::show_in_dock(&handle, false);
            begin(&handle, &app, show, link.as_deref());
            if let Some(instance) = instance {
                let running = handle.clone();
                let runtime = tauri::async_runtime::handle();
                instance.serve(runtime.inner(), move |line| again(&running, line));
            }
            let quitting = handle.clone();
            tauri::async_runtime::spawn(async move {
                stopped.cancelled().await;
                quitting.exit(0);
            });
            Ok(())
        })
        .build(tauri::generate_context!())?;
    app.run(|handle, event| {
        if let RunEvent::ExitRequested { code: None, api, .. } = &event {
            // The last window is closed, but the icon stays.
            api.prevent_exit();
        }
        if let RunEvent::Exit = event {
            tauri::async_runtime::block_on(handle.state::<App>().stop());
        }
    });
    drop(tokio);
    Ok(())
}

/// Configures Tauri in the same way for the app and its tests.
pub(crate) fn configure<R: Runtime>(builder: Builder<R>) -> Builder<R> {
    let places = tauri_plugin_window_state::Builder::new()
        .with_denylist(&[Page::Popover.label(), Page::Welcome.label(), Page::Join.label()])
        .build();
    builder
        .plugin(places)
        .plugin(tauri_plugin_deep_link::init())
        .register_asynchronous_uri_scheme_protocol(dashboard::SCHEME, dashboard::answer)
        .invoke_handler(tauri::generate_handler![
            commands::view,
            commands::settings,
            commands::set_setting,
            commands::choose,
            commands::join,
            commands::accept,
            commands::decline,
            commands::leave,
            commands::pause,
            commands::resume,
            commands::contribute,
            commands::open,
            commands::close,
            commands::quit,
        ])
}

/// Shows the initial windows, and follows the view from then on.
fn begin<R: Runtime>(handle: &AppHandle<R>, app: &App, show: Option<Page>, link: Option<&str>) {
    let view = app.views().borrow().clone();
    let tray = Tray::start(handle, &view)
        .inspect_err(|error| {
            tracing::warn!(%error, "no menu-bar icon");
            app.note(format!(
                "Can't show the menu-bar icon: {error}. Start the app again to see this window."
            ));
        })
        .ok();
    let tray_is_there = tray.is_some();
    follow(handle, app, tray);
    let opening = handle.clone();
    macos::on_link(handle, move |link| drop(opened(&opening, link)));
    let invited = link.is_some_and(|link| opened(handle, link).is_ok());
    let page = match show {
        Some(page) => Some(page),
        None if invited => None,
        None if !view.mode.is_chosen => Some(Page::Welcome),
        None if !tray_is_there => Some(Page::Popover),
        None => None,
    };
    if let Some(page) = page {
        windows::open(handle, page);
    }
}

/// Displays each new view and sends it to the pages.
fn follow<R: Runtime>(handle: &AppHandle<R>, app: &App, tray: Option<Tray<R>>) {
    let (handle, mut views) = (handle.clone(), app.views());
    let tray = std::sync::Arc::new(Mutex::new(tray));
    tauri::async_runtime::spawn(async move {
        while views.changed().await.is_ok() {
            let view = views.borrow_and_update().clone();
            if let Err(error) = handle.emit("view", &view) {
                tracing::debug!(%error, "can't send the view to a page");
            }
            let (drawing, tray) = (handle.clone(), tray.clone());
            // System menus may only be changed on the main thread.
            let drawn = handle.run_on_main_thread(move || {
                let mut tray = tray.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Some(tray) = tray.as_mut()
                    && let Err(error) = tray.show(&drawing, &view)
                {
                    tracing::warn!(%error, "can't update the menu-bar icon");
                }
            });
            if drawn.is_err() {
                return;
            }
        }
    });
}

/// Handles a later start of the app: shows a window or opens a link. Returns the reason if a link can't be
/// opened.
fn again<R: Runtime>(handle: &AppHandle<R>, line: Vec<String>) -> Result<(), String> {
    let asked = Arguments::try_parse_from(line).ok();
    if let Some(link) = asked.as_ref().and_then(|asked| asked.link.as_deref()) {
        return opened(handle, link);
    }
    windows::open(handle, asked.and_then(|asked| asked.show).unwrap_or(Page::Popover));
    Ok(())
}

/// Asks for confirmation of a link from outside, because any web page can open one.
fn opened<R: Runtime>(handle: &AppHandle<R>, link: &str) -> Result<(), String> {
    match handle.state::<App>().invite(link) {
        Ok(()) => {
            windows::open(handle, Page::Join);
            Ok(())
        }
        Err(refusal) => {
            tracing::warn!(refusal, "a link could not be opened");
            Err(refusal)
        }
    }
}
