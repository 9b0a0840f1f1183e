//! Workbooks of Excel, written here as the files inside.

use std::fmt::Write as _;
use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::case::{Case, ab};

pub(crate) fn cases() -> Vec<Case> {
    let rows = || {
        let header = ["text", "label"].map(str::to_owned).to_vec();
        let body = (0..24).map(|n| vec![format!("words of row {n}"), ab(n).to_owned()]);
        std::iter::once(header).chain(body).collect::<Vec<_>>()
    };
    let body: Vec<Vec<String>> = rows().split_off(1);
    let numbers: Vec<Vec<String>> = (0..25)
        .map(|n| match n {
            0 => vec!["text".to_owned(), "stars".to_owned()],
            n => vec![format!("words of row {n}"), (n % 3).to_string()],
        })
        .collect();
    let mut gap = rows();
    gap.insert(5, Vec::new());
    vec![
        Case::new("one sheet", "x.xlsx", workbook(&[("Sheet1", rows())])).has("words of row 7"),
        Case::new("no header", "x.xlsx", workbook(&[("Sheet1", body)])),
        Case::new("numbers as labels", "x.xlsx", workbook(&[("Sheet1", numbers)]))
            .classes(&["0", "1", "2"]),
        Case::new("an empty row", "x.xlsx", workbook(&[("Sheet1", gap)])),
        Case::new(
            "an empty second sheet",
            "x.xlsx",
            workbook(&[("Data", rows()), ("Notes", Vec::new())]),
        ),
        Case::new("a sheet by option", "x.xlsx", several())
            .with(|options| options.sheet = Some("Data".to_owned())),
    ]
}

/// Workbook with two sheets, of which one is the table.
pub(crate) fn several() -> Vec<u8> {
    let rows = (0..24).map(|n| vec![format!("words of row {n}"), ab(n).to_owned()]);
    let header = ["text", "label"].map(str::to_owned).to_vec();
    let notes = vec![vec!["made in May".to_owned()]];
    workbook(&[("Notes", notes), ("Data", std::iter::once(header).chain(rows).collect())])
}

fn workbook(sheets: &[(&str, Vec<Vec<String>>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: &str, text: &str| {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    };
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let package = "http://schemas.openxmlformats.org/package/2006";
    let (mut names, mut links) = (String::new(), String::new());
    for (at, (name, rows)) in (1..).zip(sheets) {
        write!(names, "<sheet name=\"{name}\" sheetId=\"{at}\" r:id=\"rId{at}\"/>").unwrap();
        write!(links, "<Relationship Id=\"rId{at}\" Type=\"{relation}/worksheet\" Target=\"worksheets/sheet{at}.xml\"/>").unwrap();
        let mut text = String::new();
        for (row, cells) in (1..).zip(rows) {
            write!(text, "<row r=\"{row}\">").unwrap();
            for (column, cell) in (b'A'..).zip(cells) {
                let place = format!("{}{row}", char::from(column));
                if cell.parse::<f64>().is_ok() {
                    write!(text, "<c r=\"{place}\"><v>{cell}</v></c>").unwrap();
                } else {
                    write!(text, "<c r=\"{place}\" t=\"inlineStr\"><is><t>{cell}</t></is></c>")
                        .unwrap();
                }
            }
            text.push_str("</row>");
        }
        add(
            &format!("xl/worksheets/sheet{at}.xml"),
            &format!("<worksheet xmlns=\"{main}\"><sheetData>{text}</sheetData></worksheet>"),
        );
    }
    add(
        "xl/workbook.xml",
        &format!(
            "<workbook xmlns=\"{main}\" xmlns:r=\"{relation}\"><sheets>{names}</sheets></workbook>"
        ),
    );
    add(
        "xl/_rels/workbook.xml.rels",
        &format!("<Relationships xmlns=\"{package}/relationships\">{links}</Relationships>"),
    );
    add("[Content_Types].xml", &format!("<Types xmlns=\"{package}/content-types\"></Types>"));
    add(
        "_rels/.rels",
        &format!(
            "<Relationships xmlns=\"{package}/relationships\"><Relationship Id=\"rId1\" \
             Type=\"{relation}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
        ),
    );
    zip.finish().unwrap().into_inner()
}
