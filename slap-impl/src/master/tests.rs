//! The whole master over HTTP, on the real system, and its commit queue on a store that fails.

mod answers;
mod garbage;
mod long_garbage;
mod rebase;
mod rpc;
mod trees;
mod values;
mod wishes;

use super::*;
use crate::{
    env::{Batch, LocalFuture, StoreError, StoreErrorKind, Verdict, join_all, real},
    store::testing::database,
    wire::http::client::{self, Request, Url},
};
use std::{
    cell::{Cell, RefCell},
    path::Path,
    rc::Weak,
    time::Duration,
};
use tokio::sync::Notify;

/// A master that listens, and how to ask it.
struct Service {
    env: Env,
    url: String,
    master: Weak<Master>,
    end: Rc<Notify>,
    ended: Rc<Notify>,
}

impl Service {
    async fn start(env: &Env, database: PathBuf) -> Service {
        let configuration = Configuration {
            log_file: Some(database.with_extension("log")),
            database,
            products: BTreeMap::from([("hello".to_owned(), "/hello.cfg".parse().unwrap())]),
            ..Configuration::default()
        };
        Service::start_with(env, configuration).await
    }

    async fn start_with(env: &Env, configuration: Configuration) -> Service {
        let master = Master::open(env, configuration).await.unwrap();
        let weak = Rc::downgrade(&master);
        let listener = env.network().listen(&Address::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
        let url = format!("http://{}/", listener.address());
        let (end, ended) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
        let (stop, done) = (end.clone(), ended.clone());
        env.spawn(async move {
            master.run(listener, Limits::default(), async { stop.notified().await }).await;
            done.notify_one();
        });
        Service { env: env.clone(), url, master: weak, end, ended }
    }

    async fn stop(self) {
        self.end.notify_one();
        self.ended.notified().await;
    }

    async fn send(&self, request: Request) -> (u16, client::Response) {
        let response = client::send(&self.env, request).await.unwrap();
        (response.status, response)
    }

    fn url(&self, path: &str) -> Url {
        format!("{}{path}", self.url).parse().unwrap()
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let (status, response) = self.send(Request::get(self.url(path))).await;
        (status, String::from_utf8(response.body).unwrap())
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let request = Request::post_form(self.url(path), fields.iter().copied());
        let (status, response) = self.send(request).await;
        (status, String::from_utf8(response.body).unwrap())
    }

    async fn format(&self, computer: &str) {
        let document = format!(
            "<marshal><dictionary id=\"i2\"><string>address</string><none/><string>netmask</string><none/>\
            <string>partition_list</string><list id=\"i3\"><dictionary id=\"i4\"><string>address_list</string>\
            <list id=\"i5\"/><string>reference</string><string>slappart0</string></dictionary></list>\
            <string>reference</string><string>{computer}</string></dictionary></marshal>"
        );
        let answer = self.post("loadComputerConfigurationFromXML", &[("xml", &document)]).await;
        assert_eq!(answer, (200, "done".to_owned()));
    }

    async fn request(&self, title: &str, state: &str) -> (u16, String) {
        let state = format!("<marshal><string>{state}</string></marshal>");
        let fields = [
            ("software_release", "/hello.cfg"),
            ("software_type", ""),
            ("partition_reference", title),
            ("state", state.as_str()),
        ];
        self.post("requestComputerPartition", &fields).await
    }

    /// Reads a computer's information on condition.
    async fn read(
        &self,
        computer: &str,
        etag: Option<&str>,
        wait: Option<u64>,
    ) -> (u16, String, Option<String>) {
        let path = format!("getFullComputerInformation?computer_id={computer}");
        let mut request = Request::get(self.url(&path));
        request.headers.extend(etag.map(|etag| ("if-none-match".to_owned(), etag.to_owned())));
        request.headers.extend(wait.map(|wait| ("prefer".to_owned(), format!("wait={wait}"))));
        let (status, response) = self.send(request).await;
        let applied = response.header("preference-applied").map(str::to_owned);
        (status, response.header("etag").unwrap_or_default().to_owned(), applied)
    }
}

fn in_place(program: impl AsyncFnOnce(Env, PathBuf)) {
    let place = tempfile::tempdir().unwrap();
    real::block_on_env(real::env(), async |env| program(env, place.path().join("db")).await);
}

#[test]
fn an_instance_lives_and_its_node_learns_of_it() {
    in_place(async |env, database| {
        let service = Service::start(&env, database.clone()).await;
        assert_eq!(service.read("COMP-1", None, None).await.0, 404);
        service.format("COMP-1").await;
        let (status, etag, applied) = service.read("COMP-1", None, Some(10)).await;
        assert_eq!((status, applied.as_deref()), (200, Some("wait=10")));
        assert_eq!(service.read("COMP-1", Some(&etag), None).await, (304, etag.clone(), None));
        assert_eq!(service.read("COMP-1", Some(&etag), Some(0)).await.0, 304);

        // A held answer comes with the change; one for another computer, and a mere report, do not end it.
        let held = service.read("COMP-1", Some(&etag), Some(60));
        let others = async {
            service.format("COMP-2").await;
            assert_eq!(service.request("a", "started").await.0, 200);
        };
        let answers = join_all::<Option<(u16, String, Option<String>)>>(vec![
            Box::pin(async { Some(held.await) }),
            Box::pin(async {
                others.await;
                None
            }),
        ]);
        let (status, changed, _) = answers.await.remove(0).unwrap();
        assert_eq!(status, 200);
        assert_ne!(changed, etag);

        let place = [("computer_id", "COMP-1"), ("computer_partition_id", "slappart0")];
        assert_eq!(service.post("startedComputerPartition", &place).await, (200, "OK".to_owned()));
        assert_eq!(
            service.read("COMP-1", Some(&changed), None).await.0,
            304,
            "a report changes nothing for the node"
        );
        let (_, status) = service
            .get("getComputerPartitionStatus?computer_id=COMP-1&computer_partition_id=slappart0")
            .await;
        assert!(status.contains("#access Instance correctly started"), "{status}");
        let (_, document) = service.get("hateoas/partitions/a").await;
        assert!(document.contains("#access Instance correctly started"), "{document}");

        // Another master on the same database: the entity tag is still good.
        service.stop().await;
        let service = Service::start(&env, database).await;
        assert_eq!(service.read("COMP-1", Some(&changed), None).await.0, 304);
        assert_eq!(service.request("a", "destroyed").await.0, 200);
        assert_eq!(service.post("destroyedComputerPartition", &place).await, (200, "OK".to_owned()));
        assert_eq!(service.request("b", "started").await.0, 200);
        service.stop().await;
    });
}

#[test]
fn a_held_answer_is_given_when_the_master_ends() {
    in_place(async |env, database| {
        let service = Service::start(&env, database).await;
        service.format("COMP-1").await;
        let (_, etag, _) = service.read("COMP-1", None, None).await;
        let held = async { Some(service.read("COMP-1", Some(&etag), Some(300)).await.0) };
        let end = async {
            let computer = "COMP-1".parse().unwrap();
            while !service.master.upgrade().unwrap().watchers.are_there(&computer) {
                service.env.sleep(Duration::from_millis(1)).await;
            }
            service.end.notify_one();
            service.ended.notified().await;
            None
        };
        let answers = join_all(vec![Box::pin(held) as LocalFuture<'_, Option<u16>>, Box::pin(end)]).await;
        assert_eq!(answers[0], Some(304));
    });
}

#[test]
fn what_is_not_served_is_refused_by_name() {
    in_place(async |env, database| {
        let service = Service::start(&env, database).await;
        service.format("COMP-1").await;
        for (path, status, expected) in [
            ("", 200, "a SlapOS master"),
            ("nonsense", 404, "nothing at /nonsense"),
            ("supplySupply", 405, "asked with POST"),
            ("slapos.get.v0.instance_tree", 405, "Method Not Allowed"),
            ("panel/", 501, "no panel"),
            ("getFullComputerInformation", 400, "computer_id, which is missing"),
            ("getFullComputerInformation?computer_id=..%2Fx", 400, "no computer id"),
            ("getFullComputerInformation?computer_id=%FF", 400, "UTF-8"),
            ("getFullComputerInformation?computer_id=COMP-9", 404, "known: COMP-1"),
            (
                "registerComputerPartition?computer_reference=COMP-1&computer_partition_reference=x",
                404,
                "slappart0",
            ),
            ("getComputerStatus?computer_id=COMP-9", 404, "known: COMP-1"),
            ("getSoftwareInstallationStatus?computer_id=COMP-1&url=/x", 404, "not supplied"),
            ("getSoftwareReleaseListFromSoftwareProduct?software_product_reference=hello", 200, "/hello.cfg"),
            ("hateoas/?mode=search&query=nonsense", 400, "Unhandled query: nonsense"),
            ("hateoas/?mode=nonsense", 400, "expected search or traverse"),
            ("hateoas/?mode=traverse&relative_url=http://elsewhere/", 400, "relative_url"),
            ("hateoas/partitions/nobody", 404, "no instance \"nobody\""),
            ("hateoas/computers/COMP-9", 404, "known: COMP-1"),
            ("hateoas/shared/a", 404, "no shared instance \"a\""),
        ] {
            let (found, body) = service.get(path).await;
            assert!(found == status && body.contains(expected), "{path}: {found} {body}");
        }
        let place = [("computer_id", "COMP-1"), ("computer_partition_id", "slappart0")];
        let mut child = vec![("partition_reference", "c"), ("software_release", "/r"), ("software_type", "")];
        child.extend(place);
        let half = child[..4].to_vec();
        let mut shared = child[..3].to_vec();
        shared.push(("shared_xml", "<marshal><bool>1</bool></marshal>"));
        let mut of_shared = place.to_vec();
        of_shared.extend([("slave_reference", "s"), ("connection_xml", "")]);
        let mut own = place.to_vec();
        own.extend([("slave_reference", "None"), ("connection_xml", "")]);
        let mut doctype = child[..3].to_vec();
        doctype.push(("state", "<!DOCTYPE a><marshal><none/></marshal>"));
        for (path, fields, status, expected) in [
            ("requestComputerPartition", child, 404, "slappart0 of COMP-1 is free"),
            ("requestComputerPartition", half, 400, "computer_partition_id: it is missing"),
            ("requestComputerPartition", shared, 404, "no instance of /r can host the shared instance \"c\""),
            ("requestComputerPartition", doctype, 400, "state"),
            ("setComputerPartitionConnectionXml", of_shared, 404, "slappart0 of COMP-1 is free"),
            ("setComputerPartitionConnectionXml", own, 404, "slappart0 of COMP-1 is free"),
            (
                "supplySupply",
                vec![("computer_id", "COMP-1"), ("url", "/x"), ("state", "built")],
                400,
                "available or destroyed",
            ),
            (
                "loadComputerConfigurationFromXML",
                vec![("xml", "<marshal><none/></marshal>")],
                400,
                "expected a dictionary",
            ),
            ("useComputer", vec![("computer_id", "COMP-1"), ("use_string", "")], 200, "Ignored"),
            ("updateComputerPartitionRelatedInstanceList", place.to_vec(), 200, "done"),
        ] {
            let (found, body) = service.post(path, &fields).await;
            assert!(found == status && body.contains(expected), "{path}: {found} {body}");
        }
        service.stop().await;
    });
}

/// A store in memory whose commits fail while `fails` is set, and which counts its batches.
struct Failing {
    connection: rusqlite::Connection,
    fails: Cell<bool>,
    batches: RefCell<Vec<usize>>,
}

impl Store for Failing {
    fn read(
        &self,
        query: &mut dyn FnMut(&rusqlite::Connection) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        Ok(query(&self.connection)?)
    }

    fn commit(&self, batch: Batch) -> LocalFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.batches.borrow_mut().push(batch.len());
            self.connection.execute_batch("BEGIN").unwrap();
            for mut write in batch {
                self.connection.execute_batch("SAVEPOINT one").unwrap();
                if write(&self.connection)? == Verdict::Discard {
                    self.connection.execute_batch("ROLLBACK TO one").unwrap();
                }
                self.connection.execute_batch("RELEASE one").unwrap();
            }
            if self.fails.get() {
                self.connection.execute_batch("ROLLBACK").unwrap();
                return Err(StoreError::new(StoreErrorKind::Full, "database or disk is full"));
            }
            self.connection.execute_batch("COMMIT").unwrap();
            Ok(())
        })
    }
}

