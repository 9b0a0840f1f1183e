//! Menu of the app's icon, read from the session bus in the same way as by desktops
//! (com.canonical.dbusmenu).

use std::process::Output;

use super::{Desk, wait_for};

const ITEM: &str = "/org/ayatana/NotificationItem";

/// Menu of the only app with an icon on this desktop.
pub(crate) struct Menu<'a> {
    desk: &'a Desk,
    owner: String,
    path: String,
}

impl<'a> Menu<'a> {
    /// Waits until the menu exists.
    pub(crate) fn open(desk: &'a Desk) -> Self {
        let found = wait_for(|| {
            let names =
                call(desk, "org.freedesktop.DBus", "/", "org.freedesktop.DBus.ListNames", &[]);
            let names = text(&names);
            let owners = names.split('\'').filter(|name| name.starts_with(':'));
            owners.map(str::to_owned).find_map(|owner| {
                let node = gdbus(desk, &["introspect", "--dest", &owner, "--object-path", ITEM]);
                let (_, item) = text(&node).split_once("  node ")?;
                let name = item.split_whitespace().next()?.to_owned();
                Some((owner, format!("{ITEM}/{name}/Menu")))
            })
        });
        let (owner, path) = found.unwrap_or_else(|| panic!("no icon has a menu"));
        Self { desk, owner, path }
    }

    /// Waits for the item with this label and chooses it.
    pub(crate) fn choose(&self, label: &str) {
        // The app may replace the menu, and with it the ids, between the two calls.
        let chosen = wait_for(|| {
            let (id, _) = self.lines().into_iter().find(|(_, line)| line == label)?;
            self.ask("Event", &[&id, "clicked", "<0>", "0"]).status.success().then_some(())
        });
        chosen.unwrap_or_else(|| panic!("can't choose {label:?} in {:?}", self.lines()));
    }

    /// Returns the id and label of each item.
    pub(crate) fn lines(&self) -> Vec<(String, String)> {
        let answer = self.ask("GetLayout", &["--", "0", "-1", "['label']"]);
        // Each item is `<(12, {'label': <'Resume'>}, @av [])>`. The quotes differ if the label contains an apostrophe.
        let line = |item: &str| {
            let (id, rest) = item.split_once(',')?;
            let label = rest.split_once("'label': <")?.1;
            let quote = label.chars().next()?;
            let label = label.strip_prefix(quote)?.split_once(&format!("{quote}>"))?.0;
            Some((id.to_owned(), label.to_owned()))
        };
        text(&answer).split("<(").skip(1).filter_map(line).collect()
    }

    fn ask(&self, method: &str, arguments: &[&str]) -> Output {
        let method = format!("com.canonical.dbusmenu.{method}");
        call(self.desk, &self.owner, &self.path, &method, arguments)
    }
}

fn call(desk: &Desk, owner: &str, path: &str, method: &str, arguments: &[&str]) -> Output {
    let about = ["call", "--dest", owner, "--object-path", path, "--method", method];
    gdbus(desk, &[&about, arguments].concat())
}

fn gdbus(desk: &Desk, arguments: &[&str]) -> Output {
    let (action, rest) = arguments.split_first().unwrap();
    let mut command = desk.command("gdbus".as_ref());
    command.args([action, "--session"]).args(rest).output().unwrap()
}

fn text(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}
