//! What a master says when it says no, in one line for a person.

use crate::wire::http::client::Response;

/// How much of it is shown, in characters.
const SHOWN_MAX: usize = 2000;

/// The reason in a refusal: plain text from our master, a page from slapproxy, `Error Value:` from ERP5, or else what
/// was asked.
pub(super) fn of(response: &Response, asked: &str) -> String {
    let body = String::from_utf8_lossy(&response.body);
    let body = body.trim();
    let is_html = response.header("content-type").is_some_and(|kind| kind.starts_with("text/html"))
        || body.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("<!doctype"));
    let reason = if let Some(reason) = error_value(body) {
        reason
    } else if is_html {
        paragraph(body)
    } else if body.starts_with('{') {
        let title = serde_json::from_str::<serde_json::Value>(body).ok();
        title.and_then(|it| it["title"].as_str().map(str::to_owned)).unwrap_or_else(|| body.to_owned())
    } else {
        body.to_owned()
    };
    let reason: String = reason.chars().filter(|c| !c.is_control() || *c == '\n').take(SHOWN_MAX).collect();
    if reason.is_empty() { format!("{} for {asked}", response.status) } else { reason }
}

fn error_value(body: &str) -> Option<String> {
    let (_, rest) = body.split_once("Error Value:\n")?;
    Some(unescape(rest.lines().next()?.trim()))
}

fn paragraph(body: &str) -> String {
    let inner = body.split_once("<p>").map(|(_, rest)| rest.split("</p>").next().unwrap_or(rest));
    unescape(inner.unwrap_or_default().trim())
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#39;", "'")
        .replace("&#34;", "\"")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons() {
        for (body, kind, expected) in [
            ("No free partition\n", "text/plain", "No free partition"),
            (
                "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n\
                 <p>No free computer partition found for: a&amp;b</p>\n",
                "text/html; charset=utf-8",
                "No free computer partition found for: a&b",
            ),
            ("{\"status\": 403, \"type\": \"x\", \"title\": \"Forbidden\"}", "application/json", "Forbidden"),
            ("<pre>Error Value:\nIt &lt;broke&gt;\nmore</pre>", "text/html", "It <broke>"),
            ("", "text/plain", "418 for GET http://a/"),
            ("a\u{1b}[31mb", "text/plain", "a[31mb"),
        ] {
            let headers = vec![("content-type".to_owned(), kind.to_owned())];
            let response = Response { status: 418, headers, body: body.as_bytes().to_vec() };
            assert_eq!(of(&response, "GET http://a/"), expected, "{body}");
        }
    }
}
