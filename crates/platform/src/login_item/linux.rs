//! Linux: a desktop entry in the user's autostart folder, by the Desktop Application Autostart Specification
//! (<https://specifications.freedesktop.org/autostart-spec/latest/>).

use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const FILE: &str = "constellation.desktop";
/// Line that distinguishes our file from one that the user made.
const MARK: &str = "X-Constellation-Setting=StartAtLogin";

#[derive(Debug, Clone)]
pub(super) struct Item {
    folder: PathBuf,
    program: PathBuf,
}

impl Item {
    pub(super) fn current_user() -> Result<Self, String> {
        let folder = crate::folders::autostart().map_err(|error| error.to_string())?;
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        Ok(Self { folder, program })
    }

    pub(super) fn set(&self, starts: bool) -> Result<(), String> {
        let file = self.folder.join(FILE);
        let failed = |error: &dyn Display| format!("{}: {error}", file.display());
        let present = match fs::read_to_string(&file) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(failed(&error)),
        };
        let is_ours = present.as_ref().is_some_and(|text| text.lines().any(|line| line == MARK));
        if present.is_some() && !is_ours {
            // The user's own entry, which may start the app or disable its start.
            let error =
                "the file was not made by Constellation and is left as it is; remove it first";
            return if starts { Err(failed(&error)) } else { Ok(()) };
        }
        if !starts {
            return if is_ours {
                fs::remove_file(&file).map_err(|error| failed(&error))
            } else {
                Ok(())
            };
        }
        let entry = entry(&self.program)?;
        if present.as_deref() == Some(&entry) {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)
            .and_then(|()| crate::files::write_private(&file, entry.as_bytes()))
            .map_err(|error| failed(&error))
    }
}

fn entry(program: &Path) -> Result<String, String> {
    let command = program.to_str().and_then(command);
    let command = command
        .ok_or_else(|| format!("a desktop entry can't contain this path: {}", program.display()))?;
    Ok(format!(
        "[Desktop Entry]\nType=Application\nName=Constellation\n\
         Comment=Trains models while nobody uses this computer\nExec={command}\n\
         X-GNOME-Autostart-enabled=true\n{MARK}\n"
    ))
}

/// Quotes a program's path for the key `Exec`: quoted, `%` doubled, then escaped like every string of the
/// file (Desktop Entry Specification, "The Exec key"). Returns `None` for a path with control
/// characters.
fn command(path: &str) -> Option<String> {
    let mut command = String::from("\"");
    for letter in path.chars() {
        match letter {
            letter if letter.is_control() => return None,
            // Escaped by a backslash, which itself is escaped for the file.
            '"' | '`' | '$' => command.extend(['\\', '\\', letter]),
            '\\' => command.push_str(r"\\\\"),
            '%' => command.push_str("%%"),
            letter => command.push(letter),
        }
    }
    command.push('"');
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(folder: &Path) -> Item {
        Item { folder: folder.join("autostart"), program: "/opt/my apps/constellation-app".into() }
    }

    #[test]
    fn the_entry_is_created_updated_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let item = item(folder.path());
        let file = item.folder.join(FILE);
        item.set(false).unwrap();
        assert!(!item.folder.exists(), "no folder is made without an entry");
        for _ in 0..2 {
            item.set(true).unwrap();
            let entry = fs::read_to_string(&file).unwrap();
            assert!(entry.contains("\nExec=\"/opt/my apps/constellation-app\"\n"), "{entry}");
        }
        let moved = Item { program: "/usr/bin/constellation-app".into(), ..item.clone() };
        moved.set(true).unwrap();
        assert!(fs::read_to_string(&file).unwrap().contains("/usr/bin/"));
        item.set(false).unwrap();
        item.set(false).unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn the_users_own_entry_stays() {
        let folder = tempfile::tempdir().unwrap();
        let item = item(folder.path());
        let file = item.folder.join(FILE);
        fs::create_dir_all(&item.folder).unwrap();
        fs::write(&file, "[Desktop Entry]\nHidden=true\n").unwrap();
        item.set(false).unwrap();
        assert!(item.set(true).unwrap_err().contains("not made by Constellation"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "[Desktop Entry]\nHidden=true\n");
    }

    #[test]
    fn an_unwritable_folder_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let item = item(folder.path());
        fs::write(&item.folder, "a file").unwrap();
        assert!(item.set(true).unwrap_err().contains("autostart"));
    }

    #[test]
    fn paths_are_quoted_by_the_desktop_entry_specification() {
        assert_eq!(command("/a b").as_deref(), Some(r#""/a b""#));
        assert_eq!(command("/50%$x").as_deref(), Some(r#""/50%%\\$x""#));
        assert_eq!(command(r"/a\b").as_deref(), Some(r#""/a\\\\b""#));
        assert_eq!(command("/a\nExec=/bin/sh"), None);
    }
}
