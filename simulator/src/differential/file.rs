//! Lists of events as files: one event a line, as JSON; lines that begin with `#` are comments. Every list begins with a master
//! that knows nothing.

use slap_model::Event;

/// Bytes of a file at most.
pub const FILE_BYTES_MAX: u64 = 16 << 20;

/// A list as a file, with a comment at its head.
pub fn write(comment: &str, events: &[Event]) -> String {
    let mut text = String::new();
    for line in comment.lines() {
        text.push_str(format!("# {line}").trim_end());
        text.push('\n');
    }
    for event in events {
        text.push_str(&serde_json::to_string(event).expect("keys are text and numbers are finite"));
        text.push('\n');
    }
    text
}

/// Reads a file.
///
/// # Errors
/// When a line is no event, or there is none.
pub fn read(text: &str) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let event = serde_json::from_str(line).map_err(|error| {
            let (text, column) = (error.to_string(), error.column());
            // It knows one line only.
            let what = text.strip_suffix(&format!(" at line {} column {column}", error.line()));
            format!(
                "line {number}: {}, at column {column} (expected an event as JSON, such as {{\"look\":\"c0\"}})",
                what.unwrap_or(&text)
            )
        })?;
        events.push(event);
    }
    if events.is_empty() {
        return Err(
            "there are no events in it: expected one a line, as JSON, such as {\"look\":\"c0\"}".to_owned()
        );
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::choices::seeded;
    use slap_model::worlds::{everything, everything_with_nodes};

    #[test]
    fn what_is_written_can_be_read() {
        for world in [everything(), everything_with_nodes()] {
            for seed in 0..20 {
                let events = seeded(&world, seed, 100);
                let text = write("a comment\n\nof lines", &events);
                assert!(text.starts_with("# a comment\n#\n# of lines\n{"), "{text}");
                assert_eq!(read(&text), Ok(events));
            }
        }
    }

    #[test]
    fn what_is_no_list_is_told_with_its_line() {
        for (text, expected) in [
            ("{\"look\":\"c0\"}\n\n{\"lok\":1}", "line 3: unknown variant `lok`"),
            (
                "{\"look\":\"c0\"}\n{\"look\":\"c12\"}",
                "line 2: \"c12\": expected c and a number below 12, at column ",
            ),
            (
                "{\"bang\":{\"place\":\"c0/p99\",\"shared\":null}}",
                "line 1: \"p99\": expected p and a number below 12",
            ),
            ("{\"look\":", "line 1: EOF while parsing a value, at column 8 (expected"),
            ("", "there are no events in it"),
            ("# a comment\n\n", "there are no events in it"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(expected) && !error.contains("at line"), "{error}");
        }
    }
}
