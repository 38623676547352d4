//! The two kinds of form that browsers send: `application/x-www-form-urlencoded` and `multipart/form-data` (RFC 7578).

use std::collections::BTreeMap;

const FIELDS_MAX: usize = 100;

/// Fields by name; of several of one name the first counts.
pub(super) type Form = BTreeMap<String, Vec<u8>>;

/// Reads a form.
///
/// # Errors
/// In words, when it is none.
pub(super) fn parse(media_type: &str, body: &[u8]) -> Result<Form, String> {
    let (kind, parameters) = media_type.split_once(';').unwrap_or((media_type, ""));
    match kind.trim().to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => Ok(urlencoded(body)),
        "multipart/form-data" => {
            let boundary =
                parameter(parameters, "boundary").filter(|boundary| (1..=70).contains(&boundary.len()));
            multipart(&boundary.ok_or("multipart/form-data without a boundary of 1 to 70 characters")?, body)
        }
        _ => Err(format!(
            "{media_type:?} is no form: expected application/x-www-form-urlencoded or multipart/form-data"
        )),
    }
}

fn urlencoded(body: &[u8]) -> Form {
    let mut form = Form::new();
    for (name, value) in form_urlencoded::parse(body).take(FIELDS_MAX) {
        form.entry(name.into_owned()).or_insert_with(|| value.into_owned().into_bytes());
    }
    form
}

fn multipart(boundary: &str, body: &[u8]) -> Result<Form, String> {
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    let broken = |what: &str| format!("the multipart form is broken: {what}");
    // The first delimiter stands at the very beginning, without a line before it.
    let first = &delimiter[2..];
    let mut rest = match body.strip_prefix(first) {
        Some(rest) => rest,
        None => &body[find(body, &delimiter).ok_or_else(|| broken("no boundary"))? + delimiter.len()..],
    };
    let mut form = Form::new();
    while !rest.starts_with(b"--") {
        if form.len() >= FIELDS_MAX {
            return Err(broken("too many fields"));
        }
        let line_end = find(rest, b"\r\n").ok_or_else(|| broken("no line after a boundary"))?;
        let part = &rest[line_end..];
        let head_end =
            find(part, b"\r\n\r\n").ok_or_else(|| broken("a part without an end of its headers"))?;
        let content = &part[head_end + 4..];
        // An empty part's delimiter begins with the headers' last line end.
        let content_end = if content.starts_with(first) {
            0
        } else {
            find(content, &delimiter).ok_or_else(|| broken("a part without an end"))?
        };
        let head = String::from_utf8_lossy(&part[..head_end]);
        let name = head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            let is_disposition = key.trim().eq_ignore_ascii_case("content-disposition");
            is_disposition.then(|| parameter(value.split_once(';')?.1, "name")).flatten()
        });
        let name = name.ok_or_else(|| broken("a part without a name"))?;
        form.entry(name).or_insert_with(|| content[..content_end].to_vec());
        let skip = if content.starts_with(first) { first.len() } else { content_end + delimiter.len() };
        rest = &content[skip..];
    }
    Ok(form)
}

/// The value of `name` in `a=b; name="value"`.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        let (key, value) = rest.split_once('=')?;
        let value = value.trim_start();
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_once(';').map_or((value, ""), |(value, after)| (value, after)),
        };
        if key.trim_matches([' ', ';', '\t']).eq_ignore_ascii_case(name) {
            return Some(value.trim().to_owned());
        }
        rest = after;
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(media_type: &str, body: &str, expected: Result<&[(&str, &str)], &str>) {
        match (parse(media_type, body.as_bytes()), expected) {
            (Ok(form), Ok(fields)) => {
                let expected: Form = fields
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                    .collect();
                assert_eq!(form, expected, "{body}");
            }
            (Err(message), Err(part)) => assert!(message.contains(part), "{body}: {message}"),
            (form, _) => panic!("{body}: {form:?}"),
        }
    }

    #[test]
    fn forms_are_read() {
        let urlencoded = "application/x-www-form-urlencoded";
        check(urlencoded, "path=a%2Fb&content=x+y%26&path=c", Ok(&[("path", "a/b"), ("content", "x y&")]));
        check(urlencoded, "", Ok(&[]));
        let multipart = "multipart/form-data; charset=utf-8; boundary=\"XX\"";
        let body = "preamble\r\n--XX\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\na/b\r\n--XX\r\n\
                    content-disposition: form-data; filename=\"n=1;\"; name=content\r\nContent-Type: text/plain\r\n\r\n\
                    line\r\n--X\r\nline\r\n--XX--\r\n";
        check(multipart, body, Ok(&[("path", "a/b"), ("content", "line\r\n--X\r\nline")]));
        check(
            multipart,
            "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--XX--",
            Ok(&[("a", "")]),
        );
        check(multipart, "--XX--", Ok(&[]));
        check(multipart, "", Err("no boundary"));
        check(multipart, "--XX\r\nA: b\r\n\r\n", Err("without an end"));
        check(multipart, "--XX\r\nA: b\r\n\r\n\r\n--XX--", Err("without a name"));
        check("multipart/form-data", "", Err("without a boundary"));
        check("application/json", "{}", Err("is no form"));
    }
}
