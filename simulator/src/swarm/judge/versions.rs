//! What was so after which entry of the journal: of each object all versions, as the model has them. An answer tells one of them.
//! `versions/trees.rs`: of children, of what is hosted, and of where there is room.

mod trees;

use super::{
    clocks::Clocks,
    names::{Names, partition_word, wanted, word},
};
use crate::swarm::history::Part;
use serde_json::Value as Json;
use slap_impl::{
    master::decisions::{Command, InstanceReport},
    vocabulary::SoftwareUrl,
    wire::{
        hateoas::Service,
        instance_xml::{self, Parameters},
        objects::{Computer as Told, Instance as Deployed, SoftwareInstance},
        status::AccessStatus,
    },
};
use slap_model::{
    State,
    names::{Computer, Number, Place},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};
use trees::Trees;
pub(super) use trees::{Room, hosted_told};

/// The versions of an object: after which entry it became what. Before the first it was not there.
pub(super) type Line<T> = Vec<(i64, Option<T>)>;

/// An instance, as much of it as an answer tells.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Standing {
    pub(super) release: String,
    pub(super) kind: String,
    pub(super) state: String,
    pub(super) parameters: String,
    pub(super) connection: String,
    /// Its partition and that one's timestamp, in microseconds.
    pub(super) place: Option<(String, i64)>,
    /// The last report, and whether it is about the present wish, where that is told; empty when there was none.
    pub(super) report: Option<(String, Option<bool>)>,
    /// Whether it is a shared one. Its release and type are then those of its host, and its partition is that one's.
    pub(super) is_shared: bool,
    /// The release and type that were asked for, which pages tell.
    pub(super) own: Option<(String, String)>,
}

/// All versions of a run, of what users can ask for.
#[derive(Default)]
pub(super) struct Versions {
    /// Roots by their titles, shared ones too.
    pub(super) instances: BTreeMap<String, Line<Standing>>,
    /// Whether a release is wanted on a computer.
    pub(super) supplies: BTreeMap<(String, String), Line<bool>>,
    /// The instance in each partition; none is a free one.
    pub(super) partitions: BTreeMap<String, Line<String>>,
    /// What a node shall do.
    pub(super) computers: BTreeMap<String, Line<String>>,
    /// What is so only where there are trees or shared instances.
    pub(super) trees: Trees,
    /// Whether that is kept. Of a large cloud it is not: there are too many, and nobody reads them.
    pub(super) has_views: bool,
    /// The last entry that is in here.
    pub(super) newest: i64,
}

/// The versions that were there at some moment from one entry to another, each with the first entry of these after which it was.
pub(super) fn within<T>(line: Option<&Line<T>>, from: i64, to: i64) -> Vec<(i64, Option<&T>)> {
    let line = line.map_or(&[][..], Vec::as_slice);
    let before = line.partition_point(|(at, _)| *at <= from);
    let at_first = before.checked_sub(1).and_then(|index| line[index].1.as_ref());
    let later = line[before..].iter().take_while(|(at, _)| *at <= to);
    std::iter::once((from, at_first)).chain(later.map(|(at, what)| (*at, what.as_ref()))).collect()
}

fn push<K: Ord, T: PartialEq>(lines: &mut BTreeMap<K, Line<T>>, key: K, at: i64, what: Option<T>) {
    push_line(lines.entry(key).or_default(), at, what);
}

fn push_line<T: PartialEq>(line: &mut Line<T>, at: i64, what: Option<T>) {
    let is_same = match line.last() {
        Some((_, last)) => *last == what,
        None => what.is_none(),
    };
    if !is_same {
        line.push((at, what));
    }
}

/// What an entry may have changed.
pub(super) enum Touched {
    Title(String),
    Release,
    Place(Place),
    Everything,
}

