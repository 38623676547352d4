//! What is answered at the edges: limits, forms of values that clients send, and who is asked how.

use super::*;
use crate::wire::http::server;

fn request_with(headers: &[(&str, &str)]) -> server::Request {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (method, path, query) = ("GET".into(), "/getHateoasUrl".into(), String::new());
    server::Request { method, path, query, headers, body: Default::default(), peer: None }
}

/// A master that is asked in its own process, with `/hello.cfg` as its product and COMP-0 as its own computer.
fn asked(program: impl AsyncFnOnce(Rc<Master>)) {
    in_place(async |env, database| {
        let configuration = Configuration {
            log_file: Some(database.with_extension("log")),
            database,
            products: BTreeMap::from([("hello".to_owned(), "/hello.cfg".parse().unwrap())]),
            default_computer: Some("COMP-0".parse().unwrap()),
            ..Configuration::default()
        };
        program(Master::open(&env, configuration).await.unwrap()).await;
    });
}

#[test]
fn a_client_is_told_the_url_that_it_knows() {
    asked(async |master| {
        *master.address.borrow_mut() = "10.0.0.1:5000".to_owned();
        let check = |headers: &[(&str, &str)], expected: &str| {
            assert_eq!(hateoas::base_url(&master, &request_with(headers)), expected, "{headers:?}");
        };
        check(&[], "http://10.0.0.1:5000");
        check(&[("host", "master.example:80")], "http://master.example");
        check(&[("host", "master.example:443")], "http://master.example:443");
        check(&[("host", "[::1]:80")], "http://[::1]");
        check(&[("host", "a:443"), ("x-forwarded-proto", "https")], "https://a");
        check(&[("host", "a:80"), ("x-forwarded-proto", "HTTPS")], "https://a:80");
        check(&[("host", "")], "http://10.0.0.1:5000");
        check(&[("host", "evil.example/\"><")], "http://10.0.0.1:5000");
        check(&[("x-forwarded-proto", "https")], "https://10.0.0.1:5000");
        check(&[("x-forwarded-proto", "gopher")], "http://10.0.0.1:5000");
        check(&[("x-forwarded-proto", "http, https")], "https://10.0.0.1:5000");
        check(&[("x-forwarded-prefix", "/slap/")], "http://10.0.0.1:5000/slap");
        check(&[("x-forwarded-prefix", "/far, /a-b/c_d.~%41")], "http://10.0.0.1:5000/a-b/c_d.~%41");
        check(&[("x-forwarded-prefix", "/a+b")], "http://10.0.0.1:5000/a+b");
        check(&[("x-forwarded-prefix", "//evil.example")], "http://10.0.0.1:5000");
        check(&[("x-forwarded-prefix", "slap")], "http://10.0.0.1:5000");
        check(&[("x-forwarded-prefix", "/a\"b")], "http://10.0.0.1:5000");
    });
}

#[test]
fn a_computer_is_heard_of_when_it_asks_and_reports() {
    asked(async |master| {
        let computer: ComputerId = "COMP-0".parse().unwrap();
        let heard = || {
            let news =
                master.read(|connection| master.computer_status(connection, &computer)).unwrap().unwrap();
            news.to_json()["text"].as_str().unwrap_or_default().to_owned()
        };
        let at = || master.contacts.borrow().get(&computer).map(|status| status.created_at);
        let body = "computer_id=COMP-0&url=/hello.cfg";
        let report = || server::Request {
            method: "POST".into(),
            path: "/buildingSoftwareRelease".into(),
            body: body.into(),
            ..request_with(&[])
        };
        let handle = async |request| server::Handler::handle(master.clone(), request).await.status;

        assert!(!heard().contains("#access"), "{}", heard());
        handle(report()).await;
        assert_eq!(at(), None, "of a computer that never read anything nothing is kept");
        let read = server::Request {
            path: "/getFullComputerInformation".into(),
            query: "computer_id=COMP-0".into(),
            ..request_with(&[])
        };
        assert_eq!(handle(read).await, 200, "the master's own computer is known before its format");
        assert_eq!(heard(), "#access COMP-0");
        let before = at();
        master.env.sleep(Duration::from_millis(2)).await;
        handle(report()).await;
        assert!(at() > before, "a report is a sign of life");
    });
}

