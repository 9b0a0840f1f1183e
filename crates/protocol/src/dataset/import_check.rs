//! Check of import options that needs no file.

use super::import::{ImageSize, ImportOptions};

/// Maximum length of a name or value in characters.
const LONGEST_TEXT: usize = 1000;
/// Maximum number of columns, splits or missing values that options can name.
const MOST_NAMES: usize = 1000;
/// Maximum height and width of images.
const LONGEST_SIDE: u32 = 2048;
/// Highest level of the folders that are the classes.
const HIGHEST_LEVEL: u32 = 32;
/// Names of separators. Others are one character.
const SEPARATORS: [&str; 5] = ["comma", "semicolon", "tab", "pipe", "space"];

/// Import option whose value is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct InvalidOption {
    /// Field of [`ImportOptions`].
    pub field: &'static str,
    /// What the value must be.
    pub detail: String,
}

/// Checks the options as far as that is possible without the files.
///
/// # Errors
/// The first option whose value is not allowed.
pub fn check(options: &ImportOptions) -> Result<(), InvalidOption> {
    // Destructured, so that a new option is not forgotten here.
    let ImportOptions {
        text,
        label,
        key,
        image,
        header: _,
        separator,
        quote: _,
        encoding,
        sheet,
        splits,
        test_split: _,
        resize,
        class_level,
        missing,
        merge_classes: _,
        task: _,
        limit,
    } = options;
    if let Some(text) = text {
        several("text", text, 1)?;
        if text.iter().enumerate().any(|(at, column)| text[..at].contains(column)) {
            return invalid("text", "names a column twice");
        }
    }
    let columns = [("label", label), ("key", key), ("image", image)];
    for (field, column) in columns {
        let Some(column) = column else { continue };
        one(field, column)?;
        if text.as_ref().is_some_and(|text| text.contains(column)) {
            return invalid(field, format!("names `{column}`, which is a column of the text"));
        }
        let twice = columns.iter().find(|(other, name)| {
            *other != field && name.as_ref().is_some_and(|name| name == column)
        });
        if let Some((other, _)) = twice {
            return invalid(field, format!("names `{column}`, which is the {other} column"));
        }
    }
    if let (Some(_), Some(_)) = (text, image) {
        return invalid("image", "can't be given with `text`: rows are texts or images");
    }
    if let Some(separator) = separator
        && !SEPARATORS.contains(&separator.as_str())
        && separator.chars().count() != 1
    {
        return invalid("separator", format!("must be one character or {}", alternatives()));
    }
    for (field, value) in [("encoding", encoding), ("sheet", sheet)] {
        if let Some(value) = value {
            one(field, value)?;
        }
    }
    if let Some(splits) = splits {
        several("splits", &splits.keys().cloned().collect::<Vec<_>>(), 0)?;
    }
    if let Some(ImageSize { height, width }) = resize
        && [height, width].iter().any(|side| !(1..=LONGEST_SIDE).contains(*side))
    {
        return invalid("resize", format!("must be 1 to {LONGEST_SIDE} pixels high and wide"));
    }
    if class_level.is_some_and(|level| !(1..=HIGHEST_LEVEL).contains(&level)) {
        return invalid("class_level", format!("must be 1 to {HIGHEST_LEVEL}"));
    }
    if let Some(missing) = missing {
        several("missing", missing, 0)?;
    }
    if *limit == Some(0) {
        return invalid("limit", "must be 1 or more");
    }
    Ok(())
}

fn invalid<T>(field: &'static str, detail: impl Into<String>) -> Result<T, InvalidOption> {
    Err(InvalidOption { field, detail: detail.into() })
}

fn one(field: &'static str, value: &str) -> Result<(), InvalidOption> {
    if value.is_empty() || value.chars().count() > LONGEST_TEXT {
        return invalid(field, format!("must be 1 to {LONGEST_TEXT} characters"));
    }
    Ok(())
}

fn several(field: &'static str, values: &[String], least: usize) -> Result<(), InvalidOption> {
    if values.len() < least || values.len() > MOST_NAMES {
        return invalid(field, format!("must have {least} to {MOST_NAMES} names"));
    }
    values.iter().try_for_each(|value| one(field, value))
}

fn alternatives() -> String {
    let [others @ .., last] = SEPARATORS;
    format!("{} or {last}", others.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(json: &str) -> Option<&'static str> {
        check(&serde_json::from_str(json).unwrap()).err().map(|error| error.field)
    }

    #[test]
    fn every_option_that_can_t_be_right_is_named() {
        for (json, wrong) in [
            (r#"{"text": []}"#, "text"),
            (r#"{"text": ["a", "a"]}"#, "text"),
            (r#"{"text": [""]}"#, "text"),
            (r#"{"text": ["a"], "label": "a"}"#, "label"),
            (r#"{"label": "a", "key": "a"}"#, "label"),
            (r#"{"key": ""}"#, "key"),
            (r#"{"text": ["a"], "image": "b"}"#, "image"),
            (r#"{"separator": "tabs"}"#, "separator"),
            (r#"{"separator": ""}"#, "separator"),
            (r#"{"encoding": ""}"#, "encoding"),
            (r#"{"sheet": ""}"#, "sheet"),
            (r#"{"splits": {"": "train"}}"#, "splits"),
            (r#"{"resize": {"height": 0, "width": 8}}"#, "resize"),
            (r#"{"resize": {"height": 8, "width": 4000}}"#, "resize"),
            (r#"{"class_level": 0}"#, "class_level"),
            (r#"{"missing": [""]}"#, "missing"),
            (r#"{"limit": 0}"#, "limit"),
        ] {
            assert_eq!(field(json), Some(wrong), "{json}");
        }
    }

    #[test]
    fn options_that_files_decide_on_are_accepted() {
        for json in [
            "{}",
            r#"{"text": ["title", "body"], "label": "stars", "key": "user", "header": false}"#,
            r#"{"separator": "tab", "quote": "none", "encoding": "windows-1252", "missing": []}"#,
            r#"{"separator": "¦", "resize": {"height": 64, "width": 48}, "class_level": 2}"#,
            r#"{"splits": {"val": "validation"}, "test_split": "tail", "limit": 5}"#,
        ] {
            assert_eq!(field(json), None, "{json}");
        }
    }
}