impl Touched {
    pub(super) fn by(command: &Command, place: impl FnOnce() -> Option<Place>) -> Touched {
        match command {
            Command::Request { title, requester: None, .. } => Touched::Title(title.to_string()),
            Command::Supply { .. } | Command::ReportRelease { .. } => Touched::Release,
            // A bang renews what it reaches.
            Command::ReportInstance { report: InstanceReport::Bang { .. }, .. } => Touched::Everything,
            Command::ReportInstance { .. } | Command::Publish { .. } => {
                place().map_or(Touched::Everything, Touched::Place)
            }
            _ => Touched::Everything,
        }
    }
}

impl Versions {
    /// Notes what is so after an entry, where that may have changed something.
    pub(super) fn note(
        &mut self,
        at: i64,
        (state, names, clocks): (&State, &Names, &Clocks),
        command: &Command,
        touched: &Touched,
    ) {
        self.newest = at;
        let mut computers: BTreeSet<Computer> = BTreeSet::new();
        // What touches one instance may reach its whole tree, and hosts.
        let touched = if self.trees.are_kept { &Touched::Everything } else { touched };
        self.trees.note(at, (state, names, clocks));
        match touched {
            Touched::Title(title) => {
                let root = state.instances.iter().find(|(_, instance)| {
                    instance.root.is_none() && names.title_text(instance.title) == title
                });
                let place = root.and_then(|(_, instance)| instance.place);
                let standing = root.map(|(number, _)| standing(*number, (state, names, clocks)));
                push(&mut self.instances, title.clone(), at, standing);
                if let Some(place) = place {
                    push(&mut self.partitions, names.place_text(place), at, Some(title.clone()));
                    computers.insert(place.computer);
                }
            }
            Touched::Release => {}
            Touched::Place(place) => {
                computers.insert(place.computer);
                let name = names.place_text(*place);
                let before = within(self.partitions.get(&name), at, at)[0].1.cloned();
                let now = state.tenant(*place).filter(|(_, instance)| instance.root.is_none());
                let title = now.map(|(_, instance)| names.title_text(instance.title).to_owned());
                if let Some(gone) = before.filter(|before| Some(before) != title.as_ref()) {
                    push(&mut self.instances, gone, at, None);
                }
                if let (Some((number, _)), Some(title)) = (now, &title) {
                    let standing = standing(number, (state, names, clocks));
                    push(&mut self.instances, title.clone(), at, Some(standing));
                }
                push(&mut self.partitions, name, at, title);
            }
            Touched::Everything => {
                self.note_all(at, (state, names, clocks));
                computers.extend(state.computers.keys());
            }
        }
        if let Command::Supply { computer, url, .. } | Command::ReportRelease { computer, url, .. } = command
        {
            let found = state.computers.iter().find(|(it, _)| names.computer_text(**it) == computer.as_str());
            let supply = found.and_then(|(_, registered)| {
                registered.supplies.iter().find(|(it, _)| names.release_text(**it) == url.as_str())
            });
            let key = (computer.to_string(), url.to_string());
            push(&mut self.supplies, key, at, supply.map(|(_, supply)| supply.wanted));
            computers.extend(found.map(|(it, _)| *it));
        }
        if let Command::Rebase { moved, .. } = command {
            self.note_moved(at, (state, names), moved);
        }
        if self.has_views {
            for computer in computers {
                let name = names.computer_text(computer).to_owned();
                push(&mut self.computers, name, at, Some(view(computer, (state, names, clocks))));
            }
        }
    }

    /// Supplies of releases that are under another name now.
    fn note_moved(
        &mut self,
        at: i64,
        (state, names): (&State, &Names),
        moved: &BTreeMap<SoftwareUrl, SoftwareUrl>,
    ) {
        for (computer, registered) in &state.computers {
            for url in moved.iter().flat_map(|(from, to)| [from, to]) {
                let mut supplies = registered.supplies.iter();
                let supply = supplies.find(|(it, _)| names.release_text(**it) == url.as_str());
                let key = (names.computer_text(*computer).to_owned(), url.to_string());
                push(&mut self.supplies, key, at, supply.map(|(_, supply)| supply.wanted));
            }
        }
    }

