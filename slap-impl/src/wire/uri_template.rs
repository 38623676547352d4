//! URI templates as far as hateoas uses them (RFC 6570): `{a}`, `{?a,b*}` and `{&a,b*}`.

/// The value of a variable.
#[derive(Clone, Debug)]
pub enum Variable<'a> {
    /// One text.
    Text(&'a str),
    /// Several texts.
    List(&'a [&'a str]),
}

/// Expands `template`; a variable without a value is left out. What is no expression stays as it is.
pub fn expand(template: &str, variables: &[(&str, Variable<'_>)]) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((expression, after)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            continue;
        };
        expression_into(&mut out, expression, variables);
        rest = after;
    }
    out.push_str(rest);
    out
}

fn expression_into(out: &mut String, expression: &str, variables: &[(&str, Variable<'_>)]) {
    let (named, mut separator, names) = match expression.chars().next() {
        Some('?') => (true, "?", &expression[1..]),
        Some('&') => (true, "&", &expression[1..]),
        _ => (false, "", expression),
    };
    for name in names.split(',') {
        let (name, explode) = match name.strip_suffix('*') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let Some((_, value)) = variables.iter().find(|(key, _)| *key == name) else { continue };
        let items: Vec<String> = match value {
            Variable::Text(text) => vec![encode(text)],
            Variable::List(items) => items.iter().map(|item| encode(item)).collect(),
        };
        let parts = if explode { items } else { vec![items.join(",")] };
        for part in parts {
            out.push_str(separator);
            separator = if named { "&" } else { "," };
            if named {
                out.push_str(name);
                out.push('=');
            }
            out.push_str(&part);
        }
    }
}

/// Everything but unreserved characters in percent form (RFC 3986, 2.3).
pub fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expansion() {
        let list = ["title", "url string"];
        let variables = [("query", Variable::Text("a:\"é\"")), ("select_list", Variable::List(&list))];
        for (template, expected) in [
            ("http://a/", "http://a/"),
            ("http://a/?q={query}&s={select_list}", "http://a/?q=a%3A%22%C3%A9%22&s=title,url%20string"),
            (
                "http://a{?query,none,select_list*}",
                "http://a?query=a%3A%22%C3%A9%22&select_list=title&select_list=url%20string",
            ),
            ("http://a?x{&query}", "http://a?x&query=a%3A%22%C3%A9%22"),
            ("{none}{", "{"),
        ] {
            assert_eq!(expand(template, &variables), expected, "{template}");
        }
    }
}
