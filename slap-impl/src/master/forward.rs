//! Other masters, and how a request for an instance is passed on to one of them (slapos/proxy/db.py,
//! `forwardRequestToExternalMaster`).
//!
//! The other master may be slow, silent or gone: that costs who asks and nobody else. Each errand has a deadline, few run to one
//! master at a time, and nothing waits for them in the commit queue: what came back is remembered afterwards. A request that came
//! round in a circle of masters is known by its `Via` (RFC 9110, 7.6.3).

use super::{
    Master,
    decisions::{Command, Errand, Refusal, Requester, may_run, taken, title_elsewhere},
};
use crate::{
    client::{ClientError, InstanceRequest, SlapClient},
    vocabulary::{InstanceTitle, RequestedState},
    wire::{
        http::{client::Url, server::Request},
        instance_xml,
        objects::{Forwarded, Requested},
    },
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

/// How long another master may take. It is shorter than what a client waits for us, so that it hears why.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long its answer may be, in bytes.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// Errands to one master at the same time.
const ERRANDS_MAX: usize = 32;
/// Masters, and other proxies, that a request may have come through.
const HOPS_MAX: usize = 8;

/// Another master (`[multimaster/URL]`).
#[derive(Clone, Debug)]
pub struct OtherMaster {
    /// Its URL as the settings write it, and as who asks for it by `master_url` must write it.
    pub name: String,
    /// Its URL; or why it cannot be asked.
    pub url: Result<Url, String>,
    /// The instance there that asks; none to ask as a user.
    pub requester: Option<Requester>,
    /// The releases that are always requested there.
    pub releases: BTreeSet<String>,
}

/// The errands that run now, by master and title there.
#[derive(Default)]
pub(super) struct Errands(RefCell<BTreeMap<(String, String), Running>>);

struct Running {
    requester: Option<Requester>,
    count: usize,
}

/// As long as it lives, its errand counts.
pub(super) struct Pass {
    errands: Rc<Errands>,
    key: (String, String),
}

impl Errands {
    /// Begins an errand.
    ///
    /// # Errors
    /// 409 when the same title is on its way for somebody else, 503 when too many are on their way to that master.
    pub(super) fn enter(self: &Rc<Errands>, errand: Errand<'_>) -> Result<Pass, Refusal> {
        let key = (errand.master.to_owned(), errand.title.to_string());
        let mut running = self.0.borrow_mut();
        let from = (errand.master.to_owned(), String::new());
        let there = running.range(from..).take_while(|((master, _), _)| master == errand.master);
        if there.map(|(_, running)| running.count).sum::<usize>() >= ERRANDS_MAX {
            let message = format!("{ERRANDS_MAX} requests to {} wait for its answer already", errand.master);
            return Err(Refusal::new(503, message).hint("repeat the request"));
        }
        let requester = errand.requester.cloned();
        let entry = running.entry(key.clone()).or_insert(Running { requester: requester.clone(), count: 0 });
        if entry.requester != requester {
            return Err(taken(errand, "somebody else"));
        }
        entry.count += 1;
        Ok(Pass { errands: self.clone(), key })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut running = self.errands.0.borrow_mut();
        if let Some(entry) = running.get_mut(&self.key) {
            entry.count -= 1;
            if entry.count == 0 {
                running.remove(&self.key);
            }
        }
    }
}

impl Master {
    /// Asks `other` for what `command` asks for, in that state, and remembers it.
    pub(super) async fn forward(
        self: &Rc<Self>,
        other: &OtherMaster,
        command: &Command,
        state: Option<RequestedState>,
        via: String,
    ) -> Result<Forwarded, Refusal> {
        let Command::Request { title, requester, release, shared, .. } = command else {
            return Err(Refusal::new(500, "only a request can be passed on"));
        };
        let name = other.name.as_str();
        let url = other.url.clone().map_err(|reason| {
            Refusal::new(501, format!("the request would go to another master, {name}: {reason}"))
        })?;
        let title = title_elsewhere(title, requester.as_ref())
            .map_err(|error| Refusal::new(400, format!("the title at {name}: {error}")))?;
        let errand = Errand { master: name, title: &title, requester: requester.as_ref() };
        let _pass = self.errands.enter(errand)?;
        self.read(|connection| may_run(connection, errand))??;
        let client = SlapClient::at(self.env.clone(), url)
            .with_deadline(DEADLINE)
            .with_answer_bytes_max(ANSWER_BYTES_MAX)
            .with_via(via);
        let wish = wish_elsewhere(command, &title, state, other.requester.is_some())?;
        let asker = other.requester.as_ref().map(|it| (&it.computer, &it.partition));
        let answer = client.request_or_stand_in(asker, &wish).await;
        let gone = state == Some(RequestedState::Destroyed);
        let is_known_gone = gone && matches!(answer, Err(ClientError::NotFound(_)));
        // Of a stand-in nothing is there; slapproxy remembers it, for nobody.
        if matches!(answer, Ok(Requested::Instance(_))) || is_known_gone {
            let (master, requester) = (name.to_owned(), requester.clone());
            self.submit(Command::Forwarded { master, title: title.clone(), requester, gone }).await?;
        }
        match answer {
            Ok(requested) => {
                if matches!(requested, Requested::StandIn(_)) {
                    self.log.line(format_args!("{}: {name} stands in for it", command.describe()));
                }
                Ok(Forwarded {
                    master_url: name.to_owned(),
                    software_release: release.to_string(),
                    shared: *shared,
                    requested,
                })
            }
            Err(error) => {
                let refusal = refusal_of(name, &error);
                let (what, status) = (command.describe(), refusal.status);
                self.log.line(format_args!("{what}: refused with {status}: {refusal}"));
                Err(refusal)
            }
        }
    }

    /// The `Via` of what is passed on: that of the request, and this master. A request that this master passed on, or that came
    /// through many, is refused; also where it would not be passed on again, but as another one than it was.
    pub(super) fn via(&self, request: &Request) -> Result<String, Refusal> {
        let own = format!("1.1 slap-{}", self.run_id);
        let before = request.header_list("via");
        let hops: Vec<&str> = before.split(',').map(str::trim).filter(|hop| !hop.is_empty()).collect();
        if hops.contains(&own.as_str()) || hops.len() >= HOPS_MAX {
            let message = format!("the request came through {} others, perhaps in a circle", hops.len());
            return Err(Refusal::new(508, message).hint(
                "look at the sections [multimaster/URL] of the masters: one passes on what it was passed",
            ));
        }
        Ok(if before.is_empty() { own } else { format!("{before}, {own}") })
    }
}

/// What the other master is asked for: the same, but under another title. slapproxy tells it the title as `source_instance_id`, too,
/// unless a partition asks there.
fn wish_elsewhere(
    command: &Command,
    title: &InstanceTitle,
    state: Option<RequestedState>,
    by_partition: bool,
) -> Result<InstanceRequest, Refusal> {
    let Command::Request { release, software_type, parameters, filter, shared, .. } = command else {
        return Err(Refusal::new(500, "only a request can be passed on"));
    };
    let mut filter = filter.clone();
    if !by_partition {
        filter.insert("source_instance_id".to_owned(), title.to_string());
    }
    let parameters =
        instance_xml::decode(parameters).map_err(|error| Refusal::new(500, error.to_string()))?;
    Ok(InstanceRequest {
        software_release: release.clone(),
        software_type: software_type.clone(),
        title: title.clone(),
        parameters: parameters.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect(),
        filter,
        state,
        shared: *shared,
    })
}

/// What who asked is told. slapproxy answers 523 where the other master cannot be reached, and 500 to all that it refuses.
fn refusal_of(master: &str, error: &ClientError) -> Refusal {
    let (status, reason) = match error {
        ClientError::Offline { message, .. } => {
            return Refusal::new(503, format!("another master, {master}, does not answer: {message}"))
                .hint("repeat the request: what it did there, if anything, is done once");
        }
        ClientError::NotFound(message) => (404, message),
        ClientError::NotReady(message) => (408, message),
        ClientError::Refused { status: status @ (400 | 403 | 409 | 503 | 507 | 508), message } => {
            (*status, message)
        }
        ClientError::Refused { message, .. } | ClientError::Protocol(message) => (502, message),
    };
    Refusal::new(status, format!("another master, {master}, says: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errands_are_counted() {
        let errands = Rc::new(Errands::default());
        let titles: Vec<InstanceTitle> =
            (0..=ERRANDS_MAX).map(|number| format!("user_{number}").parse().unwrap()).collect();
        let errand = |title| Errand { master: "http://b/", title, requester: None };
        let mut passes: Vec<Pass> = titles[1..]
            .iter()
            .map(|title| errands.enter(errand(title)).unwrap_or_else(|_| panic!()))
            .collect();
        let status = |errand| errands.enter(errand).map(drop).map_err(|refusal| refusal.status);
        assert_eq!(status(errand(&titles[0])), Err(503));
        for master in ["http://a/", "http://c/"] {
            assert_eq!(status(Errand { master, ..errand(&titles[0]) }), Ok(()), "others do not wait for it");
        }
        passes.pop();
        let somebody =
            Requester { computer: "COMP-1".parse().unwrap(), partition: "slappart0".parse().unwrap() };
        let somebody = Errand { requester: Some(&somebody), ..errand(&titles[1]) };
        assert_eq!(status(somebody), Err(409));
        assert_eq!(status(errand(&titles[1])), Ok(()), "who asks twice is not refused");
        passes.clear();
        assert_eq!(status(somebody), Ok(()));
        assert!(errands.0.borrow().is_empty());
    }

    #[test]
    fn what_another_master_refuses_is_told() {
        let no = || "no".to_owned();
        for (error, expected) in [
            (ClientError::Offline { message: no(), hint: String::new() }, 503),
            (ClientError::NotFound(no()), 404),
            (ClientError::NotReady(no()), 408),
            (ClientError::Refused { status: 409, message: no() }, 409),
            (ClientError::Refused { status: 401, message: no() }, 502),
            (ClientError::Refused { status: 500, message: no() }, 502),
            (ClientError::Protocol(no()), 502),
        ] {
            let refusal = refusal_of("http://a/", &error);
            assert_eq!(refusal.status, expected, "{error:?}");
            assert!(refusal.message.contains("http://a/") && refusal.message.contains("no"), "{refusal}");
        }
    }
}
