//! Local software releases that move with their root.

use super::{trees::Asked, *};
use crate::wire::{
    marshal::{Value, decode, encode},
    objects::Computer,
};

/// What a node is told: the supplied releases, and by partition its release and timestamp.
async fn told(asked: &Asked) -> (Vec<String>, Vec<(String, String)>) {
    let (_, body) = asked.get("getFullComputerInformation?computer_id=COMP-1").await;
    let computer = Computer::from_value(&decode(body.as_bytes()).unwrap()).unwrap();
    let supplied = computer.software_releases.iter().map(|it| it.url.to_string()).collect();
    let instances = computer.partitions.into_iter().filter_map(|partition| partition.instance);
    let instances = instances.map(|it| (it.software_release.url.to_string(), it.timestamp.unwrap()));
    (supplied, instances.collect())
}

async fn start(env: &Env, database: &Path, root: Option<&Path>) -> Asked {
    let configuration = Configuration {
        log_file: Some(database.with_extension("log")),
        database: database.to_owned(),
        release_root: root.map(Path::to_owned),
        ..Configuration::default()
    };
    Asked(Master::open(env, configuration).await.unwrap())
}

async fn stop(asked: Asked) {
    asked.0.queue.close().await;
}

fn changes(asked: &Asked) -> Vec<Command> {
    let entries = asked.0.read(|connection| store::journal_after(connection, 0, 100)).unwrap();
    entries.iter().map(|entry| serde_json::from_str(&entry.command).unwrap()).collect()
}

#[test]
fn local_releases_follow_their_root() {
    in_place(async |env, database| {
        let place = database.parent().unwrap();
        let path = |name: &str| place.join(name).to_str().unwrap().to_owned();
        let (old, new) = (place.join("old"), place.join("new"));
        env.files().create_directory(&old, 0o700).unwrap();
        env.files().write(&old.join("left.cfg"), b"", 0o600).unwrap();
        // `twice` is spelt in two ways, which come to one place.
        let (moved, left, twice) = (path("old/a.cfg"), path("old/left.cfg"), path("old/./a.cfg"));
        let releases = [moved.as_str(), "http://a/software.cfg", &left, &twice, "/elsewhere/old/a.cfg"];

        let asked = start(&env, &database, Some(&old)).await;
        let partition = |number: usize| {
            Value::dictionary([
                ("reference".to_owned(), Value::text(format!("slappart{number}"))),
                ("address_list".to_owned(), Value::List(Vec::new())),
            ])
        };
        let computer = Value::dictionary([
            ("reference".to_owned(), Value::text("COMP-1")),
            ("address".to_owned(), Value::None),
            ("netmask".to_owned(), Value::None),
            ("partition_list".to_owned(), Value::List((0..5).map(partition).collect())),
        ]);
        assert_eq!(
            asked.post("loadComputerConfigurationFromXML", &[("xml", &encode(&computer))]).await.0,
            200
        );
        for release in releases {
            let on = [("computer_id", "COMP-1"), ("url", release)];
            assert_eq!(asked.post("supplySupply", &[on[0], on[1], ("state", "available")]).await.0, 200);
            assert_eq!(asked.post("availableSoftwareRelease", &on).await.1, "OK");
            let wish =
                [("partition_reference", release), ("software_release", release), ("software_type", "")];
            assert_eq!(asked.post("requestComputerPartition", &wish).await.0, 200);
        }
        let (supplied, before) = told(&asked).await;
        assert_eq!(supplied, releases);
        assert!(matches!(&changes(&asked)[0], Command::Rebase { moved, .. } if moved.is_empty()));
        let count = changes(&asked).len();
        stop(asked).await;

        let asked = start(&env, &database, Some(&old)).await;
        assert_eq!((told(&asked).await, changes(&asked).len()), ((supplied, before.clone()), count));
        stop(asked).await;

        let asked = start(&env, &database, Some(&new)).await;
        let there = path("new/a.cfg");
        let (supplied, after) = told(&asked).await;
        // Supplied from two places it was; one of them stays.
        let (spelt, plain) = if supplied[0] == moved { (3, 0) } else { (0, 3) };
        assert_eq!((&supplied[spelt], &supplied[plain]), (&there, &releases[plain].to_owned()));
        assert_eq!([&supplied[1], &supplied[2], &supplied[4]], [releases[1], releases[2], releases[4]]);
        let now: Vec<&str> = after.iter().map(|(release, _)| release.as_str()).collect();
        assert_eq!(now, [there.as_str(), releases[1], releases[2], &there, releases[4]]);
        for (number, (before, after)) in before.iter().zip(&after).enumerate() {
            assert_eq!(
                before.1 != after.1,
                [0, 3].contains(&number),
                "what moved is processed again: {number}"
            );
        }
        let status = async |url: &str| {
            asked.get(&format!("getSoftwareInstallationStatus?computer_id=COMP-1&url={url}")).await.1
        };
        assert!(status(&there).await.contains("no data found"), "nothing is known of the new place");
        assert!(status(&left).await.contains("#access"), "{}", status(&left).await);
        assert!(matches!(changes(&asked).last(), Some(Command::Rebase { moved, .. }) if moved.len() == 2));
        stop(asked).await;

        // Without a root nothing moves, and the next one is a first one again.
        for root in [None, Some(place), Some(old.as_path())] {
            let asked = start(&env, &database, root).await;
            assert_eq!(told(&asked).await.0, supplied, "{root:?}");
            stop(asked).await;
        }
    });
}
