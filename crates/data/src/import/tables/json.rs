//! JSON: one object a line, an array of objects, or objects one after the other.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use encoding_rs::Encoding;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::encoding;
use super::lines::Lines;
use super::visit::Visit;
use crate::import::limits::LONGEST_ROW;
use crate::import::rows::Bad;

/// Deepest level of objects whose values are columns.
const DEEPEST: usize = 8;

/// How a JSON file is read.
#[derive(Debug, Clone)]
pub(super) struct Json {
    pub encoding: &'static Encoding,
    /// Whether each object is on a line of its own.
    pub lines: bool,
    /// Dotted names in the order of their first occurrence.
    pub columns: Vec<String>,
    /// Rows of a file that is one value, such as an object of columns.
    pub document: Option<Vec<Record>>,
}

/// Dotted name of a value, and the value as text. Null is empty.
pub(super) type Pair = (String, String);

/// Row number of a record, and its values.
pub(super) type Record = (u64, Vec<Pair>);

/// Receives an object's line or row number, and its values. Fails with a reason.
type VisitPairs<'v> = dyn FnMut(u64, &[Pair]) -> Result<(), String> + 'v;

/// Receives the number of an object's first line, and the object's text. Fails with a reason.
type VisitObject<'v> = dyn FnMut(u64, &[u8]) -> Result<(), String> + 'v;

impl Json {
    /// Detects whether each object is on a line of its own.
    pub(super) fn detect(path: &Path, encoding: &'static Encoding) -> Result<Self, String> {
        let mut lines = Lines::new(encoding::open(path, encoding)?)?;
        let mut line = Vec::new();
        let mut own_lines = false;
        while lines.next(&mut line)?.is_some() {
            let object = one_object(&line);
            if !object.is_empty() {
                own_lines = pairs(object).is_ok();
                break;
            }
        }
        Ok(Self { encoding, lines: own_lines, columns: Vec::new(), document: None })
    }

    /// Calls `visit` with every object and a cell for each column.
    pub(super) fn visit(
        &self,
        path: &Path,
        name: &str,
        bad: &mut Bad,
        visit: &mut Visit<'_>,
    ) -> Result<(), String> {
        let places: HashMap<&str, usize> =
            self.columns.iter().map(String::as_str).zip(0..).collect();
        self.visit_objects(path, name, bad, &mut |line, pairs| {
            let mut cells = vec![Cow::Borrowed(""); self.columns.len()];
            for (name, text) in pairs {
                if let Some(place) = places.get(name.as_str()) {
                    cells[*place] = Cow::Borrowed(text.as_str());
                }
            }
            visit(line, &cells)
        })
    }

    /// Calls `visit` with every object's values.
    pub(super) fn visit_objects(
        &self,
        path: &Path,
        name: &str,
        bad: &mut Bad,
        visit: &mut VisitPairs<'_>,
    ) -> Result<(), String> {
        if let Some(rows) = &self.document {
            return rows.iter().try_for_each(|(row, pairs)| visit(*row, pairs));
        }
        let mut lines = Lines::new(encoding::open(path, self.encoding)?)?;
        let mut objects = Objects::default();
        let mut line = Vec::new();
        while let Some(number) = lines.next(&mut line)? {
            if self.lines {
                let object = one_object(&line);
                if !object.is_empty() {
                    add(object, number, name, bad, visit)?;
                }
            } else {
                objects.scan(&line, number, &mut |start, object| {
                    add(object, start, name, bad, visit)
                })?;
            }
        }
        if let Some(start) = objects.unfinished() {
            bad.push(name, start, "its object has no end", "write the whole object");
        }
        Ok(())
    }
}

fn add(
    object: &[u8],
    line: u64,
    name: &str,
    bad: &mut Bad,
    visit: &mut VisitPairs<'_>,
) -> Result<(), String> {
    if object.contains(&0) {
        bad.push(name, line, "it has a NUL byte", "remove the byte, or the row");
        return Ok(());
    }
    match pairs(object) {
        Ok(pairs) => visit(line, &pairs),
        Err(reason) => {
            let kind = "it is not a valid JSON object";
            bad.push_kind(name, line, kind, reason, "write one JSON object per line");
            Ok(())
        }
    }
}