#[test]
fn a_failed_batch_did_not_happen_and_the_queue_goes_on() {
    real::block_on_env(real::env(), async |env: Env| {
        let fails = Cell::new(true);
        let store = Rc::new(Failing { connection: database(), fails, batches: RefCell::default() });
        let queue = CommitQueue::start(&env, store.clone());
        let published = Rc::new(Cell::new(0));
        let insert = |name: &'static str, bad: bool| {
            let published = published.clone();
            queue.submit(
                move |connection| {
                    let computer = name.parse().unwrap();
                    store::upsert_computer(connection, &computer, "", "")?;
                    if bad {
                        connection.execute("INSERT INTO nonsense VALUES (1)", [])?;
                    }
                    Ok(commit_queue::Written { verdict: Verdict::Keep, answer: name })
                },
                move |_| published.set(published.get() + 1),
            )
        };
        let count = || store::computers(&store.connection).unwrap().len();
        let all = |names: [(&'static str, bool); 3]| {
            join_all(
                names
                    .into_iter()
                    .map(|(name, bad)| Box::pin(insert(name, bad)) as LocalFuture<'_, _>)
                    .collect(),
            )
        };
        let answers = all([("A", false), ("B", false), ("C", false)]).await;
        for answer in answers {
            assert!(matches!(answer, Err(Refused::Store(error)) if error.kind == StoreErrorKind::Full));
        }
        assert_eq!((count(), published.get()), (0, 0));
        store.fails.set(false);
        let answers = all([("A", false), ("B", true), ("C", false)]).await;
        assert_eq!((&answers[0], &answers[2]), (&Ok("A"), &Ok("C")));
        assert!(matches!(&answers[1], Err(Refused::Write(message)) if message.contains("nonsense")));
        assert_eq!((count(), published.get()), (2, 2));
        assert_eq!(*store.batches.borrow(), [3, 3], "what waits is written together");
        env.timeout(Duration::from_secs(10), queue.close()).await.unwrap();
        assert_eq!(insert("D", false).await, Err(Refused::Closed));
    });
}
