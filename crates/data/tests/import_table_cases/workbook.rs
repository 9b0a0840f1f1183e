//! Workbooks of Excel, written here as the files inside.

use std::fmt::Write as _;
use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::case::{Case, ab, lines};

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

/// Workbook with a cell at this place, and the rows of [`several`] below.
pub(crate) fn with_cell_at(place: &str) -> Vec<u8> {
    let rows = lines(24, |n| {
        let row = n + 2;
        format!(
            "<row r=\"{row}\">{}{}</row>",
            cell(&format!("A{row}"), &format!("words of row {n}")),
            cell(&format!("B{row}"), ab(n))
        )
    });
    written(&[("Sheet1", format!("<row r=\"1\">{}</row>{rows}", cell(place, "far")))])
}

pub(crate) fn workbook(sheets: &[(&str, Vec<Vec<String>>)]) -> Vec<u8> {
    let sheets: Vec<(&str, String)> = sheets
        .iter()
        .map(|(name, rows)| {
            let mut text = String::new();
            for (row, cells) in (1..).zip(rows) {
                write!(text, "<row r=\"{row}\">").unwrap();
                for (column, value) in (b'A'..).zip(cells) {
                    text.push_str(&cell(&format!("{}{row}", char::from(column)), value));
                }
                text.push_str("</row>");
            }
            (*name, text)
        })
        .collect();
    written(&sheets)
}

fn cell(place: &str, value: &str) -> String {
    if value.parse::<f64>().is_ok() {
        format!("<c r=\"{place}\"><v>{value}</v></c>")
    } else {
        format!("<c r=\"{place}\" t=\"inlineStr\"><is><t>{value}</t></is></c>")
    }
}

/// Writes the files of a workbook from the rows of each sheet as XML.
fn written(sheets: &[(&str, String)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: &str, text: &str| {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    };
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let package = "http://schemas.openxmlformats.org/package/2006";
    let (mut names, mut links) = (String::new(), String::new());
    for (at, (name, text)) in (1..).zip(sheets) {
        write!(names, "<sheet name=\"{name}\" sheetId=\"{at}\" r:id=\"rId{at}\"/>").unwrap();
        write!(links, "<Relationship Id=\"rId{at}\" Type=\"{relation}/worksheet\" Target=\"worksheets/sheet{at}.xml\"/>").unwrap();
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
