//! The Python modules that context lines import: json, os.path, urllib.parse, itertools, hashlib, base64, re,
//! functools, operator, six. What a module has and this one does not is refused by name when it is used.

use super::{
    builtins::{self, Call},
    expression::Arguments,
    fault::{Fault, Outcome, type_error},
    interpreter::Interpreter,
    iterate::Iter,
    json, methods, operate,
    value::{Dict, Function, Type, Value, View},
};
use indexmap::IndexMap;
use md5::Digest as _;
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

const MODULES: &[&str] = &[
    "base64",
    "functools",
    "hashlib",
    "itertools",
    "json",
    "operator",
    "os",
    "os.path",
    "re",
    "six",
    "six.moves",
    "six.moves.urllib",
    "six.moves.urllib.parse",
    "string",
    "urllib",
    "urllib.parse",
];

const FUNCTIONS: &[Function] = &[
    Function { name: "json.dumps", call: json_dumps },
    Function { name: "json.loads", call: json_loads },
    Function { name: "os.path.join", call: path_join },
    Function { name: "os.path.basename", call: |_, a| path_split(a).map(|(_, name)| Value::text(name)) },
    Function {
        name: "os.path.dirname",
        call: |_, a| path_split(a).map(|(directory, _)| Value::text(directory)),
    },
    Function {
        name: "os.path.split",
        call: |_, a| {
            path_split(a).map(|(head, tail)| Value::tuple(vec![Value::text(head), Value::text(tail)]))
        },
    },
    Function { name: "os.path.splitext", call: path_extension },
    Function { name: "os.path.normpath", call: |_, a| text(a).map(|path| Value::text(normal_path(&path))) },
    Function { name: "os.path.isabs", call: |_, a| text(a).map(|path| Value::Bool(path.starts_with('/'))) },
    Function { name: "urllib.parse.quote", call: |_, a| url_quote(a, false) },
    Function { name: "urllib.parse.quote_plus", call: |_, a| url_quote(a, true) },
    Function { name: "urllib.parse.unquote", call: |_, a| unquote(&text(a)?) },
    Function { name: "urllib.parse.unquote_plus", call: |_, a| unquote(&text(a)?.replace('+', " ")) },
    Function { name: "urllib.parse.urlencode", call: url_encode },
    Function { name: "urllib.parse.urlparse", call: |_, a| url_parse(&text(a)?, true) },
    Function { name: "urllib.parse.urlsplit", call: |_, a| url_parse(&text(a)?, false) },
    Function { name: "urllib.parse.parse_qs", call: parse_query },
    Function { name: "itertools.chain", call: chain },
    Function { name: "itertools.count", call: count },
    Function { name: "itertools.islice", call: slice },
    Function { name: "itertools.product", call: product },
    Function { name: "hashlib.md5", call: |_, a| digest("md5", a) },
    Function { name: "hashlib.sha1", call: |_, a| digest("sha1", a) },
    Function { name: "hashlib.sha256", call: |_, a| digest("sha256", a) },
    Function { name: "hashlib.sha512", call: |_, a| digest("sha512", a) },
    Function { name: "base64.b64encode", call: |_, a| encode(a, "+/") },
    Function { name: "base64.standard_b64encode", call: |_, a| encode(a, "+/") },
    Function { name: "base64.urlsafe_b64encode", call: |_, a| encode(a, "-_") },
    Function { name: "base64.b64decode", call: decode },
    Function { name: "re.escape", call: |_, a| text(a).map(|text| Value::text(escape(&text))) },
    Function { name: "functools.partial", call: partial },
    Function { name: "operator.itemgetter", call: item_getter },
    Function {
        name: "six.moves.shlex_quote",
        call: |_, a| text(a).map(|word| Value::text(shell_word(&word))),
    },
    Function { name: "six.iteritems", call: |_, a| entries(a, View::Items) },
    Function { name: "six.itervalues", call: |_, a| entries(a, View::Values) },
    Function { name: "six.iterkeys", call: |_, a| entries(a, View::Keys) },
];

/// The module of that name.
pub(super) fn module(name: &str) -> Option<Value> {
    MODULES.iter().find(|known| **known == name).map(|name| Value::Library(name))
}