/// Returns the object on a line, without the brackets and commas of an array around it.
fn one_object(line: &[u8]) -> &[u8] {
    let mut line = line.trim_ascii();
    if let Some(rest) = line.strip_prefix(b"[") {
        line = rest.trim_ascii();
    }
    line = line.strip_prefix(b",").unwrap_or(line).trim_ascii();
    while let [rest @ .., b',' | b']'] = line
        && (line.first() == Some(&b'{') || line.len() == 1)
    {
        line = rest.trim_ascii();
    }
    line
}

/// Returns the values of an object.
pub(super) fn pairs(object: &[u8]) -> Result<Vec<Pair>, String> {
    let mut pairs = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(object);
    let read = Flatten { prefix: "", depth: 0, pairs: &mut pairs }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    match read {
        Ok(()) if object.trim_ascii_start().first() == Some(&b'{') => Ok(pairs),
        Ok(()) => Err("it is not a JSON object".to_owned()),
        Err(error) if error.column() == 0 => Err("it is not a JSON object".to_owned()),
        Err(error) => {
            Err(format!("it is not a valid JSON object (error at column {})", error.column()))
        }
    }
}

/// Finds objects that span lines.
#[derive(Debug, Default)]
struct Objects {
    object: Vec<u8>,
    start: u64,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Objects {
    fn scan(
        &mut self,
        line: &[u8],
        number: u64,
        found: &mut VisitObject<'_>,
    ) -> Result<(), String> {
        for byte in line.iter().chain(b"\n") {
            if self.depth == 0 {
                if *byte != b'{' {
                    continue;
                }
                self.start = number;
            }
            self.object.push(*byte);
            if self.in_string {
                self.in_string = *byte != b'"' || self.escaped;
                self.escaped = *byte == b'\\' && !self.escaped;
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
            if self.depth == 0 {
                found(self.start, &self.object)?;
                self.object.clear();
            }
        }
        if self.object.len() as u64 > LONGEST_ROW {
            let most = LONGEST_ROW >> 20;
            return Err(format!("the object at line {} is longer than {most} MiB", self.start));
        }
        Ok(())
    }

    fn unfinished(&self) -> Option<u64> {
        (self.depth > 0).then_some(self.start)
    }
}

/// Reads a value into pairs. Objects are flattened with dots, and lists of plain values are joined by spaces.
/// Deeper values are skipped without storing them.
struct Flatten<'a> {
    prefix: &'a str,
    depth: usize,
    pairs: &'a mut Vec<Pair>,
}

impl Flatten<'_> {
    fn put(self, text: String) {
        self.pairs.push((self.prefix.to_owned(), text));
    }
}

impl<'de> DeserializeSeed<'de> for Flatten<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Flatten<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.put(text.to_owned());
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.put(number.to_string());
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.put(number.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.put(Number::from_f64(number).map_or_else(String::new, |number| number.to_string()));
        Ok(())
    }

    fn visit_bool<E>(self, it: bool) -> Result<(), E> {
        self.put(it.to_string());
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.put(String::new());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        // Objects at the top are flattened, and lists in lists are skipped.
        let mut texts: Vec<String> = Vec::new();
        while let Some(plain) = list.next_element_seed(Plain)? {
            texts.extend(plain);
        }
        self.put(texts.join(" "));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        while let Some(key) = object.next_key::<String>()? {
            if self.depth == DEEPEST {
                object.next_value::<IgnoredAny>()?;
                continue;
            }
            let prefix = if self.depth == 0 { key } else { format!("{}.{key}", self.prefix) };
            let depth = self.depth + 1;
            object.next_value_seed(Flatten { prefix: &prefix, depth, pairs: self.pairs })?;
        }
        Ok(())
    }
}

/// Reads a plain value as text, and skips lists and objects at any depth.
struct Plain;

impl<'de> DeserializeSeed<'de> for Plain {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Plain {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Number::from_f64(number).map(|number| number.to_string()))
    }

    fn visit_bool<E>(self, it: bool) -> Result<Self::Value, E> {
        Ok(Some(it.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}
