//! Menu-bar icon: shows [`node::app::menu`] and performs the chosen actions.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::anyhow;
use node::app::{Action, App, Item, View, menu};
use tauri::menu::{Menu, MenuBuilder, MenuItemBuilder, PredefinedMenuItem};
use tauri::tray::{MouseButton, MouseButtonState, TrayIcon, TrayIconBuilder, TrayIconEvent};
use tauri::{AppHandle, Manager, Runtime};

use crate::arguments::Page;
use crate::pictures::Picture;
use crate::windows;

/// Menu-bar icon with its current contents.
pub(crate) struct Tray<R: Runtime> {
    icon: TrayIcon<R>,
    items: Vec<Item>,
    picture: Picture,
    line: String,
}

impl<R: Runtime> Tray<R> {
    /// Adds the icon to the menu bar.
    ///
    /// # Errors
    /// This system does not support menu-bar icons. The app works without one.
    pub(crate) fn start(app: &AppHandle<R>, view: &View) -> anyhow::Result<Self> {
        let (items, picture) = (menu(view), Picture::from_icon(view.icon));
        let builder = TrayIconBuilder::with_id("constellation")
            .icon(picture.image()?)
            .icon_as_template(true)
            .tooltip(&view.line)
            .show_menu_on_left_click(false)
            .menu(&build_menu(app, &items)?)
            .on_menu_event(|app, event| {
                if let Some(action) = Action::from_id(event.id().as_ref()) {
                    perform(app, action);
                }
            })
            .on_tray_icon_event(|tray, event| {
                if let TrayIconEvent::Click {
                    button: MouseButton::Left,
                    button_state: MouseButtonState::Up,
                    rect,
                    ..
                } = event
                {
                    windows::toggle_popover(tray.app_handle(), Some(rect));
                }
            });
        // On Linux the library is loaded now, and Tauri panics if it is missing.
        let built = catch_unwind(AssertUnwindSafe(|| builder.build(app)));
        let icon =
            built.map_err(|_| anyhow!("the library for menu-bar icons is not installed"))??;
        Ok(Self { icon, items, picture, line: view.line.clone() })
    }

    /// Updates the icon, the tooltip and the menu if they changed.
    ///
    /// # Errors
    /// The system refuses. The old contents stay.
    pub(crate) fn show(&mut self, app: &AppHandle<R>, view: &View) -> tauri::Result<()> {
        let (items, picture) = (menu(view), Picture::from_icon(view.icon));
        if picture != self.picture {
            self.icon.set_icon_with_as_template(Some(picture.image()?), true)?;
            self.picture = picture;
        }
        if view.line != self.line {
            self.icon.set_tooltip(Some(&view.line))?;
            self.line.clone_from(&view.line);
        }
        if items != self.items {
            self.icon.set_menu(Some(build_menu(app, &items)?))?;
            self.items = items;
        }
        Ok(())
    }
}

fn build_menu<R: Runtime>(app: &AppHandle<R>, items: &[Item]) -> tauri::Result<Menu<R>> {
    let mut menu = MenuBuilder::new(app);
    for item in items {
        menu = match item {
            Item::Text(text) => menu.item(&MenuItemBuilder::new(text).enabled(false).build(app)?),
            Item::Choice { action, label } => {
                menu.item(&MenuItemBuilder::with_id(action.id(), label).build(app)?)
            }
            Item::Separator => menu.item(&PredefinedMenuItem::separator(app)?),
        };
    }
    menu.build()
}

/// Performs an action that was chosen in the menu.
pub(crate) fn perform<R: Runtime>(handle: &AppHandle<R>, action: Action) {
    let app = handle.state::<App>();
    match action {
        Action::ShowPopover => windows::open(handle, Page::Popover),
        Action::Pause(pause) => {
            if let Err(refusal) = app.pause(pause) {
                tracing::info!(refusal, "the pause was refused");
            }
        }
        Action::Resume => app.resume(),
        Action::Contribute => app.contribute(),
        Action::OpenDashboard => windows::open(handle, Page::Dashboard),
        Action::OpenSettings => windows::open(handle, Page::Settings),
        Action::OpenWelcome => windows::open(handle, Page::Welcome),
        Action::OpenDownload => app.open_download(),
        Action::Quit => handle.exit(0),
    }
}