/// `module.name`.
pub(super) fn attribute(module: &'static str, name: &str) -> Outcome<Value> {
    let module = module.strip_prefix("six.moves.").unwrap_or(module);
    let full = format!("{module}.{name}");
    if let Some(function) = FUNCTIONS.iter().find(|function| function.name == full) {
        return Ok(Value::Function(*function));
    }
    if let Some(module) = self::module(&full) {
        return Ok(module);
    }
    let strings = |kinds: &[Type]| Value::tuple(kinds.iter().map(|kind| Value::Type(*kind)).collect());
    Ok(match full.as_str() {
        "six.string_types" => strings(&[Type::Text]),
        "six.integer_types" => strings(&[Type::Int]),
        "six.text_type" => Value::Type(Type::Text),
        "six.binary_type" => Value::Type(Type::Bytes),
        "six.PY2" => Value::Bool(false),
        "six.PY3" => Value::Bool(true),
        "six.moves.range" => Value::Type(Type::Range),
        "six.moves.urllib" => Value::Library("six.moves.urllib"),
        "os.pathsep" => Value::text(":"),
        "os.sep" => Value::text("/"),
        "string.ascii_letters" => Value::text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        "string.ascii_lowercase" => Value::text("abcdefghijklmnopqrstuvwxyz"),
        "string.ascii_uppercase" => Value::text("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        "string.digits" => Value::text("0123456789"),
        _ => return Err(Fault::unsupported(format!("Python's {full}"))),
    })
}

/// An attribute of a function: `itertools.chain.from_iterable`.
pub(super) fn function_attribute(function: &str, name: &str) -> Outcome<Option<Value>> {
    match (function, name) {
        ("itertools.chain", "from_iterable") => {
            let call: Call = |this, arguments| {
                let sources = methods::one(arguments, "from_iterable")?;
                let sources = this.collect(&sources)?;
                chain(this, Arguments::of(sources))
            };
            Ok(Some(Value::Function(Function { name: "itertools.chain.from_iterable", call })))
        }
        _ => Err(Fault::unsupported(format!("attribute {name} of function {function}"))),
    }
}

fn text(arguments: Arguments) -> Outcome<Rc<str>> {
    match methods::one(arguments, "this function")? {
        Value::Text(text) => Ok(text),
        other => {
            other.defined()?;
            Err(type_error(format!("expected str, not {}", other.type_name())))
        }
    }
}

fn json_dumps(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let [value, indent, separators, sort_keys, ascii] =
        arguments.bind("json.dumps", ["obj", "indent", "separators", "sort_keys", "ensure_ascii"], 1)?;
    let mut style = json::Style::new(indent)?;
    style.sort_keys = sort_keys.map_or(Ok(false), |sort| sort.is_true())?;
    style.ascii = ascii.map_or(Ok(true), |ascii| ascii.is_true())?;
    match separators {
        None | Some(Value::None) => {}
        Some(Value::Tuple(pair)) if pair.len() == 2 => {
            style.item_separator = pair[0].to_text()?.to_string();
            style.key_separator = pair[1].to_text()?.to_string();
        }
        Some(_) => return Err(type_error("separators is a pair of strings")),
    }
    operate::text(json::dumps(&value.unwrap_or(Value::None), &style)?)
}

fn json_loads(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    match methods::one(arguments, "json.loads")? {
        Value::Text(text) => json::loads(&text),
        Value::Bytes(bytes) => {
            let text = std::str::from_utf8(&bytes).map_err(|_| Fault::new("JSON that is not UTF-8"))?;
            json::loads(text)
        }
        other => {
            other.defined()?;
            Err(type_error(format!(
                "the JSON object must be str, bytes or bytearray, not {}",
                other.type_name()
            )))
        }
    }
}

fn path_join(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let mut path = String::new();
    for part in arguments.positional {
        let part = text(Arguments::of(vec![part]))?;
        if part.starts_with('/') || path.is_empty() {
            path = part.to_string();
        } else {
            if !path.ends_with('/') {
                path.push('/');
            }
            path.push_str(&part);
        }
    }
    operate::text(path)
}

fn path_split(arguments: Arguments) -> Outcome<(String, String)> {
    let path = text(arguments)?;
    let at = path.rfind('/').map_or(0, |at| at + 1);
    let (head, tail) = path.split_at(at);
    let trimmed = head.trim_end_matches('/');
    Ok((if trimmed.is_empty() { head } else { trimmed }.to_owned(), tail.to_owned()))
}

fn path_extension(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let path = text(arguments)?;
    let name = path.rfind('/').map_or(0, |at| at + 1);
    let stem = path[name..].trim_start_matches('.');
    let at = match stem.rfind('.') {
        Some(at) => path.len() - stem.len() + at,
        None => path.len(),
    };
    Ok(Value::tuple(vec![Value::text(&path[..at]), Value::text(&path[at..])]))
}

fn normal_path(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    let root = if path.starts_with("//") && !path.starts_with("///") {
        "//"
    } else if path.starts_with('/') {
        "/"
    } else {
        ""
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if !root.is_empty() => {}
            other => parts.push(other),
        }
    }
    let normal = format!("{root}{}", parts.join("/"));
    if normal.is_empty() { ".".to_owned() } else { normal }
}

