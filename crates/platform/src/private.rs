//! Keeping what this program stores from the machine's other accounts: a umask for what it makes, and
//! tighter permissions for what an earlier version made.

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::Mode;

/// Permissions of the group and of others, as bits of a mode.
const FOREIGN: u32 = 0o077;
/// Folders below a data folder; ours are 5 deep.
const DEEPEST: usize = 32;

/// Makes private whatever this process and its children make from now on: files 0600, folders 0700. To be
/// called first, before there are other threads.
pub fn restrict_umask() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Takes from the group and from others what they may do with `folder` and with everything in it, where
/// an earlier version left that. Follows no link, stays on one file system, and leaves alone what is
/// another account's. The folder comes first: from then on nobody else can move what is in it.
///
/// A folder that is not this account's, or that holds its home, stays as it is: it is no data folder of ours.
pub fn tighten(folder: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(folder)?;
    // A link that a person put in a data folder's place.
    let found = if found.is_symlink() { fs::metadata(folder)? } else { found };
    let is_shared = found.mode() & 0o1000 != 0;
    if !found.is_dir() || !is_own(&found) || is_shared || holds_home(folder) {
        return Ok(());
    }
    restrict(folder, &found)?;
    below(folder, found.dev(), DEEPEST)
}

fn below(folder: &Path, device: u64, depth: usize) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        // What goes meanwhile needs nothing.
        match entry.and_then(|entry| tighten_entry(&entry, device, depth)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn tighten_entry(entry: &DirEntry, device: u64, depth: usize) -> io::Result<()> {
    // Of a link, not of what it leads to.
    let found = entry.metadata()?;
    if found.is_symlink() || !is_own(&found) || found.dev() != device {
        return Ok(());
    }
    restrict(&entry.path(), &found)?;
    if found.is_dir() && depth > 0 {
        below(&entry.path(), device, depth - 1)?;
    }
    Ok(())
}

fn restrict(path: &Path, found: &Metadata) -> io::Result<()> {
    let mode = found.mode() & 0o7777;
    if mode & FOREIGN == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode & !FOREIGN))
}

fn is_own(found: &Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw()
}

/// Whether the account's home is this folder or lies in it.
fn holds_home(folder: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    home.is_some_and(|home| real(Path::new(&home)).starts_with(real(folder)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_loose_tree_becomes_its_owner_s_alone_and_no_link_is_followed() {
        let place = tempfile::tempdir().unwrap();
        let (tree, elsewhere) = (place.path().join("tree"), place.path().join("elsewhere"));
        for folder in [&tree.join("blobs/ab"), &elsewhere] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("file"), "bytes").unwrap();
            set(&folder.join("file"), 0o644);
            set(folder, 0o755);
        }
        set(&tree, 0o755);
        set(&tree.join("blobs"), 0o777);
        fs::write(tree.join("program"), "#!").unwrap();
        set(&tree.join("program"), 0o755);
        let _socket = std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap();
        set(&tree.join("socket"), 0o755);
        symlink(&elsewhere, tree.join("folder")).unwrap();
        symlink(elsewhere.join("file"), tree.join("link")).unwrap();
        symlink("nowhere", tree.join("broken")).unwrap();
        tighten(&tree).unwrap();
        for (path, expected) in [
            ("", 0o700),
            ("blobs", 0o700),
            ("blobs/ab", 0o700),
            ("blobs/ab/file", 0o600),
            ("program", 0o700),
            ("socket", 0o700),
        ] {
            assert_eq!(mode(&tree.join(path)), expected, "{path}");
        }
        assert_eq!((mode(&elsewhere), mode(&elsewhere.join("file"))), (0o755, 0o644));
        // A link in the place of the data folder is a person's choice.
        symlink(&elsewhere, place.path().join("data")).unwrap();
        tighten(&place.path().join("data")).unwrap();
        assert_eq!((mode(&elsewhere), mode(&elsewhere.join("file"))), (0o700, 0o600));
    }

    #[test]
    fn folders_that_others_use_stay_as_they_are() {
        let place = tempfile::tempdir().unwrap();
        for folder in ["shared", "below"] {
            fs::create_dir(place.path().join(folder)).unwrap();
        }
        let shared = place.path().join("shared");
        set(&shared, 0o1777);
        tighten(&shared).unwrap();
        assert_eq!(fs::metadata(&shared).unwrap().mode() & 0o7777, 0o1777);
        assert!(holds_home(Path::new("/")));
        assert!(!holds_home(&shared));
    }
}
