//! What is left of files and databases when a process is killed or the power is lost, at every operation of the disk.
#![allow(clippy::unwrap_used, reason = "a test panics with what was expected")]

use rusqlite::Connection;
use simulator::world::{
    Tier, World,
    disk::{Failure, Fault, Moment, Operation},
};
use slap_impl::env::{Either, Env, Store, StoreError, StoreErrorKind, Verdict, Write, race};
use std::{collections::BTreeMap, path::Path};
use tokio::sync::oneshot;

const DATABASE: &str = "/root/database.sqlite";
const MOMENTS: [Moment; 3] = [Moment::Before, Moment::Within, Moment::After];
/// Rows of a batch.
const ROWS: i64 = 20;

fn in_world<T: Send + 'static>(seed: u64, body: impl AsyncFnOnce(World) -> T + Send + 'static) -> T {
    World::run_in(Tier::Crash, seed, body)
}

fn user(world: &World) -> Env {
    world.user("/root", BTreeMap::new())
}

/// Something that a program does with files.
type Deed = fn(&Env);

/// What is there after a deed: names of /root and the content of `a`.
fn shown(env: &Env) -> String {
    let names = env.files().list(Path::new("/root")).unwrap().join(" ");
    let content = env.files().read_text(Path::new("/root/a"), 1 << 20).unwrap_or_default();
    format!("{names}: {}", &content[..content.len().min(8)])
}

