//! Windows of the app. Each is created on demand and destroyed when it is closed, so that an idle app has no
//! web view.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use node::app::App;
use tauri::webview::{NewWindowResponse, WebviewWindowBuilder};
use tauri::{
    AppHandle, Manager, PhysicalPosition, Rect, Runtime, Url, WebviewUrl, WebviewWindow,
    WindowEvent,
};

use crate::arguments::Page;
use crate::{dashboard, macos};

impl Page {
    /// Returns the label of the page's window.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Popover => "popover",
            Self::Settings => "settings",
            Self::Welcome => "welcome",
            Self::Join => "join",
            Self::Dashboard => dashboard::LABEL,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Popover => "Constellation",
            Self::Settings => "Constellation Settings",
            Self::Welcome => "Welcome to Constellation",
            Self::Join => "Join a Cluster",
            Self::Dashboard => "Constellation Dashboard",
        }
    }

    /// Returns the width and height in points.
    const fn size(self) -> (f64, f64) {
        match self {
            Self::Popover => (360.0, 440.0),
            Self::Settings => (640.0, 680.0),
            Self::Welcome => (560.0, 560.0),
            Self::Join => (520.0, 600.0),
            Self::Dashboard => (1240.0, 820.0),
        }
    }
}

/// Shows a page's existing window, or creates one. Errors are logged, because the menu still works.
pub(crate) fn open<R: Runtime>(app: &AppHandle<R>, page: Page) {
    if let Err(error) = try_open(app, page) {
        tracing::warn!(%error, ?page, "can't open a window");
    }
}

fn try_open<R: Runtime>(app: &AppHandle<R>, page: Page) -> tauri::Result<()> {
    if let Some(window) = app.get_webview_window(page.label()) {
        window.unminimize()?;
        window.show()?;
        return window.set_focus();
    }
    let url = match page {
        Page::Dashboard => WebviewUrl::CustomProtocol(dashboard::url()),
        Page::Popover | Page::Settings | Page::Welcome | Page::Join => {
            WebviewUrl::App(format!("app.html#/{}", page.label()).into())
        }
    };
    let (width, height) = page.size();
    let builder = WebviewWindowBuilder::new(app, page.label(), url)
        .title(page.title())
        .inner_size(width, height)
        .on_navigation(move |url| stays(page, url))
        .on_new_window(|_, _| NewWindowResponse::Deny);
    let builder = match page {
        Page::Popover => {
            builder.resizable(false).decorations(false).always_on_top(true).skip_taskbar(true)
        }
        Page::Welcome | Page::Join => builder.resizable(false).center(),
        Page::Settings => builder.min_inner_size(480.0, 400.0).center(),
        Page::Dashboard => builder.min_inner_size(360.0, 400.0),
    };
    let window = builder.build()?;
    if page == Page::Dashboard {
        macos::show_in_dock(app, true);
    }
    let closing = app.clone();
    window.on_window_event(move |event| {
        let WindowEvent::Destroyed = event else { return };
        match page {
            Page::Dashboard => macos::show_in_dock(&closing, false),
            // Closing the window without an answer declines the invitation.
            Page::Join => closing.state::<App>().decline(None),
            Page::Popover | Page::Settings | Page::Welcome => {}
        }
    });
    window.set_focus()
}

/// Returns whether a page may navigate to this URL. The app's pages and the dashboard stay on their own origins,
/// whatever a script or a link requests.
fn stays(page: Page, url: &Url) -> bool {
    let is_own = |scheme: &str| {
        url.scheme() == scheme && url.host_str() == Some("localhost") && url.port().is_none()
    };
    let stays = match page {
        Page::Popover | Page::Settings | Page::Welcome | Page::Join => is_own("tauri"),
        // Files that the page creates are `blob:` URLs of its origin.
        Page::Dashboard => {
            is_own(dashboard::SCHEME) || url.as_str().starts_with("blob:dashboard://localhost/")
        }
    };
    if !stays {
        tracing::warn!(%url, ?page, "a page wanted to go elsewhere");
    }
    stays
}

/// Time when the popover was last closed because it lost the focus.
static PUT_AWAY: Mutex<Option<Instant>> = Mutex::new(None);
/// Time in which a click on the icon belongs to the loss of focus: such a click closes the popover and must not
/// open it again.
const SAME_CLICK: Duration = Duration::from_millis(400);

/// Shows the popover below the icon, or closes it. It also closes when it loses the focus.
pub(crate) fn toggle_popover<R: Runtime>(app: &AppHandle<R>, icon: Option<Rect>) {
    if let Some(window) = app.get_webview_window(Page::Popover.label()) {
        return put_away(&window);
    }
    let put_away_at = PUT_AWAY.lock().unwrap_or_else(PoisonError::into_inner).take();
    if put_away_at.is_some_and(|at| at.elapsed() < SAME_CLICK) {
        return;
    }
    open(app, Page::Popover);
    let Some(window) = app.get_webview_window(Page::Popover.label()) else { return };
    let watched = window.clone();
    window.on_window_event(move |event| {
        if let WindowEvent::Focused(false) = event {
            *PUT_AWAY.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            put_away(&watched);
        }
    });
    let Some(icon) = icon else { return };
    let scale = window.scale_factor().unwrap_or(1.0);
    let (at, size) = (icon.position.to_physical::<f64>(scale), icon.size.to_physical::<f64>(scale));
    let width = Page::Popover.size().0 * scale;
    let middle = at.x + size.width / 2.0;
    let x = match app.monitor_from_point(middle, at.y) {
        Ok(Some(screen)) => {
            let left = f64::from(screen.position().x);
            let right = left + f64::from(screen.size().width) - width;
            (middle - width / 2.0).min(right).max(left)
        }
        Ok(None) | Err(_) => middle - width / 2.0,
    };
    if let Err(error) = window.set_position(PhysicalPosition::new(x, at.y + size.height)) {
        tracing::warn!(%error, "can't position the popover");
    }
}

fn put_away<R: Runtime>(popover: &WebviewWindow<R>) {
    if let Err(error) = popover.close() {
        tracing::warn!(%error, "can't close the popover");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_stays_on_its_own_origin() {
        let own = "tauri://localhost/app.html#/settings";
        let dashboard = "dashboard://localhost/#/jobs";
        let file = "blob:dashboard://localhost/01890a5d";
        let elsewhere = [
            "https://example.invalid/",
            "http://tauri.localhost/",
            "tauri://example.invalid/",
            "dashboard://example.invalid/",
            "blob:https://example.invalid/1",
            "blob:dashboard://localhost.example/1",
            "data:text/html,x",
            "file:///etc/passwd",
            "about:blank",
            "javascript:void(0)",
        ];
        for page in [Page::Popover, Page::Settings, Page::Welcome, Page::Join, Page::Dashboard] {
            let at_home = |text: &str| stays(page, &Url::parse(text).unwrap());
            let is_dashboard = page == Page::Dashboard;
            let expected = [(own, !is_dashboard), (dashboard, is_dashboard), (file, is_dashboard)];
            for (url, expected) in expected {
                assert_eq!(at_home(url), expected, "{page:?} {url}");
            }
            for url in elsewhere {
                assert!(!at_home(url), "{page:?} {url}");
            }
        }
    }
}
