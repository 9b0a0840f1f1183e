//! Hands the app's description to Tauri. It runs no npm: where the pages are not built, one plain
//! page says how to build them.

use std::path::Path;
use std::{fs, io};

const MISSING: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Constellation\
     </title><p>This app was built without its pages: run <code>make ui</code> and build again.</p>\
     </html>\n";

fn main() -> io::Result<()> {
    let pages = Path::new("../ui/dist-app");
    if !pages.join("app.html").is_file() {
        fs::create_dir_all(pages)?;
        fs::write(pages.join("app.html"), MISSING)?;
    }
    tauri_build::build();
    Ok(())
}