/// What may be left of a deed when the power is lost right after it, for many seeds.
fn left(deed: Deed) -> Vec<String> {
    let mut found: Vec<String> = (0..40)
        .map(|seed| {
            in_world(seed, async move |world| {
                let env = user(&world);
                env.files().replace(Path::new("/root/a"), b"old", 0o600).unwrap();
                deed(&env);
                world.cut_power();
                shown(&user(&world))
            })
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn files_keep_what_was_synced() {
    let cases: [(&str, Deed, &[&str]); 11] = [
        (
            "write, then sync",
            |env| {
                env.files().write(Path::new("/root/a"), b"new", 0o600).unwrap();
                env.files().sync(Path::new("/root/a")).unwrap();
            },
            &["a: new"],
        ),
        (
            "remove_file, then a sync of the directory",
            |env| {
                env.files().remove_file(Path::new("/root/a")).unwrap();
                env.files().sync(Path::new("/root")).unwrap();
            },
            &[": "],
        ),
        ("replace", |env| env.files().replace(Path::new("/root/a"), b"new", 0o600).unwrap(), &["a: new"]),
        ("copy", |env| env.files().copy(Path::new("/root/a"), Path::new("/root/b")).unwrap(), &["a b: old"]),
        (
            "replace in a new directory",
            |env| {
                env.files().create_directory(Path::new("/root/d"), 0o700).unwrap();
                env.files().replace(Path::new("/root/d/x"), b"", 0o600).unwrap();
            },
            &["a d: old"],
        ),
        (
            "write",
            |env| env.files().write(Path::new("/root/a"), b"new", 0o600).unwrap(),
            &["a: ", "a: new", "a: old"],
        ),
        (
            "append",
            |env| env.files().append(Path::new("/root/a"), b"er", 0o600).unwrap(),
            &["a: old", "a: older"],
        ),
        (
            "create_directory",
            |env| env.files().create_directory(Path::new("/root/d"), 0o700).unwrap(),
            &["a d: old", "a: old"],
        ),
        (
            "rename",
            |env| env.files().rename(Path::new("/root/a"), Path::new("/root/b")).unwrap(),
            &["a: old", "b: "],
        ),
        ("remove_file", |env| env.files().remove_file(Path::new("/root/a")).unwrap(), &[": ", "a: old"]),
        (
            "write, then a replace beside it",
            |env| {
                env.files().write(Path::new("/root/b"), b"", 0o600).unwrap();
                env.files().replace(Path::new("/root/a"), b"new", 0o600).unwrap();
            },
            &["a b: new"],
        ),
    ];
    for (name, deed, expected) in cases {
        // A torn or half-written `write` may leave other content; what is asked is that nothing else of the directory changes.
        let mut found = left(deed);
        found.retain(|shown| !shown.contains('\0'));
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn replace_leaves_the_old_or_the_new_wherever_it_ends() {
    for seed in 0..30 {
        for operation in [Operation::Write, Operation::Sync] {
            for moment in MOMENTS {
                for failure in [Failure::PowerLoss(moment), Failure::Killed(moment)] {
                    let found = in_world(seed, async move |world| {
                        let env = user(&world);
                        let path = Path::new("/root/a");
                        env.files().replace(path, b"old", 0o600).unwrap();
                        world.disk().plan(Fault { operation, spared: seed % 4, times: 1, failure });
                        let done = env.files().replace(path, &[b'n'; 9000], 0o600).is_ok();
                        world.cut_power();
                        (done, user(&world).files().read(path, 10_000).unwrap())
                    });
                    match found {
                        (_, content) if content == [b'n'; 9000] => {}
                        (false, content) => {
                            assert_eq!(content, b"old", "{failure:?} at {operation:?}, seed {seed}")
                        }
                        (true, _) => panic!("{failure:?}, seed {seed}: what was replaced is not"),
                    }
                }
            }
        }
    }
}

fn insert(batch: i64) -> Vec<Write> {
    let sql = "insert into t values (?1, hex(zeroblob(200)))";
    let write = move |connection: &Connection| connection.execute(sql, [batch]).map(|_| Verdict::Keep);
    (0..ROWS).map(|_| Box::new(write) as Write).collect()
}

fn batches(store: &dyn Store) -> Result<Vec<i64>, StoreError> {
    let mut found = Vec::new();
    store.read(&mut |connection| {
        let sound: String = connection.query_row("pragma integrity_check", [], |row| row.get(0))?;
        assert_eq!(sound, "ok");
        let mut statement =
            connection.prepare("select batch, count(*) from t group by batch order by batch")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for row in rows {
            let (batch, count): (i64, i64) = row?;
            assert_eq!(count, ROWS, "batch {batch} is whole");
            found.push(batch);
        }
        Ok(())
    })?;
    Ok(found)
}

async fn made(env: &Env) -> Box<dyn Store> {
    let store = env.stores().open(Path::new(DATABASE)).unwrap();
    let create = "create table t(batch integer, filler text) strict";
    let create: Write = Box::new(move |connection| connection.execute(create, []).map(|_| Verdict::Keep));
    store.commit(vec![create]).await.unwrap();
    store
}

/// Three batches with a fault on the way; whether it struck, how many batches were answered, and which are there after it.
fn with_strike(seed: u64, fault: Fault) -> (bool, i64, Vec<i64>) {
    in_world(seed, async move |world| {
        let env = user(&world);
        let store = made(&env).await;
        world.disk().plan(fault);
        let (sender, mut done) = oneshot::channel();
        let (answered, answers) = tokio::sync::watch::channel(0);
        env.spawn(async move {
            for batch in 1..=3 {
                store.commit(insert(batch)).await.unwrap();
                answered.send_replace(batch);
            }
            drop(store);
            let _ = sender.send(());
        });
        let struck = matches!(race(world.struck(), &mut done).await, Either::First(_));
        let answered = *answers.borrow();
        world.disk().heal();
        world.cut_power();
        let store = user(&world).stores().open(Path::new(DATABASE)).unwrap();
        (struck, answered, batches(&*store).unwrap())
    })
}

#[test]
fn a_batch_is_whole_or_not_there_wherever_a_crash_comes() {
    let mut crashes = 0;
    for operation in [Operation::Read, Operation::Write, Operation::Sync, Operation::Lock] {
        for moment in MOMENTS {
            for failure in [Failure::PowerLoss(moment), Failure::Killed(moment)] {
                for spared in 0.. {
                    let fault = Fault { operation, spared, times: 1, failure };
                    let (struck, answered, found) = with_strike(spared, fault);
                    let whole: Vec<i64> = (1..=found.len() as i64).collect();
                    assert_eq!(found, whole, "{fault:?}: a batch without the one before it");
                    assert!(found.len() as i64 >= answered, "{fault:?}: {answered} were answered");
                    assert!(struck || answered == 3, "{fault:?}");
                    if !struck {
                        break;
                    }
                    crashes += 1;
                }
            }
        }
    }
    assert!(crashes > 300, "the sweep meets every operation: {crashes}");
}

#[test]
fn what_a_reader_saw_is_kept() {
    // Killed before its sync, a batch is in the system's memory: the next process finds it there.
    for seed in 0..40 {
        in_world(seed, async move |world| {
            let env = user(&world);
            let store = made(&env).await;
            let failure = Failure::Killed(Moment::Before);
            world.disk().plan(Fault { operation: Operation::Sync, spared: 0, times: 1, failure });
            env.spawn(async move { drop(store.commit(insert(1)).await) });
            world.struck().await;
            let next = user(&world).stores().open(Path::new(DATABASE)).unwrap();
            assert_eq!(batches(&*next).unwrap(), [1], "it was written");
            world.cut_power();
            let last = user(&world).stores().open(Path::new(DATABASE)).unwrap();
            assert_eq!(batches(&*last).unwrap(), [1], "seed {seed}");
        });
    }
}

#[test]
fn failures_are_told_and_lose_nothing() {
    let cases = [
        (Operation::Write, Failure::Full, "full", StoreErrorKind::Full),
        (Operation::Write, Failure::Broken, "disk I/O error", StoreErrorKind::Broken),
        (Operation::Sync, Failure::Broken, "disk I/O error", StoreErrorKind::Broken),
        (Operation::Read, Failure::Broken, "disk I/O error", StoreErrorKind::Broken),
        (Operation::Lock, Failure::Busy, "lock", StoreErrorKind::InUse),
    ];
    for (operation, failure, words, kind) in cases {
        in_world(1, async move |world| {
            let env = user(&world);
            let store = made(&env).await;
            store.commit(insert(1)).await.unwrap();
            drop(store);
            let store = env.stores().open(Path::new(DATABASE)).unwrap();
            world.disk().plan(Fault { operation, spared: 0, times: u64::MAX, failure });
            let error = store.commit(insert(2)).await.expect_err("the disk fails");
            assert!(error.message.contains(words) && error.kind == kind, "{failure:?}: {error}");
            world.disk().heal();
            assert_eq!(batches(&*store).unwrap(), [1], "{failure:?}: nothing of it happened");
            store.commit(insert(3)).await.unwrap();
            assert_eq!(batches(&*store).unwrap(), [1, 3], "{failure:?}: it goes on");
            world.cut_power();
            let store = user(&world).stores().open(Path::new(DATABASE)).unwrap();
            assert_eq!(batches(&*store).unwrap(), [1, 3], "{failure:?}: durably");
        });
    }
}