#[test]
fn limits_hold_to_the_last() {
    in_place(async |env, database| {
        let service = Service::start(&env, database).await;
        service.format("COMP-1").await;
        for (path, status, expected) in [
            ("getComputerStatus?computer_id=COMP-1", 200, "COMP-1"),
            (
                "getSoftwareReleaseListFromSoftwareProduct?software_product_reference=hello&software_release_url=",
                200,
                "/hello.cfg",
            ),
            (
                "getSoftwareReleaseListFromSoftwareProduct?software_product_reference=hello&software_release_url=None",
                200,
                "/hello.cfg",
            ),
            (
                "getSoftwareReleaseListFromSoftwareProduct?software_product_reference=hello&software_release_url=/x",
                400,
                "software_product_reference",
            ),
            ("getSoftwareReleaseListFromSoftwareProduct", 400, "software_release_url"),
            ("getSoftwareReleaseListFromSoftwareProduct?software_release_url=/hello.cfg", 200, "/hello.cfg"),
            (
                "getSoftwareReleaseListFromSoftwareProduct?software_release_url=/other.cfg",
                200,
                "<list id=\"i2\"/>",
            ),
            ("hateoas/nonsense", 404, "hateoas has partitions/TITLE"),
        ] {
            let (found, body) = service.get(path).await;
            assert!(found == status && body.contains(expected), "{path}: {found} {body}");
        }
        let (longest, too_long) = ("t".repeat(512), "t".repeat(513));
        let retention =
            "<marshal><dictionary><string>retention_delay</string><string>3</string></dictionary></marshal>";
        for (name, value, status, expected) in [
            ("state", "<marshal><string></string></marshal>", 404, "can host"),
            ("software_type", longest.as_str(), 404, "can host"),
            ("software_type", &too_long, 400, "at most 512"),
            ("software_type", "a\u{7}b", 400, "control characters"),
            ("filter_xml", retention, 404, "can host"),
        ] {
            let mut fields = BTreeMap::from([
                ("partition_reference", "c"),
                ("software_release", "/r"),
                ("software_type", ""),
                ("shared_xml", "<marshal><bool>1</bool></marshal>"),
            ]);
            fields.insert(name, value);
            let fields: Vec<_> = fields.into_iter().collect();
            let (found, body) = service.post("requestComputerPartition", &fields).await;
            assert!(found == status && body.contains(expected), "{name}={value}: {found} {body}");
        }
        let url = service.url("useComputer");
        let mut request = Request::post_form(url, [("computer_id", "COMP-1"), ("use_string", "")]);
        request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        request.headers.push(("content-type".to_owned(), "text/plain".to_owned()));
        let (status, response) = service.send(request).await;
        assert_eq!(status, 415, "{}", String::from_utf8_lossy(&response.body));
        let (status, _) = service.post("", &[]).await;
        assert_eq!(status, 404, "the welcome is asked with GET");

        let supply = [("computer_id", "COMP-1"), ("url", "/hello.cfg"), ("state", "available")];
        assert_eq!(service.post("supplySupply", &supply).await.0, 200);
        let (_, news) = service.get("hateoas/computers/COMP-1").await;
        assert!(news.contains("Software Installation") && news.contains("/hello.cfg"), "{news}");
        service.stop().await;
    });
}

#[test]
fn the_masters_own_computer_is_known_before_its_format() {
    asked(async |master| {
        let known =
            |computer: &str| master.information(&computer.parse().unwrap()).map(|(revision, _)| revision);
        assert_eq!(known("COMP-0"), Ok(0));
        assert_eq!(known("COMP-1").unwrap_err().status, 404);
    });
}

#[test]
fn who_comes_at_a_bad_time_is_told_when_to_come_again() {
    let retry = |status: u16| {
        let response = router::refused(&Refusal::new(status, "a reason"));
        response.headers.iter().any(|(name, _)| *name == "retry-after")
    };
    assert_eq!([503, 500, 404].map(retry), [true, false, false]);
}

#[test]
fn changes_wait_while_there_is_room() {
    real::block_on_env(real::env(), async |env: Env| {
        let fails = Cell::new(false);
        let store = Rc::new(Failing { connection: database(), fails, batches: RefCell::default() });
        let queue = CommitQueue::start(&env, store);
        let submit = || {
            let write = |_: &rusqlite::Connection| {
                Ok(commit_queue::Written { verdict: Verdict::Discard, answer: () })
            };
            Box::pin(queue.submit(write, |()| {})) as LocalFuture<'_, _>
        };
        // All of them come in one turn, before anything is written.
        let answers = join_all((0..=commit_queue::WAITING_MAX).map(|_| submit()).collect()).await;
        let (last, others) = answers.split_last().unwrap();
        assert_eq!(last, &Err(Refused::Full));
        assert!(others.iter().all(Result::is_ok));
        assert_eq!(submit().await, Ok(()), "it has room again");
    });
}