    fn note_all(&mut self, at: i64, (state, names, clocks): (&State, &Names, &Clocks)) {
        let (mut titles, mut places) = (BTreeSet::new(), BTreeSet::new());
        for (number, instance) in state.instances.iter().filter(|(_, instance)| instance.root.is_none()) {
            let title = names.title_text(instance.title).to_owned();
            push(&mut self.instances, title.clone(), at, Some(standing(*number, (state, names, clocks))));
            if let Some(place) = instance.place {
                push(&mut self.partitions, names.place_text(place), at, Some(title.clone()));
                places.insert(names.place_text(place));
            }
            titles.insert(title);
        }
        for (number, instance) in state.instances.iter().filter(|(_, instance)| instance.root.is_some()) {
            if let Some(place) = instance.place {
                let title = trees::guid(*number, state, names);
                push(&mut self.partitions, names.place_text(place), at, Some(title));
                places.insert(names.place_text(place));
            }
        }
        let gone: Vec<String> = self.instances.keys().filter(|it| !titles.contains(*it)).cloned().collect();
        gone.into_iter().for_each(|title| push(&mut self.instances, title, at, None));
        let free: Vec<String> = self.partitions.keys().filter(|it| !places.contains(*it)).cloned().collect();
        free.into_iter().for_each(|place| push(&mut self.partitions, place, at, None));
    }

    /// The titles and releases of all instances after an entry.
    pub(super) fn list(&self, at: i64) -> BTreeSet<(String, String)> {
        let now = |(title, line): (&String, &Line<Standing>)| {
            let (_, standing) = within(Some(line), at, at)[0];
            standing.map(|it| (title.clone(), it.own.clone().unwrap_or_default().0))
        };
        self.instances.iter().filter_map(now).collect()
    }

    /// The entries from one to another after which the list of instances may be another one, with the first.
    pub(super) fn list_changes(&self, from: i64, to: i64) -> BTreeSet<i64> {
        let all = self.instances.values().flatten().map(|(at, _)| *at);
        all.filter(|at| (from..=to).contains(at)).chain([from]).collect()
    }
}

fn standing(number: Number, (state, names, clocks): (&State, &Names, &Clocks)) -> Standing {
    let instance = &state.instances[&number];
    // A shared one is where its host is, and serves what that does.
    let seat = match instance.shared {
        None => Some(instance),
        Some(shared) => shared.host.and_then(|host| state.instances.get(&host)),
    };
    let slot = seat.and_then(|seat| seat.place).and_then(|place| Some((place, state.slot(place)?)));
    let report = match instance.shared {
        Some(shared) => Some((shared.status.map_or("", word).to_owned(), None)),
        None => slot.map(|(_, slot)| match slot.status {
            Some(status) => (word(status.word).to_owned(), Some(status.about >= slot.rank)),
            None => (String::new(), Some(true)),
        }),
    };
    let served = seat.unwrap_or(instance);
    let place = slot.map(|(place, slot)| (names.place_text(place), clocks.microseconds(place, slot.rank)));
    Standing {
        release: names.release_text(served.release).into_owned(),
        kind: names.kind_text(served.kind).to_owned(),
        state: wanted(instance.state).to_owned(),
        parameters: names.document_text(instance.parameters.0).to_owned(),
        connection: names.document_text(instance.connection.0).to_owned(),
        place: if instance.shared.is_some() { Some(place.unwrap_or_default()) } else { place },
        report,
        is_shared: instance.shared.is_some(),
        own: Some((
            names.release_text(instance.release).into_owned(),
            names.kind_text(instance.kind).to_owned(),
        )),
    }
}

