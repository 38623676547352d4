//! The JSON-RPC methods: the same decisions and the same rows as behind the XML endpoints (slapos/proxy/json_rpc.py).
//!
//! * here: protocol (method, media types, the documents against their description) and how a refusal is told
//! * `changes`: methods that change something; `answers`: methods that only read
//!
//! Nobody is told apart here, so who requests an instance is always a user, as with slapproxy.

mod answers;
mod changes;

use super::{Master, decisions::Refusal};
use crate::{
    vocabulary::{BadId, InstanceGuid},
    wire::{
        http::server::{Request, Response},
        json_rpc,
    },
};
use serde_json::{Value as Json, json};
use std::{fmt::Display, rc::Rc, str::FromStr};

/// How each method's name begins.
pub(super) const PREFIX: &str = "slapos.";

impl Master {
    /// Answers a method.
    pub(super) async fn rpc(self: &Rc<Self>, method: &str, request: &Request) -> Response {
        if !json_rpc::is_method(method) {
            let shown: String = method.chars().take(80).collect();
            let refusal = Refusal::new(404, format!("there is no method {shown}"))
                .hint("names are exact: slapos.post.v0.software_instance, slapos.get.v0.instance_tree");
            return told(404, &refusal);
        }
        let answer = match self.checked_rpc(method, request).await {
            Ok(answer) => answer,
            Err(refusal) => return refused(&refusal),
        };
        if let Err(mistake) = json_rpc::check_answer(method, &answer) {
            self.log.line(format_args!("{method}: the answer is against its description: {mistake}"));
            return refused(&Refusal::new(500, mistake));
        }
        Response::new(200, MEDIA_TYPE, answer.to_string())
    }

    async fn checked_rpc(self: &Rc<Self>, method: &str, request: &Request) -> Result<Json, Refusal> {
        if request.method != "POST" {
            return Err(Refusal::new(405, "The method is not allowed for the requested URL."));
        }
        if !accepts_json(&request.header_list("accept")) {
            return Err(Refusal::new(406, format!("answers are {MEDIA_TYPE}, which Accept does not name")));
        }
        let document = read(request)?;
        json_rpc::check_request(method, &document).map_err(|mistake| Refusal::new(400, mistake))?;
        if method.starts_with("slapos.get.") || method.starts_with("slapos.allDocs.") {
            self.rpc_answer(method, &document, request)
        } else {
            self.rpc_change(method, &document, request).await
        }
    }
}

const MEDIA_TYPE: &str = "application/json";

/// slapproxy gives every mistake the status 403 where an object is not there or cannot be had.
fn refused(refusal: &Refusal) -> Response {
    told(if refusal.status == 404 { 403 } else { refusal.status }, refusal)
}

fn told(status: u16, refusal: &Refusal) -> Response {
    let response =
        Response::new(status, MEDIA_TYPE, json_rpc::error_document(status, &refusal.to_string()).to_string());
    match status {
        405 => response.header("allow", "POST"),
        503 => response.header("retry-after", "1"),
        _ => response,
    }
}

/// Whether an `Accept` header allows JSON (RFC 9110, 12.5.1); none allows everything.
fn accepts_json(accept: &str) -> bool {
    let allows = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let is_refused = parts.any(|parameter| {
            let quality = parameter.strip_prefix("q=").map(str::parse::<f32>);
            matches!(quality, Some(Ok(quality)) if quality <= 0.0)
        });
        matches!(kind.as_str(), "*/*" | "application/*" | MEDIA_TYPE) && !is_refused
    };
    accept.trim().is_empty() || accept.split(',').any(allows)
}

fn read(request: &Request) -> Result<Json, Refusal> {
    let media_type = request.header("content-type").unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json =
        media_type == MEDIA_TYPE || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    if !is_json {
        let shown: String = media_type.chars().take(80).collect();
        return Err(Refusal::new(415, format!("Content-Type is {shown:?}: expected {MEDIA_TYPE}")));
    }
    if values_of(&request.body) > VALUES_MAX {
        return Err(Refusal::new(400, format!("the body holds more than {VALUES_MAX} values")));
    }
    serde_json::from_slice(&request.body)
        .map_err(|error| Refusal::new(400, format!("the body is no JSON document: {error}")))
}

/// How many values a document may hold: who asks shall not keep the master busy.
const VALUES_MAX: usize = 1 << 15;

/// How many values a document of JSON holds, of objects and lists in it only the members and items; no fewer if it is none.
fn values_of(document: &[u8]) -> usize {
    let (mut values, mut is_text, mut is_escaped) = (1, false, false);
    for byte in document {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b',' | b'[' | b'{' if !is_text => values += 1,
            _ => {}
        }
    }
    values
}

/// The texts of a document that was checked.
struct Arguments<'a>(&'a Json);

impl<'a> Arguments<'a> {
    /// A text; empty where it may be missing and is.
    fn text(&self, name: &str) -> &'a str {
        self.0[name].as_str().unwrap_or_default()
    }

    /// An id or a state.
    fn parsed<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, Refusal> {
        self.text(name).parse().map_err(|error| Refusal::new(400, format!("{name}: {error}")))
    }

    /// The id of something that must be there: a text that can be none is that of nothing.
    fn known<T: FromStr<Err = BadId>>(&self, name: &str) -> Result<T, Refusal> {
        self.text(name).parse().map_err(|error| Refusal::new(404, format!("{name}: {error}")))
    }

    fn guid(&self) -> Result<InstanceGuid, Refusal> {
        let text = self.text("instance_guid");
        text.parse().map_err(|_| {
            let shown: String = text.chars().take(200).collect();
            Refusal::new(404, format!("instance_guid {shown} not handled."))
        })
    }
}

fn success(title: impl Into<String>) -> Json {
    json!({ "title": title.into(), "type": "success" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted() {
        for (document, expected) in
            [("", 1), ("1", 1), ("[1, 2, 3]", 4), (r#"{"a": [], "b": "[,{\\\",{"}"#, 4), (r#""\\", {"#, 3)]
        {
            assert_eq!(values_of(document.as_bytes()), expected, "{document}");
        }
    }

    #[test]
    fn what_accepts_json() {
        for (accept, expected) in [
            ("", true),
            ("*/*", true),
            ("application/json", true),
            ("text/html, Application/JSON;q=0.5", true),
            ("application/*; q=0.1", true),
            ("text/html", false),
            ("application/json;q=0", false),
            ("application/jsonx", false),
        ] {
            assert_eq!(accepts_json(accept), expected, "{accept}");
        }
    }
}
