//! Names of versions of datasets and models, such as `reviews@2`.

/// Splits `name@N` into the name and the version. Without a version from 1 after the last `@`, returns the
/// whole text as the name.
pub fn split_version(text: &str) -> (&str, Option<u32>) {
    let split = text.rsplit_once('@').and_then(|(name, number)| {
        let is_plain = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
        let number = number.parse().ok().filter(|_| is_plain)?;
        (!name.is_empty()).then_some((name, Some(number)))
    });
    split.unwrap_or((text, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_after_the_last_at_sign_is_a_version() {
        for (text, name, version) in [
            ("reviews@2", "reviews", Some(2)),
            ("a@b@10", "a@b", Some(10)),
            ("reviews", "reviews", None),
            ("reviews@", "reviews@", None),
            ("reviews@0", "reviews@0", None),
            ("reviews@02", "reviews@02", None),
            ("reviews@+2", "reviews@+2", None),
            ("reviews@latest", "reviews@latest", None),
            ("reviews@99999999999", "reviews@99999999999", None),
            ("@2", "@2", None),
        ] {
            assert_eq!(split_version(text), (name, version), "{text}");
        }
    }
}