/// What a node is told, as lines.
fn view(computer: Computer, (state, names, clocks): (&State, &Names, &Clocks)) -> String {
    let view = state.view(computer);
    let releases = view.supplies.iter().map(|(release, is_wanted)| {
        let state = if *is_wanted { "available" } else { "destroyed" };
        format!("{} {state}", names.release_text(*release))
    });
    let partitions = view.partitions.iter().map(|(partition, seen)| {
        let place = Place { computer, partition: *partition };
        let (_, name) = names.place_parts(place);
        let Some(seen) = seen else { return format!("{name}: free") };
        let (title, root) = (names.title_text(seen.title), names.title_text(seen.root));
        let hosted = seen.shared.iter().map(|entry| {
            let (kind, parameters) = (names.kind_text(entry.kind), names.document_text(entry.parameters.0));
            trees::entry(&names.reference_text(entry.reference), kind, parameters)
        });
        format!(
            "{name}: {} {} {} {} {} {} at {}{}",
            trees::guid_of(title, root),
            names.release_text(seen.release),
            names.kind_text(seen.kind),
            wanted(seen.state),
            names.document_text(seen.parameters.0),
            names.document_text(seen.connection.0),
            clocks.microseconds(place, seen.rank),
            trees::entries(hosted),
        )
    });
    sorted(releases.chain(partitions))
}

/// The same of what a user read.
pub(super) fn view_told(told: &Told) -> String {
    let releases = told.software_releases.iter().map(|release| {
        let state = release.requested_state.map_or("unknown", |state| state.as_str());
        format!("{} {state}", release.url)
    });
    let partitions = told.partitions.iter().map(|partition| {
        let name = &partition.partition_id;
        let Some(instance) = &partition.instance else { return format!("{name}: free") };
        let Deployed { title, software_release, software_type, parameters, connection, timestamp, .. } =
            instance;
        let hosted = instance.shared_instances.iter().map(trees::entry_told);
        format!(
            "{name}: {} {} {software_type} {} {} {} at {}{}",
            trees::guid_of(title, &instance.root_title),
            software_release.url,
            partition.requested_state.as_str(),
            document(parameters),
            document(connection),
            timestamp.as_deref().and_then(microseconds).unwrap_or_default(),
            trees::entries(hosted),
        )
    });
    sorted(releases.chain(partitions))
}

/// A part of what a node is told, as lines; titles and URLs of swarms have no spaces.
pub(super) fn part_of(view: &str, part: Part) -> String {
    let line = |line: &str| match part {
        Part::Releases => (line.starts_with("http://") || line.starts_with('/')).then(|| line.to_owned()),
        Part::Instances if line.starts_with("slappart") && !line.ends_with(": free") => {
            let words: Vec<&str> = line.split(' ').collect();
            Some(format!("{} {} {} {}", words[0], words[1], words[2], words[4]))
        }
        // Documents have lines, too.
        Part::Instances => None,
    };
    sorted(view.lines().filter_map(line))
}

/// The same of what a user read by JSON-RPC.
pub(super) fn part_told(rows: &[Json], part: Part) -> String {
    let line = |row: &Json| {
        let text = |key: &str| row[key].as_str().unwrap_or_default();
        let (release, state) = (text("software_release_uri"), text("state"));
        match part {
            Part::Releases => format!("{release} {state}"),
            Part::Instances if !text("instance_guid").starts_with(&format!("{}___", text("title"))) => {
                format!("{row}")
            }
            Part::Instances => {
                format!("{}: {} {release} {state}", text("compute_partition_id"), text("instance_guid"))
            }
        }
    };
    sorted(rows.iter().map(line))
}

fn sorted(lines: impl Iterator<Item = String>) -> String {
    let mut lines: Vec<String> = lines.collect();
    lines.sort_unstable();
    let mut text = String::new();
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    text
}

impl Standing {
    /// What the answer to a request tells.
    pub(super) fn of_given(given: &SoftwareInstance) -> Standing {
        let timestamp = given.timestamp.as_deref().and_then(microseconds).unwrap_or_default();
        Standing {
            release: given.software_release_url.clone(),
            kind: given.software_type.clone().unwrap_or_default(),
            state: given.requested_state.map(|state| state.as_str().to_owned()).unwrap_or_default(),
            parameters: document(&given.parameters),
            connection: document(&given.connection),
            place: Some((place_told(&given.computer_id, &given.partition_id), timestamp)),
            report: None,
            is_shared: given.own.is_none(),
            own: None,
        }
    }

