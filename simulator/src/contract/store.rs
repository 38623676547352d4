//! SQLite databases: what was committed is there, and nothing else.

use rusqlite::Connection;
use slap_impl::env::{Env, Store, Verdict, Write};
use std::path::Path;

pub(super) async fn all(env: &Env, scratch: &Path) {
    let path = scratch.join("database.sqlite");
    let store = env.stores().open(&path).unwrap();
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
    let failed = store
        .commit(vec![
            statement("insert into t values (4)", Verdict::Keep),
            statement("insert into no_such_table values (5)", Verdict::Keep),
            statement("insert into t values (6)", Verdict::Keep),
        ])
        .await;
    assert!(failed.is_err());
    assert_eq!(rows(&*store), [1, 3], "after an error nothing of the batch happened");
    store.commit(vec![statement("insert into t values (7)", Verdict::Keep)]).await.unwrap();
    drop(store);
    let store = env.stores().open(&path).unwrap();
    assert_eq!(rows(&*store), [1, 3, 7], "it is there after it was closed");
    assert_eq!(env.files().metadata(&path).unwrap().mode, 0o600);
    let wrote = store.read(&mut |connection| connection.execute("insert into t values (9)", []).map(drop));
    assert!(wrote.is_err(), "a read that writes is refused");
    assert!(env.stores().open(&path).is_err(), "one process has it open at a time");
    drop(store);
    let garbage = scratch.join("garbage");
    env.files().write(&garbage, &[b'x'; 5000], 0o600).unwrap();
    assert!(env.stores().open(&garbage).is_err(), "a file that is no database is refused");
    assert_eq!(env.files().read(&garbage, 5000).unwrap(), [b'x'; 5000], "and left as it is");
}

fn statement(sql: &'static str, verdict: Verdict) -> Write {
    Box::new(move |connection: &Connection| {
        connection.execute(sql, [])?;
        Ok(verdict)
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