/// Percent-encoding as `urllib.parse.quote` does it.
pub(super) fn quote(text: &str, safe: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let c = char::from(byte);
        if byte.is_ascii_alphanumeric() || "_.-~".contains(c) || (byte.is_ascii() && safe.contains(c)) {
            out.push(c);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn url_quote(arguments: Arguments, plus: bool) -> Outcome<Value> {
    let [value, safe] = arguments.bind("quote", ["string", "safe"], 1)?;
    let value = value.unwrap_or(Value::None);
    let safe = safe.map_or(Ok(if plus { "" } else { "/" }.into()), |safe| safe.to_text())?;
    let bytes = match &value {
        Value::Text(text) => text.clone(),
        other => {
            other.defined()?;
            return Err(Fault::unsupported(format!("quote() of a {}", other.type_name())));
        }
    };
    let quoted = quote(&bytes, &safe);
    Ok(Value::text(if plus { quoted.replace("%20", "+") } else { quoted }))
}

fn unquote(text: &str) -> Outcome<Value> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    operate::text(decoded.into_owned())
}

fn url_encode(this: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let query = methods::one(arguments, "urlencode")?;
    let pairs = match &query {
        Value::Dict(dict) => super::iterate::view(View::Items, &dict.borrow()),
        other => this.collect(other)?,
    };
    let mut parts = Vec::new();
    for pair in pairs {
        let pair = this.collect(&pair)?;
        let [key, value] =
            <[Value; 2]>::try_from(pair).map_err(|_| type_error("not a valid non-string sequence"))?;
        let encode = |value: &Value| value.to_text().map(|text| quote(&text, "").replace("%20", "+"));
        parts.push(format!("{}={}", encode(&key)?, encode(&value)?));
    }
    operate::text(parts.join("&"))
}

/// What stands in a query without an `=`, or with nothing behind it, is left out.
fn parse_query(this: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let query = text(arguments)?;
    let mut found: IndexMap<String, Vec<Value>> = IndexMap::new();
    for pair in query.split('&') {
        this.charge(1)?;
        let Some((name, value)) = pair.split_once('=').filter(|(_, value)| !value.is_empty()) else {
            continue;
        };
        let decode = |text: &str| unquote(&text.replace('+', " "))?.to_text();
        found.entry(decode(name)?.to_string()).or_default().push(Value::Text(decode(value)?));
    }
    let mut dict = Dict::new();
    for (name, values) in found {
        builtins::insert(&mut dict, Value::text(name), Value::list(values))?;
    }
    Ok(Value::dict(dict))
}

/// Python's `shlex.quote`.
fn shell_word(word: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    match !word.is_empty() && word.chars().all(is_safe) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\"'\"'")),
    }
}

