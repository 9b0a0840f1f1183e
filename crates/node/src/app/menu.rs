//! The menu of the menu-bar icon as a value. The tray draws it and reports the chosen [`Action`].

use super::user_override::Pause;
use super::view::{CoordinatorView, Membership, OverrideView, UpdateView, View};

/// One line of the menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Text that can't be chosen.
    Text(String),
    Choice {
        action: Action,
        label: String,
    },
    Separator,
}

/// An action that the user can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    ShowPopover,
    Pause(Pause),
    Resume,
    Contribute,
    OpenDashboard,
    OpenSettings,
    OpenWelcome,
    /// Opens the download page of a newer version.
    OpenDownload,
    Quit,
}

impl Action {
    pub const ALL: [Self; 11] = [
        Self::ShowPopover,
        Self::Pause(Pause::Hour),
        Self::Pause(Pause::Tomorrow),
        Self::Pause(Pause::Resumed),
        Self::Resume,
        Self::Contribute,
        Self::OpenDashboard,
        Self::OpenSettings,
        Self::OpenWelcome,
        Self::OpenDownload,
        Self::Quit,
    ];

    /// Identifier of the line in the system's menu.
    pub const fn id(self) -> &'static str {
        match self {
            Self::ShowPopover => "show",
            Self::Pause(Pause::Hour) => "pause-hour",
            Self::Pause(Pause::Tomorrow) => "pause-tomorrow",
            Self::Pause(Pause::Resumed) => "pause-resumed",
            Self::Resume => "resume",
            Self::Contribute => "contribute",
            Self::OpenDashboard => "open-dashboard",
            Self::OpenSettings => "open-settings",
            Self::OpenWelcome => "open-welcome",
            Self::OpenDownload => "open-download",
            Self::Quit => "quit",
        }
    }

    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.id() == id)
    }

    const fn label(self) -> &'static str {
        match self {
            Self::ShowPopover => "Show Constellation",
            Self::Pause(Pause::Hour) => "Pause for 1 Hour",
            Self::Pause(Pause::Tomorrow) => "Pause until Tomorrow",
            Self::Pause(Pause::Resumed) => "Pause until I Resume",
            Self::Resume => "Resume",
            Self::Contribute => "Contribute Now",
            Self::OpenDashboard => "Open Dashboard",
            Self::OpenSettings => "Settings…",
            Self::OpenWelcome => "Set Up…",
            Self::OpenDownload => "Open the Download Page",
            Self::Quit => "Quit Constellation",
        }
    }
}

/// Returns the menu for `view`.
pub fn menu(view: &View) -> Vec<Item> {
    let choice = |action: Action| Item::Choice { action, label: action.label().to_owned() };
    let mut items = vec![Item::Text(view.line.clone())];
    if let UpdateView::Newer { version, .. } = &view.update {
        let label = format!("Version {version} Is Available…");
        items.push(Item::Choice { action: Action::OpenDownload, label });
    }
    if !view.mode.is_chosen {
        items.push(choice(Action::OpenWelcome));
    }
    items.extend([Item::Separator, choice(Action::ShowPopover)]);
    let is_member = matches!(view.membership, Membership::Member { .. });
    if view.mode.worker && is_member {
        items.push(Item::Separator);
        match view.wish {
            OverrideView::Paused { .. } if view.may.pause => items.push(choice(Action::Resume)),
            OverrideView::Paused { .. } => {}
            OverrideView::None | OverrideView::Contributing { .. } if view.may.pause => {
                let pauses = [Pause::Hour, Pause::Tomorrow, Pause::Resumed];
                items.extend(pauses.map(|pause| choice(Action::Pause(pause))));
            }
            OverrideView::None | OverrideView::Contributing { .. } => {}
        }
        match view.wish {
            OverrideView::Contributing { .. } => items.push(choice(Action::Resume)),
            OverrideView::None | OverrideView::Paused { .. } => {
                items.push(choice(Action::Contribute));
            }
        }
    }
    items.push(Item::Separator);
    if matches!(view.coordinator, CoordinatorView::Running { .. }) {
        items.push(choice(Action::OpenDashboard));
    }
    items.push(choice(Action::OpenSettings));
    if view.may.quit {
        items.extend([Item::Separator, choice(Action::Quit)]);
    }
    items
}

#[cfg(test)]
mod tests {
    use super::super::view::MayView;
    use super::super::view_text::tests::view;
    use super::*;

    fn text(view: &View) -> String {
        let line = |item| match item {
            Item::Text(text) | Item::Choice { label: text, .. } => text,
            Item::Separator => "--".to_owned(),
        };
        menu(view).into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_state_has_its_menu() {
        let mut waiting = view();
        let mut menus = vec![text(&waiting)];
        waiting.wish = OverrideView::Paused { until: Some("14:00".into()) };
        menus.push(text(&waiting));
        waiting.wish = OverrideView::Contributing { until: None };
        menus.push(text(&waiting));
        waiting.may = MayView { pause: false, quit: false };
        menus.push(text(&waiting));
        waiting.membership = Membership::None { problem: None };
        waiting.coordinator = CoordinatorView::Running {
            cluster: "Acme".into(),
            url: "https://127.0.0.1:8000".into(),
            warning: None,
        };
        menus.push(text(&waiting));
        waiting.mode.is_chosen = false;
        menus.push(text(&waiting));
        let page = "https://example.com/get".into();
        waiting.update = UpdateView::Newer { version: "1.2.3".into(), page };
        menus.push(text(&waiting));
        insta::assert_snapshot!(menus.join("\n\n"));
    }

    #[test]
    fn actions_round_trip_through_their_ids() {
        for action in Action::ALL {
            assert_eq!(Action::from_id(action.id()), Some(action));
        }
        assert_eq!(Action::from_id("x"), None);
    }
}
