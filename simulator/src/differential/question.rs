//! Events as questions to a master: the fields that slapos.core's client sends (slapos/slap/slap.py), marshalled where it
//! marshals them.

use super::names::{
    Name, OTHER_MASTER, addresses, connection, interface, kind_text, parameters, reference_text,
    timestamp_text,
};
use slap_impl::wire::{
    http::client,
    marshal::{Value, encode},
};
use slap_model::{
    Event, State,
    event::{Filter, Formatted, ReleaseReport, Report, Request, Wanted, Word},
    names::{Address, Computer, Partition, Place, Reference, Release},
};
use std::collections::BTreeMap;

/// What is asked of a master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Whether it changes something: then it is a POST.
    pub(super) is_post: bool,
    /// The path's only segment.
    pub(super) endpoint: &'static str,
    /// Its arguments.
    pub(super) fields: Vec<(&'static str, String)>,
}

/// What an event asks of a master; none for one that does not reach it.
pub(super) fn of(state: &State, event: &Event) -> Option<Question> {
    match event {
        Event::Deliver(mail) | Event::LoseAnswer(mail) => {
            // What is no longer under way is no event.
            if state.mail.contains(mail) { of(state, &mail.event()) } else { None }
        }
        Event::Request(wish) => Some(request(wish)),
        Event::Supply { computer, release, wanted } => Some(supply(*computer, *release, *wanted)),
        Event::Format { computer, partitions } => Some(format(*computer, partitions)),
        Event::Publish { place, shared, connection: published } => {
            let document = dictionary(connection(*published));
            Some(about(
                *place,
                "setComputerPartitionConnectionXml",
                *shared,
                vec![("connection_xml", document)],
            ))
        }
        Event::Rename { place, shared, title } => {
            Some(about(*place, "softwareInstanceRename", *shared, vec![("new_name", title.text())]))
        }
        Event::Bang { place, shared } => {
            Some(about(*place, "softwareInstanceBang", *shared, vec![("message", MESSAGE.to_owned())]))
        }
        Event::BangComputer(computer) => Some(post(
            "computerBang",
            vec![("computer_id", computer.text()), ("message", MESSAGE.to_owned())],
        )),
        Event::ReportRelease { computer, release, report } => {
            Some(report_release(*computer, *release, *report))
        }
        Event::Report(report) => Some(report_instance(report)),
        Event::ReportSharedError { place, shared } => Some(about(
            *place,
            "softwareInstanceError",
            Some(*shared),
            vec![("error_log", MESSAGE.to_owned())],
        )),
        Event::Look(computer) => Some(Question {
            is_post: false,
            endpoint: "getFullComputerInformation",
            fields: vec![("computer_id", computer.text())],
        }),
        _ => None,
    }
}

/// The address and the netmask of every computer.
pub(super) const COMPUTER_ADDRESS: (&str, &str) = ("127.0.0.1", "255.255.255.255");

/// What reports say.
pub(super) const MESSAGE: &str = "it <broke> & stopped";

impl Question {
    /// The fields as a query or a form has them.
    pub(super) fn encoded(&self) -> String {
        let fields = self.fields.iter().map(|(key, value)| (*key, value.as_str()));
        let url = "http://master/".parse().expect("it is a URL");
        let body = client::Request::post_form(url, fields).body;
        String::from_utf8(body).expect("a form is ASCII")
    }
}

fn post(endpoint: &'static str, fields: Vec<(&'static str, String)>) -> Question {
    Question { is_post: true, endpoint, fields }
}

fn dictionary(items: BTreeMap<String, String>) -> String {
    encode(&Value::dictionary(items.into_iter().map(|(key, value)| (key, Value::text(value)))))
}

fn request(wish: &Request) -> Question {
    let state = wish.state.map(|state| match state {
        Wanted::Started => "started",
        Wanted::Stopped => "stopped",
        Wanted::Destroyed => "destroyed",
    });
    let mut fields = vec![
        ("software_release", wish.release.text()),
        ("software_type", kind_text(wish.kind)),
        ("partition_reference", wish.title.text()),
        ("partition_parameter_xml", dictionary(parameters(wish.parameters))),
        ("filter_xml", dictionary(filter(wish.filter))),
        ("state", encode(&Value::optional(state))),
        ("shared_xml", encode(&Value::Bool(wish.shared))),
    ];
    if let Some(place) = wish.by {
        fields.extend(place_fields(place));
    }
    post("requestComputerPartition", fields)
}