fn url_parse(url: &str, with_parameters: bool) -> Outcome<Value> {
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
        _ => (String::new(), rest),
    };
    let (network, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let last = path.rfind('/').map_or(0, |at| at + 1);
    let (path, parameters) = match path[last..].split_once(';') {
        Some((name, parameters)) if with_parameters => (&path[..last + name.len()], parameters),
        _ => (path, ""),
    };
    let (user, host) = match network.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, network),
    };
    let (username, password) = match user.map(|user| user.split_once(':').ok_or(user)) {
        Some(Ok((username, password))) => (Value::text(username), Value::text(password)),
        Some(Err(username)) => (Value::text(username), Value::None),
        None => (Value::None, Value::None),
    };
    let (name, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((name, rest)) => (name, rest.strip_prefix(':')),
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let port = match port.filter(|port| !port.is_empty()) {
        Some(port) => Value::Int(
            port.parse::<u16>()
                .map_err(|_| {
                    Fault::new(format!("ValueError: Port could not be cast to integer value: {port}"))
                })?
                .into(),
        ),
        None => Value::None,
    };
    let mut parts = BTreeMap::new();
    for (key, value) in [
        ("scheme", Value::text(scheme)),
        ("netloc", Value::text(network)),
        ("path", Value::text(path)),
        ("query", Value::text(query)),
        ("fragment", Value::text(fragment)),
        ("username", username),
        ("password", password),
        ("hostname", if name.is_empty() { Value::None } else { Value::text(name.to_lowercase()) }),
        ("port", port),
    ] {
        parts.insert(key.to_owned(), value);
    }
    if with_parameters {
        parts.insert("params".to_owned(), Value::text(parameters));
    }
    Ok(Value::Module(Rc::new(parts)))
}

fn chain(this: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let mut items = Vec::new();
    for source in arguments.positional {
        items.extend(this.collect(&source)?);
    }
    Ok(Value::iterator(items))
}

fn count(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let [start, step] = arguments.bind("count", ["start", "step"], 0)?;
    let number = |value: Option<Value>, default: i128| match value {
        None => Ok(default),
        Some(value) => value.integer().ok_or_else(|| Fault::unsupported("itertools.count of this")),
    };
    Ok(Value::Iterator(Rc::new(RefCell::new(Iter::Count(number(start, 0)?, number(step, 1)?)))))
}

fn slice(this: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let mut given = arguments.positional.into_iter();
    let source = given.next().ok_or_else(|| type_error("islice expected at least 2 arguments"))?;
    let bounds = given.map(|value| value.integer().and_then(|value| usize::try_from(value).ok()));
    let bounds = bounds.collect::<Option<Vec<usize>>>();
    let (start, stop) = match bounds.as_deref() {
        Some([stop]) => (0, *stop),
        Some([start, stop]) => (*start, *stop),
        _ => return Err(Fault::unsupported("itertools.islice with these bounds")),
    };
    let mut source = source.iterate()?;
    let mut items = Vec::new();
    for place in 0..stop {
        this.charge(1)?;
        match source.next() {
            Some(item) if place >= start => items.push(item),
            Some(_) => {}
            None => break,
        }
    }
    Ok(Value::iterator(items))
}

fn product(this: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    if !arguments.keywords.is_empty() {
        return Err(Fault::unsupported("itertools.product with keywords"));
    }
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for source in arguments.positional {
        let items = this.collect(&source)?;
        let mut longer = Vec::new();
        for row in &rows {
            for item in &items {
                this.charge(1)?;
                longer.push(row.iter().cloned().chain([item.clone()]).collect());
            }
        }
        rows = longer;
    }
    Ok(Value::iterator(rows.into_iter().map(Value::tuple).collect()))
}

fn bytes(value: Option<Value>) -> Outcome<Rc<[u8]>> {
    match value {
        None => Ok([].into()),
        Some(Value::Bytes(bytes)) => Ok(bytes),
        Some(Value::Text(_)) => Err(type_error("Strings must be encoded before hashing")),
        Some(other) => {
            other.defined()?;
            Err(type_error(format!("a bytes-like object is required, not '{}'", other.type_name())))
        }
    }
}

fn digest(algorithm: &'static str, arguments: Arguments) -> Outcome<Value> {
    let [content] = arguments.bind(algorithm, ["string"], 0)?;
    Ok(Value::Digest(algorithm, Rc::new(RefCell::new(bytes(content)?.to_vec()))))
}

