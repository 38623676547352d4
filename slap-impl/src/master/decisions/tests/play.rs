//! Scenes, a line for each command: what is asked, what is answered, and which partitions are renewed.
//!
//! `user` or a partition of COMP-1 (`p0` is slappart0) acts: `requests TITLE`, with a state, `shared`, `release=`, `type=`,
//! `parameters=` or a filter key; `reports WORD`, `publishes TEXT`, `renames TITLE`, each perhaps with `of=REFERENCE`.

use super::*;

impl World {
    /// A world with partitions p0 to p(count - 1).
    pub(super) fn with(count: usize) -> World {
        let mut world = World::new();
        world.format("COMP-1", count);
        world
    }

    /// Plays a scene: `line => answer +renewed +renewed`.
    pub(super) fn play(&mut self, scene: &str) {
        for line in scene.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (asked, expected) = line.split_once(" => ").unwrap();
            let before = self.timestamps();
            let all = store::instances(&self.connection).unwrap();
            let decided = self.decide(&command(asked));
            let mut found = match &decided.answer {
                Ok(Answer::Text(text)) => text.clone(),
                Ok(Answer::Given(given)) => told(given),
                Err(refusal) => {
                    assert_eq!(all, store::instances(&self.connection).unwrap(), "{line}");
                    refusal.status.to_string()
                }
            };
            for (name, timestamp) in self.timestamps() {
                if before.get(&name) != Some(&timestamp) {
                    // Once, so by exactly what the clock says.
                    assert_eq!(timestamp, self.now, "{line}");
                    found += &format!(" +{name}");
                }
            }
            assert_eq!(found, expected, "{line}");
            let is_shown = !expected.contains('+') || !decided.touched.is_empty();
            assert!(is_shown, "{line}: renewed, but the node is not told");
        }
    }

    fn timestamps(&self) -> BTreeMap<String, i64> {
        let partitions = store::partitions(&self.connection, &"COMP-1".parse().unwrap()).unwrap();
        let short = |name: &PartitionId| name.as_str().replace("slappart", "p");
        partitions.iter().map(|it| (short(&it.reference), it.timestamp)).collect()
    }

    /// All instances as `TITLE@p0<REQUESTER STATE`, shared ones as `TITLE@p0(REFERENCE)<...`; a root has no requester.
    pub(super) fn instances(&self) -> String {
        let all = store::instances(&self.connection).unwrap();
        let titled = |number: i64| all.iter().find(|it| it.number == number).unwrap();
        let place = |it: &store::Instance| {
            it.partition().map_or("-".to_owned(), |(_, name)| name.as_str().replace("slappart", "p"))
        };
        let line = |it: &store::Instance| {
            let place = match &it.place {
                Place::Partition(..) => place(it),
                Place::Shared { reference, host } => {
                    format!("{}({reference})", host.map_or("-".to_owned(), |host| place(titled(host))))
                }
            };
            let by = it.requester.map(|number| format!("<{}", titled(number).title)).unwrap_or_default();
            format!("{}@{place}{by} {}", it.title, it.state)
        };
        all.iter().map(line).collect::<Vec<_>>().join(", ")
    }
}

fn told(given: &Given) -> String {
    let partition = given.partition.as_ref();
    let place = partition.map_or("-".to_owned(), |it| it.reference.as_str().replace("slappart", "p"));
    format!("{place} {}", given.instance.state)
}

fn command(line: &str) -> Command {
    let words: Vec<&str> = line.split(' ').collect();
    let [actor, verb, what, rest @ ..] = words.as_slice() else { panic!("{line}") };
    let computer: ComputerId = "COMP-1".parse().unwrap();
    let own = || -> PartitionId { actor.replace('p', "slappart").parse().unwrap() };
    let slave_reference =
        rest.iter().find_map(|word| word.strip_prefix("of=")).map(|text| text.parse().unwrap());
    match *verb {
        "requests" => requests(what, rest, (*actor != "user").then(own)),
        "publishes" => {
            let document = format!("<instance><parameter id='key'>{what}</parameter></instance>");
            Command::Publish { computer, partition: own(), slave_reference, document }
        }
        "renames" => {
            Command::Rename { computer, partition: own(), slave_reference, title: what.parse().unwrap() }
        }
        "reports" => {
            let report = match *what {
                "started" => InstanceReport::Started,
                "stopped" => InstanceReport::Stopped,
                "destroyed" => InstanceReport::Destroyed,
                "error" => InstanceReport::Error { log: "no".to_owned() },
                "bang" => InstanceReport::Bang { message: "now".to_owned() },
                other => panic!("{other}"),
            };
            Command::ReportInstance { computer, partition: own(), slave_reference, report, about: None }
        }
        other => panic!("{other}"),
    }
}

fn requests(title: &str, words: &[&str], by: Option<PartitionId>) -> Command {
    let mut command = request(title, None, &[]);
    let Command::Request { release, software_type, parameters, filter, state, requester, shared, .. } =
        &mut command
    else {
        unreachable!()
    };
    *requester = by.map(|partition| Requester { computer: "COMP-1".parse().unwrap(), partition });
    for word in words {
        match word.split_once('=') {
            None if *word == "shared" => *shared = true,
            None => *state = Some(word.parse().unwrap()),
            Some(("release", value)) => *release = value.parse().unwrap(),
            Some(("type", value)) => *software_type = value.to_owned(),
            Some(("parameters", value)) => *parameters = value.to_owned(),
            Some((key, value)) => drop(filter.insert(key.to_owned(), value.to_owned())),
        }
    }
    command
}
