//! Hands the app's description to Tauri. It runs no npm: where the pages are not built, one plain
//! page says how to build them.

use std::path::Path;
use std::{fs, io};

use tauri_build::{AppManifest, Attributes};

const MISSING: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Constellation\
     </title><p>This app was built without its pages: run <code>make ui</code> and build again.</p>\
     </html>\n";

fn main() -> io::Result<()> {
    let pages = Path::new("../ui/dist-app");
    if !pages.join("app.html").is_file() {
        fs::create_dir_all(pages)?;
        fs::write(pages.join("app.html"), MISSING)?;
    }
    // Rust's own linker on this system is LLD. It finds the functions that come out the same, and packs what is
    // adjusted at each start.
    let target = std::env::var("TARGET").unwrap_or_default();
    let optimized = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if optimized && target == "x86_64-unknown-linux-gnu" {
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all,-z,pack-relative-relocs,--strip-all");
    }
    // With this list a command is refused wherever no capability names it. `src/gui.rs` has the same.
    let app = AppManifest::new().commands(&[
        "view",
        "settings",
        "set_setting",
        "choose",
        "join",
        "accept",
        "decline",
        "leave",
        "pause",
        "resume",
        "contribute",
        "open",
        "close",
        "quit",
    ]);
    tauri_build::try_build(Attributes::new().app_manifest(app)).map_err(io::Error::other)
}
