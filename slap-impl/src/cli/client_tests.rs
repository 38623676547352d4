//! The client's commands against a master on loopback that answers what each test says: standard output and exit
//! codes are those of slapos 1.24.1 in the same place.

use super::run;
use crate::{
    env::{Address, Console, Context, Env, EnvParts, Exit, Identity, LocalFuture, real},
    wire::{
        hateoas::{self, ComputerInformation, Query, Row},
        http::server::{Handler, Limits, Request, Response, serve},
    },
};
use std::{cell::RefCell, path::Path, rc::Rc};

#[derive(Default)]
struct Captured {
    output: RefCell<String>,
    error: RefCell<String>,
}

struct CapturedConsole(Rc<Captured>);

impl Console for CapturedConsole {
    fn output(&self, text: &str) -> std::io::Result<()> {
        self.0.output.borrow_mut().push_str(text);
        Ok(())
    }
    fn error(&self, text: &str) {
        self.0.error.borrow_mut().push_str(text);
    }
    fn is_terminal(&self) -> bool {
        false
    }
}

struct Script(fn(&Request) -> Response);

impl Handler for Script {
    fn handle(self: Rc<Self>, request: Request) -> LocalFuture<'static, Response> {
        Box::pin(async move { (self.0)(&request) })
    }
}

fn env(directory: &Path, captured: &Rc<Captured>) -> Env {
    let context = Context {
        variables: [("SLAPOS_CLIENT_CONFIGURATION".to_owned(), "client.cfg".to_owned())].into(),
        directory: directory.to_owned(),
        executable: "/slap".into(),
        identity: Identity { pid: 1, start_time: 1 },
        user: 1,
    };
    Env::new(EnvParts { console: Rc::new(CapturedConsole(captured.clone())), ..real::parts(context) })
}

/// Runs a command line with a master that answers so; gives its exit code, standard output and standard error.
fn with_master(answer: fn(&Request) -> Response, words: &[&str]) -> (Exit, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let captured = Rc::new(Captured::default());
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    let exit = real::block_on_env(env(directory.path(), &captured), |env| async move {
        let listener = env.network().listen(&Address::Tcp(([127, 0, 0, 1], 0).into())).unwrap();
        let settings = format!("[slapos]\nmaster_url = http://{}/\n", listener.address());
        env.files().write(&env.context().absolute("client.cfg"), settings.as_bytes(), 0o600).unwrap();
        env.files().write(&env.context().absolute("here.cfg"), b"", 0o600).unwrap();
        let server = env.clone();
        env.spawn(async move { serve(&server, listener, Limits::default(), Rc::new(Script(answer))).await });
        run(env, words).await
    });
    let captured = (captured.output.take(), captured.error.take());
    (exit, captured.0, captured.1)
}

fn json(document: &serde_json::Value) -> Response {
    Response::new(200, "application/json", document.to_string())
}

/// One computer, no service.
fn searched(request: &Request) -> Response {
    let arguments: std::collections::BTreeMap<String, String> =
        form_urlencoded::parse(request.query.as_bytes()).into_owned().collect();
    let base = format!("http://{}", request.header("host").unwrap());
    match arguments.get("mode").map(String::as_str) {
        None if request.path == "/hateoas/" => json(&hateoas::root_document(&base)),
        Some("search") => {
            let row = Row {
                title: "COMP-1".to_owned(),
                reference: Some("COMP-1".to_owned()),
                relative_url: "/hateoas/computers/COMP-1".to_owned(),
                url_string: None,
            };
            match Query::parse(&arguments["query"]).unwrap() {
                Query::Computers(None) => json(&hateoas::search_document(&[row])),
                Query::Computers(Some(reference)) if reference == "COMP-1" => {
                    json(&hateoas::search_document(&[row]))
                }
                _ => json(&hateoas::search_document(&[])),
            }
        }
        Some("traverse") => json(&hateoas::computer_document(&ComputerInformation {
            reference: "COMP-1".to_owned(),
            title: "COMP-1".to_owned(),
            news: None,
        })),
        _ => Response::text(404, "no"),
    }
}

#[test]
fn searches() {
    for (words, exit, output) in [
        (&["computer", "list"][..], 0, "List of Computers:\nCOMP-1 COMP-1\n"),
        (&["computer", "info", "COMP-1"], 0, "Computer Reference: COMP-1\nComputer Title    : COMP-1\n"),
        (&["computer", "info", "COMP-9"], 2, "Computer COMP-9 does not exist.\n"),
        (&["service", "list"], 0, "{}\n"),
        (&["service", "info", "nope"], 2, ""),
        (&["service", "list", "--cfg", "/nonexistent.cfg"], 1, ""),
        (&["service", "info"], 2, ""),
    ] {
        let found = with_master(searched, words);
        assert_eq!((found.0, found.1.as_str()), (Exit(exit), output), "{words:?}: {}", found.2);
    }
}

#[test]
fn what_the_master_says_no_to() {
    let (exit, _, error) = with_master(
        |_| Response::text(408, "Resource not ready"),
        &["request", "my instance", "http://127.0.0.1:9/a.cfg"],
    );
    assert_eq!(exit, Exit(2), "{error}");
    assert!(error.contains("slap wait 'my instance' --for allocated"), "{error}");
    let (exit, _, error) =
        with_master(|_| Response::text(404, "all are busy"), &["request", "a", "/nonexistent.cfg"]);
    assert_eq!(exit, Exit(1), "{error}");
    assert!(error.contains("no partition was given to a: all are busy\nhint: "), "{error}");
    let (exit, _, error) = with_master(|_| Response::text(404, "who?"), &["supply", "/a.cfg", "COMP-1"]);
    assert_eq!(exit, Exit(1), "{error}");
    assert!(error.contains("Computer COMP-1 has not been found by SlapOS Master: who?\nhint: "), "{error}");
}

#[test]
fn a_file_is_supplied_by_its_whole_path() {
    let answer = |request: &Request| {
        let url = form_urlencoded::parse(&request.body).find(|(key, _)| key == "url").unwrap().1;
        match url.starts_with('/') && url.ends_with("/here.cfg") {
            true => Response::text(200, "ok"),
            false => Response::text(400, url),
        }
    };
    for verb in ["supply", "remove"] {
        let (exit, output, error) = with_master(answer, &[verb, "here.cfg", "COMP-1"]);
        assert_eq!((exit, output.as_str()), (Exit::DONE, ""), "{error}");
    }
}

#[test]
fn the_supervisor_has_a_help() {
    for word in ["--help", "-h"] {
        let (exit, output, error) = with_master(|_| json(&serde_json::json!({})), &["supervisor", word]);
        assert_eq!((exit, error.as_str()), (Exit::DONE, ""), "{word}");
        assert!(output.contains("Usage: slap supervisor --directory DIR"), "{output}");
    }
    let (exit, _, error) = with_master(|_| json(&serde_json::json!({})), &["supervisor", "--dir"]);
    assert_eq!(exit, Exit::USAGE);
    assert!(error.contains("\"--dir\"") && error.contains("hint: `slap supervisor --help`"), "{error}");
}
