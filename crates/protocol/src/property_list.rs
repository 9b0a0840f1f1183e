//! Writes property lists as XML.

use plist::{Value, XmlWriteOptions};

/// Returns the property list as an XML document, indented with `count` times `character` at each level.
pub fn to_xml(value: &Value, character: u8, count: usize) -> String {
    let mut bytes = Vec::new();
    let options = XmlWriteOptions::default().indent(character, count);
    let written = value.to_writer_xml_with_options(&mut bytes, &options);
    debug_assert!(written.is_ok(), "writing to memory never fails");
    let text = String::from_utf8_lossy(&bytes);
    // The writer escapes quotation marks, which XML requires in attributes only. Apple's tools do not.
    text.replace("&apos;", "'").replace("&quot;", "\"") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_characters_of_markup_are_escaped() {
        for text in ["the Mac's \"name\"", "a < b & c > d", "&apos; &amp;quot;"] {
            let xml = to_xml(&Value::from(text), b' ', 2);
            assert_eq!(Value::from_reader_xml(xml.as_bytes()).unwrap().as_string(), Some(text));
        }
        assert!(to_xml(&Value::from("the Mac's"), b' ', 2).contains("<string>the Mac's</string>"));
    }
}
