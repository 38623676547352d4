//! `slap http-server (--host H --port P | --socket-path S) --directory D [--log FILE] [--allow-write]`
//!
//! What slapos.cookbook:simplehttpserver runs: the files of a directory over HTTP, and, where it is allowed, writing to them. The facts are those
//! of its `ServerHandler` and of Python's SimpleHTTPRequestHandler: index.html, listings, a redirect to the
//! directory's slash, `POST` of a form with `path`, `content` and `clear`.
//!
//! * this file: command line, requests, answers
//! * `http_server/place.rs`: from a request's path to a file, never out of the directory
//! * `http_server/form.rs`: the two kinds of form
//! * `http_server/media.rs`: media types by ending

mod form;
mod media;
mod place;

use crate::{
    env::{Address, Env, Exit, FileKind, LocalFuture, Metadata},
    wire::http::server::{Handler, Limits, Request, Response, serve_until},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use place::{Place, PlaceError};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    rc::Rc,
};

/// Bytes of a file that is served: it is held in memory while it is sent.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Bytes of a request that writes.
const WRITE_BYTES_MAX: usize = 64 << 20;
/// Names in a listing.
const NAMES_MAX: usize = 10_000;
/// When the log is longer, it becomes `<log>.1`.
const LOG_BYTES_MAX: u64 = 10 << 20;
/// What stays readable in a link to a file.
const LINK: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

const USAGE: &str = "expected (--host HOST --port PORT | --socket-path PATH) --directory DIRECTORY [--log FILE] [--allow-write]";

#[derive(Debug, PartialEq, Eq)]
struct Options {
    address: Address,
    directory: PathBuf,
    log: Option<PathBuf>,
    allow_write: bool,
}

struct FileServer {
    env: Env,
    directory: PathBuf,
    log: Option<PathBuf>,
    allow_write: bool,
}

/// Serves until it is asked to end.
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    let termination = env.processes().termination();
    let options = match parse(&env, &arguments) {
        Ok(options) => options,
        Err(message) => {
            env.tell(format_args!("slap http-server: {message}"));
            return Exit::USAGE;
        }
    };
    let Options { address, directory, log, allow_write } = options;
    let fail = |message: String| {
        env.tell(format_args!("slap http-server: {message}"));
        Exit::FAILED
    };
    let directory = match place::real_directory(&env, &directory) {
        Ok(directory) => directory,
        Err(error) => return fail(format!("--directory {}: {error}", directory.display())),
    };
    let listener = match env.network().listen(&address) {
        Ok(listener) => listener,
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            return fail(format!(
                "{error}: another program listens there; choose another port or stop that one"
            ));
        }
        Err(error) => return fail(error.to_string()),
    };
    let body_bytes_max = if allow_write { WRITE_BYTES_MAX } else { 1 << 20 };
    // Whole files come and go here.
    let patience = std::time::Duration::from_secs(30);
    let limits = Limits {
        body_bytes_max,
        bodies_bytes_max: 4 * body_bytes_max,
        body_timeout: patience,
        write_timeout: patience,
        ..Limits::default()
    };
    let server = Rc::new(FileServer { env: env.clone(), directory, log, allow_write });
    server.note(&format!("serves {} at {}", server.directory.display(), listener.address()));
    serve_until(&env, listener, limits, server, termination).await;
    Exit::DONE
}