/// SQLite's answer when the disk is full.
fn disk_is_full() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None)
}

#[test]
fn an_error_of_the_disk_is_everybodys_and_one_of_a_statement_its_own() {
    real::block_on_env(real::env(), async |env: Env| {
        let store =
            Rc::new(Failing { connection: database(), fails: Cell::new(false), batches: RefCell::default() });
        let queue = CommitQueue::start(&env, store.clone());
        let failed = queue.submit::<()>(|_| Err(disk_is_full()), |()| {}).await.unwrap_err();
        assert!(matches!(failed, Refused::Store(_)), "{failed:?}");
        assert!(failed.to_string().starts_with("the database could not be written: "), "{failed}");
        store.connection.execute_batch("ROLLBACK").unwrap();

        // Its worker lets go of the store when nobody can write any more.
        drop(queue);
        let let_go = async {
            while Rc::strong_count(&store) > 1 {
                env.sleep(Duration::from_millis(1)).await;
            }
        };
        env.timeout(Duration::from_secs(10), let_go).await.unwrap();
    });
}

#[test]
fn a_report_has_an_age_and_may_be_overtaken() {
    const SECOND: i64 = 1_000_000;
    let said = 1_700_000_000 * SECOND;
    let status = AccessStatus { about: 5, ..AccessStatus::said("#access well".to_owned(), said) };
    let check = |age_seconds: i64, timestamp: i64, expected: (bool, bool, bool)| {
        let shown = render::status(Some(&status), "c", "p", "t", timestamp, said + age_seconds * SECOND);
        let found = (shown.no_data_since_5_minutes, shown.no_data_since_15_minutes, shown.up_to_date);
        assert_eq!(found, expected, "{age_seconds} s, {timestamp}");
    };
    check(0, 4, (false, false, true));
    check(216, 5, (false, false, true));
    check(217, 6, (true, false, false));
    check(432, 0, (true, false, true));
    check(433, 0, (true, true, true));
    let unsaid = render::status(None, "c", "p", "t", 0, said);
    assert!(unsaid.created_at.contains("22:13:20") && unsaid.since == unsaid.created_at, "{unsaid:?}");
    assert!(unsaid.no_data);
}

#[test]
fn node_and_user_are_told_the_addresses() {
    in_place(async |env, database| {
        let service = Service::start(&env, database).await;
        let document = "<marshal><dictionary id=\"i2\"><string>address</string><none/><string>netmask</string><none/>\
            <string>partition_list</string><list id=\"i3\"><dictionary id=\"i4\"><string>address_list</string>\
            <list id=\"i5\"><dictionary id=\"i6\"><string>addr</string><string>10.1.2.3</string>\
            <string>netmask</string><string>255.0.0.0</string></dictionary></list>\
            <string>tap</string><dictionary id=\"i7\"><string>name</string><string>tap7</string></dictionary>\
            <string>reference</string><string>slappart0</string></dictionary></list>\
            <string>reference</string><string>COMP-1</string></dictionary></marshal>";
        let answer = service.post("loadComputerConfigurationFromXML", &[("xml", document)]).await;
        assert_eq!(answer, (200, "done".to_owned()));
        let (_, given) = service.request("a", "started").await;
        let (_, seen) = service.get("getFullComputerInformation?computer_id=COMP-1").await;
        for told in [given, seen] {
            assert!(
                told.contains("<string>tap7</string>") && told.contains("<string>10.1.2.3</string>"),
                "{told}"
            );
        }
        service.stop().await;
    });
}