    /// What an instance's document tells.
    pub(super) fn of_service(service: &Service) -> Standing {
        let canonical = |text: &Option<String>| {
            document(&instance_xml::decode(text.as_deref().unwrap_or_default()).unwrap_or_default())
        };
        let news = service.news.as_ref().and_then(|news| news.first());
        let report = news.map(|news| {
            let status = AccessStatus::from_json(news);
            let word = if status.no_data { "" } else { partition_word(&status.text) };
            (word.to_owned(), Some(status.no_data || status.up_to_date))
        });
        // Of a shared one it is its host's, or its own: that depends on which of them came last.
        let report = report.filter(|_| !service.shared);
        let kind = service.software_type.clone().unwrap_or_default();
        Standing {
            release: String::new(),
            kind: String::new(),
            state: service.requested_state.clone(),
            parameters: canonical(&service.parameters_xml),
            connection: canonical(&service.connection_xml),
            place: None,
            report,
            is_shared: service.shared,
            own: Some((service.software_release.clone(), kind)),
        }
    }

    /// What a document of JSON-RPC tells; the answer to a request has no report.
    pub(super) fn of_document(told: &Json, has_report: bool) -> Standing {
        let text = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
        let values = |key: &str| {
            let members = told[key].as_object().into_iter().flatten();
            document(&members.map(|(key, value)| (key.clone(), value.as_str().map(str::to_owned))).collect())
        };
        let place = place_told(&text("computer_guid"), &text("compute_partition_id"));
        let seconds = told["processing_timestamp"].as_i64().unwrap_or_default();
        let report = partition_word(told["access_status_message"].as_str().unwrap_or_default());
        Standing {
            release: text("software_release_uri"),
            kind: text("software_type"),
            state: text("state"),
            parameters: values("parameters"),
            connection: values("connection_parameters"),
            // What another master answered has no timestamp here.
            place: (seconds > 0).then_some((place, seconds * 1_000_000)),
            report: has_report.then(|| (report.to_owned(), None)),
            is_shared: told["shared"] == true,
            own: None,
        }
    }

    /// Whether what was told is what is so; an answer does not tell all.
    pub(super) fn is_told_by(&self, told: &Standing) -> bool {
        // JSON-RPC tells whole seconds, and of a report only its text.
        let is_timeless = told.is_shared && told.place.as_ref().is_some_and(|(_, at)| *at == 0);
        let is_whole = told.place.as_ref().is_some_and(|(_, at)| at % 1_000_000 == 0);
        let place = self
            .place
            .clone()
            .map(|(place, at)| (place, if is_whole { at.div_euclid(1_000_000) * 1_000_000 } else { at }))
            // The answer to a request for a shared one has no timestamp.
            .map(|(place, at)| (place, if is_timeless { 0 } else { at }));
        let (release, kind) = match told.own {
            Some(_) => (String::new(), String::new()),
            None => (self.release.clone(), self.kind.clone()),
        };
        let report = |(_, told): &(String, Option<bool>)| {
            self.report.clone().map(|(word, is_new)| (word, is_new.filter(|_| told.is_some())))
        };
        let of_it = Standing {
            release,
            kind,
            own: told.own.as_ref().and(self.own.clone()),
            place: told.place.as_ref().and(place),
            report: told.report.as_ref().and_then(report),
            ..self.clone()
        };
        of_it == *told
    }
}

/// A shared instance without a host is nowhere.
fn place_told(computer: &str, partition: &str) -> String {
    if computer.is_empty() && partition.is_empty() {
        String::new()
    } else {
        format!("{computer}/{partition}")
    }
}

fn document(parameters: &Parameters) -> String {
    instance_xml::encode(parameters)
}

/// Microseconds since 1970, of a timestamp as it is told: seconds, with six decimals.
fn microseconds(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.')?;
    let (seconds, fraction) = (seconds.parse::<i64>().ok()?, fraction.parse::<i64>().ok()?);
    Some(seconds * 1_000_000 + fraction)
}
