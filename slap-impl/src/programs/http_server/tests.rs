//! The file server's answers, on real files.

use super::*;
use crate::env::real;

struct World {
    server: FileServer,
    _place: tempfile::TempDir,
}

fn world(allow_write: bool) -> World {
    let place = tempfile::tempdir().unwrap();
    let env = real::env();
    let directory = real_place(&env, place.path()).join("served");
    let files = env.files();
    for (path, content) in [
        ("served/page.html", "<p>"),
        ("served/with index/index.html", "index"),
        ("served/list/<b>&\".txt", "x"),
        ("served/list/sub/file", "y"),
        ("served/été #1?.txt", "z"),
        ("outside/secret", "secret"),
    ] {
        let path = place.path().join(path);
        files.create_directory(path.parent().unwrap(), 0o755).unwrap();
        files.write(&path, content.as_bytes(), 0o644).unwrap();
    }
    for (target, link) in [
        ("../outside", "out"),
        ("../outside/secret", "secret"),
        ("list/sub", "in"),
        ("loop", "loop"),
        ("../served/page.html", "round"),
        ("nowhere", "dangling"),
    ] {
        files.symlink(Path::new(target), &directory.join(link)).unwrap();
    }
    World { server: FileServer { env, directory, log: None, allow_write }, _place: place }
}

fn real_place(env: &Env, path: &Path) -> PathBuf {
    place::real_directory(env, path).unwrap()
}

fn request(method: &str, path: &str) -> Request {
    Request { method: method.to_owned(), path: path.to_owned(), ..Request::default() }
}

impl World {
    fn get(&self, path: &str) -> Response {
        self.server.answer(&request("GET", path))
    }

    fn written(&self, name: &str) -> Option<String> {
        self.server.env.files().read_text(&self.server.directory.join(name), 1000).ok()
    }
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

#[test]
fn files_are_served_and_nothing_else() {
    let world = world(false);
    let check = |path: &str, status: u16, body: &str| {
        let response = world.get(path);
        assert_eq!(
            (response.status, String::from_utf8_lossy(&response.body).as_ref()),
            (status, body),
            "{path}"
        );
    };
    check("/page.html", 200, "<p>");
    check("//page.html", 200, "<p>");
    check("/./page.html", 200, "<p>");
    check("/with%20index/", 200, "index");
    check("/%C3%A9t%C3%A9%20%231%3F.txt", 200, "z");
    check("/in/file", 200, "y");
    check("/round", 200, "<p>");
    for outside in [
        "/../outside/secret",
        "/list/../../outside/secret",
        "/%2e%2e/outside/secret",
        "/out/secret",
        "/secret",
        "/out/",
    ] {
        check(outside, 403, "Forbidden");
    }
    for missing in [
        "/missing",
        "/page.html/",
        "/page.html/x",
        "/loop",
        "/dangling",
        "/..%2foutside/secret",
        "/a%00",
        "/%ff",
    ] {
        check(missing, 404, "File not found\n");
    }
    assert_eq!(header(&world.get("/page.html"), "content-type"), "text/html");
}

#[test]
fn directories_are_redirected_to_and_listed() {
    let world = world(false);
    let response = world.server.answer(&Request { query: "a=b".to_owned(), ..request("GET", "//list") });
    assert_eq!((response.status, header(&response, "location")), (301, "/list/?a=b"));
    let page = String::from_utf8(world.get("/list/").body.to_vec()).unwrap();
    assert!(page.contains("<title>Directory listing for /list/</title>"));
    assert!(page.contains("<li><a href=\"%3Cb%3E%26%22.txt\">&lt;b&gt;&amp;&quot;.txt</a></li>"), "{page}");
    assert!(page.contains("<li><a href=\"sub/\">sub/</a></li>"), "{page}");
    let page = String::from_utf8(world.get("/").body.to_vec()).unwrap();
    assert!(page.contains("<li><a href=\"in/\">in@</a></li>"), "{page}");
}

#[test]
fn what_was_not_modified_is_not_sent_again() {
    let world = world(false);
    let modified = header(&world.get("/page.html"), "last-modified").to_owned();
    let headers = vec![("if-modified-since".to_owned(), modified)];
    let response = world.server.answer(&Request { headers, ..request("GET", "/page.html") });
    assert_eq!((response.status, response.body.len()), (304, 0));
}

#[test]
fn writing_is_refused_unless_it_is_allowed() {
    let post = |body: &str| Request {
        headers: vec![("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())],
        body: body.as_bytes().to_vec().into(),
        ..request("POST", "/")
    };
    let read_only = world(false);
    for method in ["POST", "PUT"] {
        assert_eq!(read_only.server.answer(&request(method, "/new")).status, 403);
    }
    assert_eq!(read_only.server.answer(&request("DELETE", "/page.html")).status, 501);
    let world = world(true);
    let response = world.server.answer(&post("path=new/dir/file&content=one"));
    assert_eq!((response.status, response.body.as_ref()), (200, &b"Content written to new/dir/file"[..]));
    world.server.answer(&post("path=new/dir/file&content=%20two"));
    assert_eq!(world.written("new/dir/file").unwrap(), "one two");
    let inside = format!("path={}/new/dir/file&content=three&clear=1", world.server.directory.display());
    assert_eq!(world.server.answer(&post(&inside)).status, 200);
    assert_eq!(world.written("new/dir/file").unwrap(), "three");
    for outside in
        ["../outside/new", "/etc/new", "out/new", "secret", "list/../../outside/new", "out/deep/new"]
    {
        let response = world.server.answer(&post(&format!("path={outside}&content=x&clear=1")));
        assert_eq!(response.status, 403, "{outside}");
    }
    let outside = world.server.directory.join("../outside");
    assert_eq!(world.server.env.files().list(&outside).unwrap(), ["secret"]);
    assert_eq!(world.server.env.files().read(&outside.join("secret"), 10).unwrap(), b"secret");
    assert_eq!(world.server.answer(&post("content=x")).status, 400);
    assert_eq!(world.server.answer(&post("path=list&content=x")).status, 404);
    let put = Request { body: b"put".to_vec().into(), ..request("PUT", "/put%20file") };
    assert_eq!(world.server.answer(&put).status, 200);
    assert_eq!(world.written("put file").unwrap(), "put");
}

#[test]
fn the_command_line_is_checked() {
    let env = real::env();
    let check = |line: &str, expected: Result<Address, &str>| {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match (parse(&env, &arguments), expected) {
            (Ok(options), Ok(address)) => assert_eq!(options.address, address, "{line}"),
            (Err(message), Err(part)) => assert!(message.contains(part), "{line}: {message}"),
            (options, _) => panic!("{line}: {options:?}"),
        }
    };
    check("--host ::1 --port 80 --directory /d", Ok(Address::Tcp("[::1]:80".parse().unwrap())));
    check("--host=[::1] --port=80 --directory=/d", Ok(Address::Tcp("[::1]:80".parse().unwrap())));
    check("--host localhost --port 80 --directory /d", Ok(Address::Name("localhost".to_owned(), 80)));
    check("--socket-path /s --directory /d --allow-write", Ok(Address::Unix("/s".into())));
    check("--host ::1 --directory /d", Err("expected (--host"));
    check("--host ::1 --port 80 --socket-path /s --directory /d", Err("expected (--host"));
    check("--socket-path /s", Err("expected (--host"));
    check("--socket-path /s --directory", Err("--directory has no value"));
    check("--host ::1 --port 99999 --directory /d", Err("0 to 65535"));
    check("--sock /s", Err("\"--sock\" is no option"));
}
