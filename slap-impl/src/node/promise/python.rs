//! Texts as Python shows them: `repr()` of str and bytes, and the names of its network errors.

use std::{fmt::Write, io};

pub(super) use crate::profile::literal::text_repr as repr;

/// `repr(bytes)`.
pub(super) fn repr_bytes(bytes: &[u8]) -> String {
    let quote = quote_for(bytes.contains(&b'\''), bytes.contains(&b'"'));
    let mut shown = String::with_capacity(bytes.len() + 3);
    shown.push('b');
    shown.push(quote);
    for byte in bytes {
        match byte {
            b'\\' => shown.push_str("\\\\"),
            b'\n' => shown.push_str("\\n"),
            b'\r' => shown.push_str("\\r"),
            b'\t' => shown.push_str("\\t"),
            b if char::from(*b) == quote => {
                shown.push('\\');
                shown.push(quote);
            }
            0x20..=0x7e => shown.push(char::from(*byte)),
            _ => hexadecimal(&mut shown, u32::from(*byte)),
        }
    }
    shown.push(quote);
    shown
}

fn quote_for(single: bool, double: bool) -> char {
    if single && !double { '"' } else { '\'' }
}

fn hexadecimal(shown: &mut String, number: u32) {
    write!(shown, "\\x{number:02x}").expect("a String takes everything");
}

/// A network error as `"%s: %s" % (type(e).__name__, e)` shows it.
pub(super) fn error(error: &io::Error) -> String {
    use io::ErrorKind as Kind;
    let (class, number, text) = match error.kind() {
        Kind::ConnectionRefused => ("ConnectionRefusedError", 111, "Connection refused"),
        Kind::ConnectionReset => ("ConnectionResetError", 104, "Connection reset by peer"),
        Kind::NotFound => ("FileNotFoundError", 2, "No such file or directory"),
        Kind::PermissionDenied => ("PermissionError", 13, "Permission denied"),
        Kind::TimedOut => ("TimeoutError", 110, "Connection timed out"),
        Kind::NetworkUnreachable => ("OSError", 101, "Network is unreachable"),
        Kind::HostUnreachable => ("OSError", 113, "No route to host"),
        Kind::AddrNotAvailable => ("OSError", 99, "Cannot assign requested address"),
        _ => return format!("OSError: {error}"),
    };
    format!("{class}: [Errno {number}] {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_shown_as_python_shows_them() {
        for (text, expected) in [
            ("plain", "'plain'"),
            ("it's", "\"it's\""),
            ("it's \"so\"", "'it\\'s \"so\"'"),
            ("a\\b\n\t\0", "'a\\\\b\\n\\t\\x00'"),
            ("é", "'é'"),
        ] {
            assert_eq!(repr(text), expected);
        }
        assert_eq!(repr_bytes("é'\n".as_bytes()), "b\"\\xc3\\xa9'\\n\"");
    }

    #[test]
    fn errors_have_their_python_name() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(error(&refused), "ConnectionRefusedError: [Errno 111] Connection refused");
        assert_eq!(error(&io::Error::other("odd")), "OSError: odd");
    }
}
