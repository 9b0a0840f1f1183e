//! The menu-bar icon: draws [`node::app::menu`] and hands back what was chosen.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::anyhow;
use node::app::{Action, App, Item, View, menu};
use tauri::menu::{Menu, MenuBuilder, MenuItemBuilder, PredefinedMenuItem};
use tauri::tray::{MouseButton, MouseButtonState, TrayIcon, TrayIconBuilder, TrayIconEvent};
use tauri::{AppHandle, Manager, Runtime};

use crate::arguments::Page;
use crate::pictures::Picture;
use crate::windows;

/// The icon, and what it shows.
pub struct Tray<R: Runtime> {
    icon: TrayIcon<R>,
    items: Vec<Item>,
    picture: Picture,
    line: String,
}

impl<R: Runtime> Tray<R> {
    /// Puts the icon into the menu bar.
    ///
    /// # Errors
    /// Where this system has no place for one: the app works without.
    pub fn start(app: &AppHandle<R>, view: &View) -> anyhow::Result<Self> {
        let (items, picture) = (menu(view), Picture::of(view.icon));
        let builder = TrayIconBuilder::with_id("constellation")
            .icon(picture.image()?)
            .icon_as_template(true)
            .tooltip(&view.line)
            .show_menu_on_left_click(false)
            .menu(&drawn(app, &items)?)
            .on_menu_event(|app, event| {
                if let Some(action) = Action::from_id(event.id().as_ref()) {
                    act(app, action);
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
        // On Linux the library behind it is looked for now, and its absence is a panic.
        let built = catch_unwind(AssertUnwindSafe(|| builder.build(app)));
        let icon = built.map_err(|_| anyhow!("this system has no library for it"))??;
        Ok(Self { icon, items, picture, line: view.line.clone() })
    }

    /// Draws what changed.
    ///
    /// # Errors
    /// Where the system refuses; the old picture stays.
    pub fn show(&mut self, app: &AppHandle<R>, view: &View) -> tauri::Result<()> {
        let (items, picture) = (menu(view), Picture::of(view.icon));
        if picture != self.picture {
            self.icon.set_icon_with_as_template(Some(picture.image()?), true)?;
            self.picture = picture;
        }
        if view.line != self.line {
            self.icon.set_tooltip(Some(&view.line))?;
            self.line.clone_from(&view.line);
        }
        if items != self.items {
            self.icon.set_menu(Some(drawn(app, &items)?))?;
            self.items = items;
        }
        Ok(())
    }
}

fn drawn<R: Runtime>(app: &AppHandle<R>, items: &[Item]) -> tauri::Result<Menu<R>> {
    let mut menu = MenuBuilder::new(app);
    for item in items {
        menu = match item {
            Item::Text(words) => menu.item(&MenuItemBuilder::new(words).enabled(false).build(app)?),
            Item::Choice { action, label: words } => {
                menu.item(&MenuItemBuilder::with_id(action.id(), words).build(app)?)
            }
            Item::Separator => menu.item(&PredefinedMenuItem::separator(app)?),
        };
    }
    menu.build()
}

/// Does what somebody chose.
pub fn act<R: Runtime>(handle: &AppHandle<R>, action: Action) {
    let app = handle.state::<App>();
    match action {
        Action::ShowPopover => windows::open(handle, Page::Popover),
        Action::Pause(pause) => {
            if let Err(refusal) = app.pause(pause) {
                tracing::info!(refusal, "not paused");
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
