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
/// When a line is no event.
pub fn read(text: &str) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let event = serde_json::from_str(line).map_err(|error| {
            format!("line {number}: {error} (expected an event as JSON, such as {{\"look\":\"c0\"}})")
        })?;
        events.push(event);
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
        assert!(read("{\"look\":\"c0\"}\n\n{\"lok\":1}").unwrap_err().starts_with("line 3: "));
    }
}
