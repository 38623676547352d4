//! Why a request was refused whose head hyper did not take: it answers by itself then, without a word.

/// What hyper writes of such an answer behind its first line; every other answer has a date.
const HEADERS: &[u8] = b"connection: close\r\ncontent-length: 0\r\n\r\n";

/// The same answer with the reason, if these bytes are such an answer.
pub(super) fn with_reason(answer: &[u8], head_bytes_max: usize) -> Option<Vec<u8>> {
    let line_end = answer.len().checked_sub(HEADERS.len())?;
    let (line, headers) = answer.split_at(line_end);
    let status = line.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    if headers != HEADERS || line.iter().position(|byte| *byte == b'\n') != Some(line.len() - 1) {
        return None;
    }
    let reason = match status {
        b"400" => {
            "the head of the request is not one of HTTP/1.1: its first line, a header's name or value, or Content-Length".to_owned()
        }
        b"414" => "the request's URL has more than 65534 bytes".to_owned(),
        b"431" => format!("the head of the request has more than {head_bytes_max} bytes, or too many headers"),
        _ => return None,
    };
    let mut whole = line.to_vec();
    let length = reason.len() + 1;
    let headers = format!(
        "connection: close\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n\r\n{reason}\n"
    );
    whole.extend_from_slice(headers.as_bytes());
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_without_a_word_are_given_one() {
        let wordless =
            |status: &str| format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        let told = with_reason(wordless("431 Request Header Fields Too Large").as_bytes(), 4096).unwrap();
        let told = String::from_utf8(told).unwrap();
        let (head, body) = told.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{told}");
        assert!(
            head.ends_with(&format!("content-length: {}", body.len())) && body.contains("4096"),
            "{told}"
        );
        for other in [
            wordless("200 OK"),
            wordless("304 Not Modified"),
            "HTTP/1.1 400 Bad Request\r\ndate: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                .to_owned(),
            wordless("400 Bad Request") + "x",
            "HTTP/1.1 400".to_owned(),
            String::new(),
        ] {
            assert_eq!(with_reason(other.as_bytes(), 1), None, "{other}");
        }
    }
}
