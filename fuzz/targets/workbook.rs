//! Workbooks of Excel, uploaded as a dataset. The input is the XML of a sheet.
#![no_main]

use std::io::{Cursor, Write};

use fuzz::datasets;
use fuzz::seeds::write_seeds;
use libfuzzer_sys::fuzz_target;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fuzz_target!(init: { write_seeds(seeds()); datasets::expect_panics_of(&["calamine"]); }, |sheet: &[u8]| {
    if let Some(bytes) = workbook(sheet) {
        datasets::read(&bytes);
    }
});

fn seeds() -> Vec<String> {
    let cell = |place: &str, text: &str| {
        format!("<c r=\"{place}\" t=\"inlineStr\"><is><t>{text}</t></is></c>")
    };
    let row = |n: usize| {
        let text = cell(&format!("A{n}"), &format!("text {n}"));
        format!("<row r=\"{n}\">{text}<c r=\"B{n}\"><v>{}</v></c></row>", n % 2)
    };
    let rows: String = (1..25).map(row).collect();
    vec![
        format!("<worksheet><sheetData>{rows}</sheetData></worksheet>"),
        format!(
            "<worksheet><sheetData>{rows}{}</sheetData></worksheet>",
            cell("XFD1048576", "far")
        ),
    ]
}

fn workbook(sheet: &[u8]) -> Option<Vec<u8>> {
    let relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let package = "http://schemas.openxmlformats.org/package/2006";
    let book = format!(
        "<workbook xmlns:r=\"{relation}\"><sheets><sheet name=\"S\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>"
    );
    let links = format!(
        "<Relationships xmlns=\"{package}/relationships\"><Relationship Id=\"rId1\" Type=\"{relation}/worksheet\" \
         Target=\"worksheets/sheet1.xml\"/></Relationships>"
    );
    let root = format!(
        "<Relationships xmlns=\"{package}/relationships\"><Relationship Id=\"rId1\" Type=\"{relation}/officeDocument\" \
         Target=\"xl/workbook.xml\"/></Relationships>"
    );
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let files = [
        ("_rels/.rels", root.as_bytes()),
        ("xl/workbook.xml", book.as_bytes()),
        ("xl/_rels/workbook.xml.rels", links.as_bytes()),
        ("xl/worksheets/sheet1.xml", sheet),
    ];
    for (name, bytes) in files {
        zip.start_file(name, SimpleFileOptions::default()).ok()?;
        zip.write_all(bytes).ok()?;
    }
    Some(zip.finish().ok()?.into_inner())
}