/// A filter's keys and values.
pub(super) fn filter(filter: Filter) -> BTreeMap<String, String> {
    let (computer, host) = match filter {
        Filter::Anywhere => (None, None),
        Filter::Computer(computer) => (Some(computer), None),
        Filter::Host(place) => (Some(place.computer), Some(place)),
        Filter::Hosted { on, by } => (on, Some(by)),
        Filter::Ignored => return IGNORED.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        Filter::Elsewhere => {
            return BTreeMap::from([("master_url".to_owned(), OTHER_MASTER.to_owned())]);
        }
        Filter::Unknown => return BTreeMap::from([("cpu <&>".to_owned(), "many é".to_owned())]),
    };
    let computer = computer.map(|computer| ("computer_guid".to_owned(), computer.text()));
    let host = host.map(|place| ("instance_guid".to_owned(), guid(place)));
    computer.into_iter().chain(host).collect()
}

/// Keys that are for the instance, not for where it is.
const IGNORED: [(&str, &str); 4] = [
    ("retention_delay", RETENTION_DELAY),
    ("fw_restricted_access", "on <&>"),
    ("fw_rejected_sources", "10.0.0.1"),
    ("fw_authorized_sources", "é"),
];

/// Text by XML, a number by JSON-RPC.
pub(super) const RETENTION_DELAY: &str = "3600";

/// The guid of what is in a partition.
pub(super) fn guid(place: Place) -> String {
    format!("{}-{}", place.computer.text(), place.partition.text())
}

fn place_fields(place: Place) -> [(&'static str, String); 2] {
    [("computer_id", place.computer.text()), ("computer_partition_id", place.partition.text())]
}

fn about(
    place: Place,
    endpoint: &'static str,
    shared: Option<Reference>,
    more: Vec<(&'static str, String)>,
) -> Question {
    let mut fields = Vec::from(place_fields(place));
    fields.extend(more);
    fields.extend(shared.map(|reference| ("slave_reference", reference_text(reference))));
    post(endpoint, fields)
}

fn supply(computer: Computer, release: Release, wanted: bool) -> Question {
    let state = if wanted { "available" } else { "destroyed" };
    post(
        "supplySupply",
        vec![("url", release.text()), ("computer_id", computer.text()), ("state", state.to_owned())],
    )
}

fn format(computer: Computer, partitions: &Formatted) -> Question {
    let text = |text: &str| Value::text(text);
    let partition = |(partition, address): (&Partition, &Address)| {
        let list = addresses(*partition, *address)
            .iter()
            .map(|(address, netmask)| {
                Value::dictionary([("addr", text(address)), ("netmask", text(netmask))])
            })
            .collect();
        Value::dictionary([
            ("reference", text(&partition.text())),
            ("address_list", Value::List(list)),
            ("tap", Value::dictionary([("name", text(&interface(*partition)))])),
        ])
    };
    let document = Value::dictionary([
        ("reference", text(&computer.text())),
        ("address", text(COMPUTER_ADDRESS.0)),
        ("netmask", text(COMPUTER_ADDRESS.1)),
        ("partition_list", Value::List(partitions.iter().map(partition).collect())),
    ]);
    post("loadComputerConfigurationFromXML", vec![("xml", encode(&document))])
}

fn report_release(computer: Computer, release: Release, report: ReleaseReport) -> Question {
    let endpoint = match report {
        ReleaseReport::Building => "buildingSoftwareRelease",
        ReleaseReport::Available => "availableSoftwareRelease",
        ReleaseReport::Error => "softwareReleaseError",
        ReleaseReport::Destroyed => "destroyedSoftwareRelease",
    };
    let mut fields = vec![("url", release.text()), ("computer_id", computer.text())];
    if report == ReleaseReport::Error {
        fields.push(("error_log", MESSAGE.to_owned()));
    }
    post(endpoint, fields)
}

fn report_instance(report: &Report) -> Question {
    let error = || vec![("error_log", MESSAGE.to_owned())];
    let (endpoint, more) = match report.word {
        Word::Started => ("startedComputerPartition", Vec::new()),
        Word::Stopped => ("stoppedComputerPartition", Vec::new()),
        Word::Error => ("softwareInstanceError", error()),
        Word::Destroyed => ("destroyedComputerPartition", Vec::new()),
        Word::Bang => ("softwareInstanceBang", vec![("message", MESSAGE.to_owned())]),
    };
    let mut question = about(report.place, endpoint, None, more);
    question.fields.extend(report.about.map(|rank| ("timestamp", timestamp_text(rank))));
    question
}
