//! Embeds the built dashboard, `ui/dist` of the repository, in the coordinator. It runs no npm: where
//! the dashboard is not built, one plain page says how to build it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The page of a program that was built without the dashboard.
const MISSING: &str = include_str!("missing_dashboard.html");

fn main() -> io::Result<()> {
    let folder = |name| env::var_os(name).map(PathBuf::from).ok_or(io::ErrorKind::NotFound);
    let built = folder("CARGO_MANIFEST_DIR")?.join("../../ui/dist");
    let out = folder("OUT_DIR")?;
    // A folder that isn't there counts as changed each time, which is why git keeps it.
    println!("cargo:rerun-if-changed={}", built.display());
    let mut files = BTreeMap::new();
    let is_built = built.join("index.html").is_file();
    println!("cargo:rustc-check-cfg=cfg(dashboard)");
    println!("cargo:rerun-if-changed=missing_dashboard.html");
    if is_built {
        println!("cargo:rustc-cfg=dashboard");
        find(&built, "", &mut files)?;
    } else {
        let page = out.join("missing.html");
        fs::write(&page, MISSING)?;
        files.insert("index.html".to_owned(), page);
    }
    fs::write(out.join("pages.rs"), source(&files)?)
}

/// Every file by its path in the folder; what begins with a dot is the repository's business.
fn find(folder: &Path, before: &str, files: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let (name, path) = (format!("{before}{name}"), entry.path().canonicalize()?);
        if path.is_dir() {
            find(&path, &format!("{name}/"), files)?;
        } else {
            files.insert(name, path);
        }
    }
    Ok(())
}

/// A list of all files, each with the packed one that lies beside it.
fn source(files: &BTreeMap<String, PathBuf>) -> io::Result<String> {
    let mut source = "&[\n".to_owned();
    for (name, path) in files.iter().filter(|(name, _)| !is_beside_another(name, files)) {
        // A path as a literal; one that is no text can't be one.
        let bytes = |path: &Path| format!("include_bytes!({:?})", path.to_string_lossy());
        let packed = files.get(&format!("{name}.gz"));
        let packed = packed.map_or("None".to_owned(), |path| format!("Some({})", bytes(path)));
        writeln!(source, "    Page {{ path: {name:?}, bytes: {}, gzip: {packed} }},", bytes(path))
            .map_err(io::Error::other)?;
    }
    source.push_str("]\n");
    Ok(source)
}

fn is_beside_another(name: &str, files: &BTreeMap<String, PathBuf>) -> bool {
    name.strip_suffix(".gz").is_some_and(|plain| files.contains_key(plain))
}