/// A method of a hash.
pub(super) fn digest_method(
    algorithm: &'static str,
    content: &Rc<RefCell<Vec<u8>>>,
    name: &str,
    arguments: Arguments,
) -> Outcome<Value> {
    if name == "update" {
        let more = bytes(Some(methods::one(arguments, name)?))?;
        let mut content = content.borrow_mut();
        if content.len() + more.len() > super::value::TEXT_BYTES_MAX {
            return Err(Fault::new("too much to hash"));
        }
        content.extend_from_slice(&more);
        return Ok(Value::None);
    }
    let [] = arguments.bind(name, [], 0)?;
    if name == "copy" {
        return Ok(Value::Digest(algorithm, Rc::new(RefCell::new(content.borrow().clone()))));
    }
    let hash: Vec<u8> = match algorithm {
        "md5" => md5::Md5::digest(&*content.borrow()).to_vec(),
        "sha1" => sha1::Sha1::digest(&*content.borrow()).to_vec(),
        "sha256" => sha2::Sha256::digest(&*content.borrow()).to_vec(),
        _ => sha2::Sha512::digest(&*content.borrow()).to_vec(),
    };
    Ok(match name {
        "hexdigest" => Value::text(hexadecimal(&hash)),
        _ => Value::Bytes(hash.into()),
    })
}

/// Bytes in hexadecimal.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn encode(arguments: Arguments, last: &str) -> Outcome<Value> {
    let content = bytes(Some(methods::one(arguments, "b64encode")?))?;
    let alphabet: Vec<u8> = ALPHABET.iter().copied().chain(last.bytes()).collect();
    let mut out = Vec::with_capacity(content.len().div_ceil(3) * 4);
    for group in content.chunks(3) {
        let number = group.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
        let number = number << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = (number >> (18 - 6 * place)) & 63;
            out.push(if place <= group.len() { alphabet[digit as usize] } else { b'=' });
        }
    }
    Ok(Value::Bytes(out.into()))
}

fn decode(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let content = match methods::one(arguments, "b64decode")? {
        Value::Text(text) => text.as_bytes().into(),
        other => bytes(Some(other))?,
    };
    let bad = || Fault::new("binascii.Error: not base64, or base64 that this renderer does not read");
    let body = content.strip_suffix(b"==").or_else(|| content.strip_suffix(b"=")).unwrap_or(&content);
    if content.len() % 4 != 0 {
        return Err(bad());
    }
    let mut out = Vec::new();
    for group in body.chunks(4) {
        let mut number = 0u32;
        for byte in group {
            let digit = ALPHABET.iter().chain(b"+/").position(|known| known == byte).ok_or_else(bad)?;
            number = number << 6 | u32::try_from(digit).unwrap_or(0);
        }
        number <<= 6 * (4 - group.len());
        out.extend_from_slice(&number.to_be_bytes()[1..group.len().max(1)]);
    }
    Ok(Value::Bytes(out.into()))
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if "()[]{}?*+-|^$\\.&~# \t\n\r\x0b\x0c".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn partial(_: &mut Interpreter<'_>, mut arguments: Arguments) -> Outcome<Value> {
    if arguments.positional.is_empty() {
        return Err(type_error("type 'partial' takes at least one argument"));
    }
    let function = arguments.positional.remove(0);
    Ok(Value::Partial(Rc::new((function, arguments))))
}

fn item_getter(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let key = methods::one(arguments, "itemgetter")?;
    let call: Call = |this, arguments| {
        let [key, object] = arguments.bind("itemgetter", ["key", "obj"], 2)?;
        let object = object.unwrap_or(Value::None);
        methods::call(this, &object, "__getitem__", Arguments::of(vec![key.unwrap_or(Value::None)]))
    };
    let function = Value::Function(Function { name: "operator.itemgetter()", call });
    Ok(Value::Partial(Rc::new((function, Arguments::of(vec![key])))))
}

fn entries(arguments: Arguments, view: View) -> Outcome<Value> {
    match methods::one(arguments, "six")? {
        Value::Dict(dict) => Ok(Value::iterator(super::iterate::view(view, &dict.borrow()))),
        other => {
            other.defined()?;
            Err(Fault::new(format!(
                "AttributeError: '{}' object has no attribute 'items'",
                other.type_name()
            )))
        }
    }
}