#[test]
fn a_log_has_a_line_for_each_change_and_stays_small() {
    in_place(async |env, database| {
        let file = database.with_extension("log");
        let files = env.files();
        // The lines of one turn of the loop are written together, at the latest when the log is dropped.
        let write = |lines: &[&str]| {
            let log = log::Log::new(&env, Some(file.clone()));
            lines.iter().for_each(|line| log.line(line));
        };
        write(&["one\ntwo\u{7}", "three"]);
        let text = files.read_text(&file, 1000).unwrap();
        let lines: Vec<&str> = text.lines().map(|line| line.split_once("Z ").unwrap().1).collect();
        assert_eq!(lines, ["one | two?", "three"]);
        let older = database.with_extension("log.1");
        let full = vec![b'x'; 10 << 20];
        files.write(&file, &full, 0o600).unwrap();
        write(&["still in it"]);
        assert!(files.metadata(&older).is_err());
        write(&["in the next"]);
        assert_eq!(files.metadata(&older).unwrap().length, full.len() as u64 + line_length("still in it"));
        assert_eq!(files.metadata(&file).unwrap().length, line_length("in the next"));
    });
}

/// With its date, such as `2026-01-01T00:00:00.000Z`.
fn line_length(text: &str) -> u64 {
    text.len() as u64 + 26
}

/// Most requests only ask again: they wait for no write, and are answered while none can happen.
#[test]
fn a_repeated_request_needs_no_write() {
    in_place(async |env, database| {
        let service = Service::start(&env, database).await;
        service.format("COMP-1").await;
        let first = service.request("a", "started").await;
        assert_eq!(first.0, 200, "{}", first.1);
        service.master.upgrade().unwrap().queue.close().await;
        assert_eq!(service.request("a", "started").await, first);
        assert_eq!(service.request("b", "started").await.0, 404, "there is no room");
        assert_eq!(service.request("a", "stopped").await.0, 503);
        assert_eq!(service.request("a", "started").await, first, "nothing of the other happened");
    });
}

/// So is what another run of the master decided, which this one was never asked.
#[test]
fn an_old_request_needs_no_write_in_a_new_run() {
    in_place(async |env, database| {
        let service = Service::start(&env, database.clone()).await;
        service.format("COMP-1").await;
        let first = service.request("a", "started").await;
        assert_eq!(first.0, 200, "{}", first.1);
        service.stop().await;
        let service = Service::start(&env, database).await;
        service.master.upgrade().unwrap().queue.close().await;
        assert_eq!(service.request("a", "started").await, first);
        assert_eq!(service.request("b", "started").await.0, 404, "there is no room");
        assert_eq!(service.request("a", "stopped").await.0, 503);
    });
}

/// Moves a database away, and waits until the last look at it is too old to be believed.
async fn take_away(env: &Env, database: &Path) {
    env.files().rename(database, &database.with_extension("away")).unwrap();
    env.sleep(Duration::from_millis(50)).await;
}

/// The same request, to the letter, is answered from memory only as long as nothing was committed.
#[test]
fn an_answer_is_kept_until_something_changes() {
    in_place(async |env, database| {
        let service = Service::start(&env, database.clone()).await;
        service.format("COMP-1").await;
        let started = service.request("a", "started").await;
        for _ in 0..3 {
            assert_eq!(service.request("a", "started").await, started);
        }
        assert_eq!(service.request("b", "started").await.0, 404, "another one is not answered with it");
        let fields = [
            ("computer_id", "COMP-1"),
            ("computer_partition_id", "slappart0"),
            (
                "connection_xml",
                "<marshal><dictionary id=\"i2\"><string>url</string><string>x</string></dictionary></marshal>",
            ),
        ];
        assert_eq!(service.post("setComputerPartitionConnectionXml", &fields).await.0, 200);
        let published = service.request("a", "started").await;
        assert_eq!(published.0, 200);
        assert_ne!(published, started, "what was published since stands in it");
        assert!(published.1.contains("<string>url</string>"), "{}", published.1);
        assert_eq!(service.request("a", "started").await, published);
        take_away(&env, &database).await;
        assert_eq!(service.request("a", "started").await.0, 503, "its database is gone");
    });
}

/// What is kept in memory is no answer of a master whose database is gone.
#[test]
fn a_kept_document_is_not_given_without_its_database() {
    in_place(async |env, database| {
        let service = Service::start(&env, database.clone()).await;
        service.format("COMP-1").await;
        let (status, etag, _) = service.read("COMP-1", None, None).await;
        assert_eq!(status, 200);
        assert_eq!(service.read("COMP-1", None, None).await.0, 200);
        take_away(&env, &database).await;
        assert_eq!(service.read("COMP-1", None, None).await.0, 503);
        assert_eq!(service.read("COMP-1", Some(&etag), None).await.0, 503);
    });
}