fn parse(env: &Env, arguments: &[String]) -> Result<Options, String> {
    let (mut host, mut port, mut socket, mut directory, mut log) = (None, None, None, None, None);
    let mut allow_write = false;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let (option, attached) = match argument.split_once('=') {
            Some((option, value)) => (option, Some(value)),
            None => (argument.as_str(), None),
        };
        let slot = match option {
            "--allow-write" if attached.is_none() => {
                allow_write = true;
                continue;
            }
            "--host" => &mut host,
            "--port" => &mut port,
            "--socket-path" => &mut socket,
            "--directory" => &mut directory,
            "--log" => &mut log,
            _ => return Err(format!("{argument:?} is no option of it: {USAGE}")),
        };
        let value = attached.or_else(|| rest.next().map(String::as_str)).filter(|value| !value.is_empty());
        *slot = Some(value.ok_or_else(|| format!("{option} has no value: {USAGE}"))?.to_owned());
    }
    let address = match (host, port, socket) {
        (Some(host), Some(port), None) => {
            let number = port.parse().map_err(|_| format!("--port {port:?}: expected 0 to 65535"))?;
            match host.trim_start_matches('[').trim_end_matches(']').parse() {
                Ok(ip) => Address::Tcp(std::net::SocketAddr::new(ip, number)),
                Err(_) => Address::Name(host, number),
            }
        }
        (None, None, Some(socket)) => Address::Unix(env.context().absolute(socket)),
        _ => return Err(USAGE.to_owned()),
    };
    let directory = env.context().absolute(directory.ok_or(USAGE)?);
    Ok(Options { address, directory, log: log.map(|log| env.context().absolute(log)), allow_write })
}

impl Handler for FileServer {
    fn handle(self: Rc<Self>, request: Request) -> LocalFuture<'static, Response> {
        Box::pin(async move {
            let response = self.answer(&request);
            let peer = request.peer.map_or("-".to_owned(), |peer| peer.ip().to_string());
            // Quoted and escaped: a stranger writes no line of his own.
            let line = format!(
                "{peer} - - {:?} {}",
                format!("{} {}", request.method, request.path),
                response.status
            );
            self.note(&line);
            response
        })
    }
}

impl FileServer {
    fn answer(&self, request: &Request) -> Response {
        match request.method.as_str() {
            "GET" | "HEAD" => self.read(request),
            "POST" | "PUT" if !self.allow_write => Response::text(403, "Forbidden"),
            "POST" => self.post(request),
            "PUT" => self.put(request),
            _ => Response::text(501, "Unsupported method\n").header("connection", "close"),
        }
    }

    fn read(&self, request: &Request) -> Response {
        let place = match place::of_request(&self.env, &self.directory, &request.path) {
            Ok(place) => place,
            Err(error) => return refuse(&error),
        };
        match place.metadata.kind {
            FileKind::File if request.path.ends_with('/') => not_found(),
            FileKind::File => self.file(request, &place),
            FileKind::Directory if !request.path.ends_with('/') => {
                // One slash only: `//host` would lead to another host.
                let query =
                    if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
                let location = format!("/{}/{query}", request.path.trim_start_matches('/'));
                Response::text(301, "").header("location", location)
            }
            FileKind::Directory => {
                for index in ["index.html", "index.htm"] {
                    let path = format!("{}{index}", request.path);
                    if let Ok(place) = place::of_request(&self.env, &self.directory, &path)
                        && place.metadata.kind == FileKind::File
                    {
                        return self.file(request, &place);
                    }
                }
                self.listing(request, &place)
            }
            FileKind::Symlink | FileKind::Device | FileKind::Other => not_found(),
        }
    }

    fn file(&self, request: &Request, place: &Place) -> Response {
        let modified = http_date(&place.metadata);
        if request.header("if-modified-since").is_some_and(|since| since == modified) {
            return Response { status: 304, headers: Vec::new(), body: Vec::new().into() }
                .header("last-modified", modified);
        }
        match self.env.files().read(&place.path, FILE_BYTES_MAX) {
            Ok(content) => {
                Response::new(200, media::of(&place.path), content).header("last-modified", modified)
            }
            Err(error) if error.kind() == ErrorKind::FileTooLarge => {
                Response::text(500, format!("The file has more than {FILE_BYTES_MAX} bytes\n"))
            }
            // It is there and cannot be read: that is told apart from nowhere by Python's neither.
            Err(_) => not_found(),
        }
    }

