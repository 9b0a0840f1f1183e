//! Embeds the built dashboard (`ui/dist`) in the coordinator. Does not run npm: if the dashboard is not built,
//! it embeds a page that says how to build it.

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
    // Cargo treats a missing folder as always changed, so git keeps an empty one.
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

/// Collects every file by its path in the folder. Skips names that begin with a dot.
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

/// Returns the Rust source of the list of all files, each with its compressed form if there is one.
fn source(files: &BTreeMap<String, PathBuf>) -> io::Result<String> {
    let mut source = "&[\n".to_owned();
    for (name, path) in files.iter().filter(|(name, _)| !is_compressed_form(name, files)) {
        // Paths become string literals, so they must be UTF-8.
        let bytes = |path: &Path| format!("include_bytes!({:?})", path.to_string_lossy());
        let compressed = files.get(&format!("{name}.gz"));
        let gzip = compressed.map_or("None".to_owned(), |path| format!("Some({})", bytes(path)));
        writeln!(source, "    Page {{ path: {name:?}, bytes: {}, gzip: {gzip} }},", bytes(path))
            .map_err(io::Error::other)?;
    }
    source.push_str("]\n");
    Ok(source)
}

/// Returns whether the file is the compressed form of another file.
fn is_compressed_form(name: &str, files: &BTreeMap<String, PathBuf>) -> bool {
    name.strip_suffix(".gz").is_some_and(|plain| files.contains_key(plain))
}
