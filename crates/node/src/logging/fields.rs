//! What an entry of the log says, in one line that steers no terminal: messages and fields may hold text that
//! somebody else chose.

use std::fmt::{self, Debug};

use protocol::text::Escaped;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// Writes the message, then `name=value` for each field, escaped.
#[derive(Debug, Clone, Copy)]
pub(super) struct EscapedFields;

impl<'writer> FormatFields<'writer> for EscapedFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut written = Written { writer, is_first: true, result: Ok(()) };
        fields.record(&mut written);
        written.result
    }
}

struct Written<'writer> {
    writer: Writer<'writer>,
    is_first: bool,
    result: fmt::Result,
}

impl Written<'_> {
    fn write(&mut self, name: &str, value: &dyn Debug) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.writer.write_char(' ')?;
        }
        if name == "message" {
            return write!(self.writer, "{}", Escaped(format_args!("{value:?}")));
        }
        write!(self.writer, "{name}={}", Escaped(format_args!("{value:?}")))
    }
}

impl tracing::field::Visit for Written<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        // What libraries that use `log` say of themselves.
        if self.result.is_ok() && !field.name().starts_with("log.") {
            self.result = self.write(field.name().trim_start_matches("r#"), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Buffer {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn text_of_others_stays_in_its_line_and_steers_nothing() {
        let buffer = Buffer::default();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(EscapedFields)
            .with_writer(buffer.clone())
            .with_ansi(false)
            .without_time()
            .finish();
        let name = "Mac\u{1b}[2J\r\nERROR forged\u{9b}31m\u{202e}";
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("of", device = %name);
            let _entered = span.enter();
            tracing::info!(%name, same = name, ?name, count = 3, "heard of {name}");
        });
        let log = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        let shown = "Mac\\u{1b}[2J\\u{d}\\u{a}ERROR forged\\u{9b}31m\\u{202e}";
        let debug = format!("{name:?}");
        assert_eq!(
            log,
            format!(
                " INFO of{{device={shown}}}: node::logging::fields::tests: heard of {shown} name={shown} \
                 same={debug} name={debug} count=3\n"
            )
        );
        assert!(log.trim_end().chars().all(|it| !protocol::text::is_hidden(it)), "{log:?}");
    }
}
