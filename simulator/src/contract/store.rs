//! SQLite databases: what was committed is there, and nothing else.

use rusqlite::Connection;
use slap_impl::env::{Env, Store, StoreErrorKind, Verdict, Write};
use std::path::Path;

pub(super) async fn all(env: &Env, scratch: &Path) {
    let path = scratch.join("database.sqlite");
    batches(env, &path).await;
    openings(env, &path).await;
    order(env, &scratch.join("order.sqlite")).await;
    full(env, &scratch.join("full.sqlite")).await;
    snapshots(env, &scratch.join("snapshots.sqlite")).await;
    foreign(env, scratch).await;
}

/// A batch is there whole or not at all.
async fn batches(env: &Env, path: &Path) {
    let store = env.stores().open(path).unwrap();
    store.commit(vec![statement("create table t(x integer) strict", Verdict::Keep)]).await.unwrap();
    store
        .commit(vec![
            statement("insert into t values (1)", Verdict::Keep),
            statement("insert into t values (2)", Verdict::Discard),
            statement("insert into t values (3)", Verdict::Keep),
        ])
        .await
        .unwrap();
    assert_eq!(rows(&*store), [1, 3], "what is discarded is undone, and only that");
    store
        .commit(vec![
            statement("create table u(x integer) strict", Verdict::Discard),
            statement("insert into t select x from t where x > 100", Verdict::Discard),
            statement("create table u(x integer) strict", Verdict::Keep),
        ])
        .await
        .unwrap();
    assert_eq!(rows(&*store), [1, 3], "a table that is discarded is undone, too");
    let panics: Write = Box::new(|_| panic!("planted"));
    let ends: Write = Box::new(|connection| connection.execute_batch("rollback").map(|()| Verdict::Keep));
    for bad in [statement("insert into no_such_table values (5)", Verdict::Keep), panics, ends] {
        let failed = store
            .commit(vec![
                statement("insert into t values (4)", Verdict::Keep),
                bad,
                statement("insert into t values (6)", Verdict::Keep),
            ])
            .await;
        assert!(failed.is_err());
        assert_eq!(rows(&*store), [1, 3], "after an error nothing of the batch happened");
    }
    store.commit(vec![statement("insert into t values (7)", Verdict::Keep)]).await.unwrap();
    assert_eq!(rows(&*store), [1, 3, 7], "and the next one does");
}

/// It is there after it was closed, private, and open once.
async fn openings(env: &Env, path: &Path) {
    let store = env.stores().open(path).unwrap();
    assert_eq!(rows(&*store), [1, 3, 7], "it is there after it was closed");
    assert_eq!(env.files().metadata(path).unwrap().mode, 0o600);
    let wrote = store.read(&mut |connection| connection.execute("insert into t values (9)", []).map(drop));
    assert!(wrote.is_err(), "a read that writes is refused");
    assert_eq!(rows(&*store), [1, 3, 7]);
    let second = env.stores().open(path).err().expect("one process has it open at a time");
    assert!(second.message.contains("in use") && second.kind == StoreErrorKind::InUse, "{second}");
}

/// Batches are executed in the order of the calls, awaited or not; who closes the store waits for them.
async fn order(env: &Env, path: &Path) {
    let store = env.stores().open(path).unwrap();
    drop(store.commit(vec![statement("create table t(x integer) strict", Verdict::Keep)]));
    drop(store.commit(vec![statement("insert into t values (1)", Verdict::Keep)]));
    store.commit(Vec::new()).await.unwrap();
    assert_eq!(rows(&*store), [1], "whoever waits for a batch waits for those before it");
    drop(store.commit(vec![statement("insert into t select x + 1 from t", Verdict::Keep)]));
    drop(store.commit(vec![statement("insert into t select x + 2 from t", Verdict::Keep)]));
    drop(store);
    let store = env.stores().open(path).unwrap();
    assert_eq!(rows(&*store), [1, 2, 3, 4]);
}

/// A database that may not grow says that it is full, loses nothing, and goes on when there is room.
async fn full(env: &Env, path: &Path) {
    let store = env.stores().open(path).unwrap();
    let create = "create table t(x integer, filler text not null default '') strict";
    store.commit(vec![statement(create, Verdict::Keep)]).await.unwrap();
    store.commit(vec![query("pragma max_page_count = 4")]).await.unwrap();
    let fill = "insert into t values (1, hex(zeroblob(40000)))";
    let error = store.commit(vec![statement(fill, Verdict::Keep)]).await.expect_err("there is no room");
    assert_eq!(error.kind, StoreErrorKind::Full, "{error}");
    assert_eq!(rows(&*store), [0; 0]);
    store.commit(vec![query("pragma max_page_count = 1000000")]).await.unwrap();
    store.commit(vec![statement(fill, Verdict::Keep)]).await.unwrap();
    assert_eq!(rows(&*store), [1]);
}

/// Reads see whole batches, also while one is under way.
async fn snapshots(env: &Env, path: &Path) {
    let store = env.stores().open(path).unwrap();
    store.commit(vec![statement("create table t(x integer) strict", Verdict::Keep)]).await.unwrap();
    for round in 1..=20 {
        let batch = (0..10).map(|_| statement("insert into t values (0)", Verdict::Keep)).collect();
        let committed = store.commit(batch);
        let seen = rows(&*store).len();
        assert!(seen == round * 10 || seen == (round - 1) * 10, "{seen} rows are part of a batch");
        committed.await.unwrap();
        assert_eq!(rows(&*store).len(), round * 10, "what was answered is seen");
    }
}

/// What is not a database of ours is left as it is.
async fn foreign(env: &Env, scratch: &Path) {
    let garbage = scratch.join("garbage");
    env.files().write(&garbage, &[b'x'; 5000], 0o600).unwrap();
    assert!(env.stores().open(&garbage).is_err(), "a file that is no database is refused");
    assert_eq!(env.files().read(&garbage, 5000).unwrap(), [b'x'; 5000], "and left as it is");
    assert!(env.stores().open(&scratch.join("no/such/directory")).is_err());
}

fn statement(sql: &'static str, verdict: Verdict) -> Write {
    Box::new(move |connection: &Connection| {
        connection.execute(sql, [])?;
        Ok(verdict)
    })
}

/// A statement that gives a row.
fn query(sql: &'static str) -> Write {
    Box::new(move |connection: &Connection| {
        connection.query_row(sql, [], |_| Ok(()))?;
        Ok(Verdict::Keep)
    })
}

fn rows(store: &dyn Store) -> Vec<i64> {
    let mut rows = Vec::new();
    store
        .read(&mut |connection| {
            let mut query = connection.prepare("select x from t order by x")?;
            rows = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(())
        })
        .unwrap();
    rows
}