    fn listing(&self, request: &Request, place: &Place) -> Response {
        let Ok(mut names) = self.env.files().list(&place.path) else {
            return Response::text(404, "No permission to list directory\n");
        };
        names.sort_by_key(|name| name.to_lowercase());
        let cut = names.len() > NAMES_MAX;
        names.truncate(NAMES_MAX);
        let shown = percent_encoding::percent_decode_str(&request.path).decode_utf8_lossy();
        let title = format!("Directory listing for {}", escape(&shown));
        let mut page = format!(
            "<!DOCTYPE HTML>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n</head>\n<body>\n\
             <h1>{title}</h1>\n<hr>\n<ul>\n"
        );
        for name in names {
            let path = place.path.join(&name);
            let is_link =
                self.env.files().symlink_metadata(&path).is_ok_and(|link| link.kind == FileKind::Symlink);
            let (link_end, shown_end) = match (self.env.files().is_directory(&path), is_link) {
                (true, true) => ("/", "@"),
                (true, false) => ("/", "/"),
                (false, true) => ("", "@"),
                (false, false) => ("", ""),
            };
            let link = utf8_percent_encode(&name, LINK);
            page += &format!("<li><a href=\"{link}{link_end}\">{}{shown_end}</a></li>\n", escape(&name));
        }
        if cut {
            page += &format!("<li>... only the first {NAMES_MAX} are shown</li>\n");
        }
        page += "</ul>\n<hr>\n</body>\n</html>\n";
        Response::new(200, "text/html; charset=utf-8", page)
    }

    fn post(&self, request: &Request) -> Response {
        let media_type = request.header("content-type").unwrap_or_default();
        let form = match form::parse(media_type, &request.body) {
            Ok(form) => form,
            Err(message) => return Response::text(400, message + "\n"),
        };
        let (Some(path), Some(content)) = (form.get("path"), form.get("content")) else {
            return Response::text(400, "a form with the fields `path` and `content` is expected\n");
        };
        let Ok(path) = std::str::from_utf8(path) else { return Response::text(400, "`path` is not UTF-8\n") };
        let overwrites = form.get("clear").is_some_and(|clear| clear == b"1");
        match place::to_write(&self.env, &self.directory, path) {
            Ok(target) => self.write(&target, content, overwrites, media_type, path),
            Err(error) => refuse(&error),
        }
    }

    fn put(&self, request: &Request) -> Response {
        let Ok(path) = place::decode(&request.path) else { return not_found() };
        match place::to_write(&self.env, &self.directory, path.trim_start_matches('/')) {
            Ok(target) => self.write(&target, &request.body, true, "text/plain; charset=utf-8", &path),
            Err(error) => refuse(&error),
        }
    }

    fn write(
        &self,
        target: &Path,
        content: &[u8],
        overwrites: bool,
        media_type: &str,
        shown: &str,
    ) -> Response {
        let files = self.env.files();
        let written = match overwrites {
            true => files.write(target, content, 0o640),
            false => files.append(target, content, 0o640),
        };
        match written {
            Ok(()) => Response::new(200, media_type, format!("Content written to {shown}")),
            Err(error) => {
                self.note(&format!("{} cannot be written: {error}", target.display()));
                Response::text(500, format!("It cannot be written: {:?}\n", error.kind()))
            }
        }
    }

    fn note(&self, line: &str) {
        let Some(log) = &self.log else { return self.env.log(line) };
        let files = self.env.files();
        if files.symlink_metadata(log).is_ok_and(|metadata| metadata.length > LOG_BYTES_MAX) {
            let mut beside = log.as_os_str().to_owned();
            beside.push(".1");
            let _ = files.rename(log, Path::new(&beside));
        }
        let line = format!("{:.3} INFO - {line}\n", self.env.clock().now());
        if let Err(error) = files.append(log, line.as_bytes(), 0o600) {
            self.env.log(format_args!("{}: {error}", log.display()));
        }
    }
}

fn refuse(error: &PlaceError) -> Response {
    match error {
        PlaceError::Outside => Response::text(403, "Forbidden"),
        PlaceError::Missing => not_found(),
    }
}

fn not_found() -> Response {
    Response::text(404, "File not found\n")
}

fn http_date(metadata: &Metadata) -> String {
    let time = jiff::Timestamp::from_second(metadata.modified_seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#x27;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
