//! Endpoints that change something: from arguments to a command, from its answer to a document.

use super::{
    Master,
    decisions::{Answer, Command, FormattedPartition, InstanceReport, Refusal, ReleaseReport, Requester},
    form::Form,
    readable, render,
    wishes::Granted,
};
use crate::{
    vocabulary::{ComputerId, PartitionId, RequestedState, SharedReference},
    wire::{
        configuration::FormattedComputer,
        http::server::{Request, Response},
        instance_xml,
        marshal::{self, Value, is_xml},
    },
};
use std::{collections::BTreeMap, rc::Rc};

impl Master {
    /// Answers an endpoint that is asked with POST.
    pub(super) async fn act(
        self: &Rc<Self>,
        endpoint: &str,
        form: &Form,
        asked: &Request,
    ) -> Result<Response, Refusal> {
        let command = match endpoint {
            "requestComputerPartition" => {
                let granted = self.wish(request(form)?, asked).await?;
                let response = document(&readable(render::granted(&granted))?);
                if let Granted::Given(_, commits) = granted {
                    self.keep_answer(commits, asked, &response);
                }
                return Ok(response);
            }
            "supplySupply" => Command::Supply {
                computer: form.parsed("computer_id")?,
                url: form.parsed("url")?,
                state: form.parsed("state")?,
            },
            "loadComputerConfigurationFromXML" => format(form)?,
            "buildingSoftwareRelease" => report_release(form, ReleaseReport::Building)?,
            "availableSoftwareRelease" => report_release(form, ReleaseReport::Available)?,
            "softwareReleaseError" => {
                report_release(form, ReleaseReport::Error { log: text(form, "error_log") })?
            }
            "destroyedSoftwareRelease" => report_release(form, ReleaseReport::Destroyed)?,
            "startedComputerPartition" => report_instance(form, InstanceReport::Started)?,
            "stoppedComputerPartition" => report_instance(form, InstanceReport::Stopped)?,
            "softwareInstanceError" => {
                report_instance(form, InstanceReport::Error { log: text(form, "error_log") })?
            }
            "softwareInstanceBang" => {
                report_instance(form, InstanceReport::Bang { message: text(form, "message") })?
            }
            "destroyedComputerPartition" => report_instance(form, InstanceReport::Destroyed)?,
            "setComputerPartitionConnectionXml" => {
                let (computer, partition) = partition(form)?;
                let slave_reference = slave_reference(form)?;
                let document = instance_xml::encode(&form.published("connection_xml")?);
                Command::Publish { computer, partition, slave_reference, document }
            }
            "softwareInstanceRename" => {
                let (computer, partition) = partition(form)?;
                let (slave_reference, title) = (slave_reference(form)?, form.parsed("new_name")?);
                Command::Rename { computer, partition, slave_reference, title }
            }
            "computerBang" => {
                let computer = form.parsed("computer_id")?;
                Command::BangComputer { computer, message: text(form, "message") }
            }
            _ => return self.acknowledge(endpoint, form),
        };
        self.mark_contact(&command);
        match self.submit(command).await? {
            Answer::Text(_) if endpoint == "computerBang" => Ok(document(&Value::text(""))),
            Answer::Text(text) => Ok(Response::text(200, text)),
            Answer::Given(given) => Ok(document(&readable(render::given(&given))?.to_value())),
        }
    }

    /// What is taken and changes nothing.
    fn acknowledge(&self, endpoint: &str, form: &Form) -> Result<Response, Refusal> {
        match endpoint {
            // Usage reports; slapproxy ignores them too.
            "useComputer" => {
                form.parsed::<ComputerId>("computer_id")?;
                form.required("use_string")?;
                Ok(Response::text(200, "Ignored"))
            }
            // The real master never unlinks anything because of it (testSlapOSSlapTool, `test_updateInstanceSuccessorList`);
            // what links is the request.
            "updateComputerPartitionRelatedInstanceList" => {
                let (computer, partition) = partition(form)?;
                self.require_partition(&computer, &partition)?;
                let list = form.marshalled("instance_reference_xml")?;
                if list.as_items().is_none() && list != Value::None {
                    let reason = format!("it is {}: expected a list", list.kind());
                    return Err(form.bad("instance_reference_xml", &reason));
                }
                Ok(Response::text(200, "done"))
            }
            other => Err(Refusal::new(404, format!("there is no endpoint {other}"))),
        }
    }

    /// Reports of a node are signs of life of it.
    pub(super) fn mark_contact(&self, command: &Command) {
        let (Command::ReportRelease { computer, .. }
        | Command::ReportInstance { computer, .. }
        | Command::Publish { computer, .. }) = command
        else {
            return;
        };
        // Of a computer that never read anything, nothing is kept: anybody may name one.
        let is_known = self.contacts.borrow().contains_key(computer);
        if is_known {
            self.contact(computer);
        }
    }
}

/// A marshalled answer.
pub(super) fn document(value: &Value) -> Response {
    Response::new(200, "text/xml; charset=utf-8", marshal::encode(value))
}

fn request(form: &Form) -> Result<Command, Refusal> {
    let title = form.parsed("partition_reference")?;
    let requester = requester(form)?;
    let shared = form.marshalled("shared_xml")?.is_true();
    let state = match form.marshalled("state")? {
        Value::None => None,
        Value::Text(text) if text.is_empty() => None,
        Value::Text(text) => Some(text.parse::<RequestedState>().map_err(|error| form.bad("state", &error))?),
        other => return Err(form.bad("state", &format!("it is {}: expected text", other.kind()))),
    };
    let mut filter = BTreeMap::new();
    for (key, value) in form.parameters("filter_xml")? {
        filter.insert(key, value.unwrap_or_default());
    }
    // Old clients send none as the text "None" (slapos/slap/hateoas.py, ConnectionHelper.do_request).
    let software_type = match form.required("software_type")? {
        "None" => String::new(),
        software_type => checked_type(form, software_type)?,
    };
    Ok(Command::Request {
        title,
        release: form.parsed("software_release")?,
        software_type,
        parameters: instance_xml::encode(&form.parameters("partition_parameter_xml")?),
        filter,
        state,
        requester,
        shared,
    })
}

/// Who asks: the instance in a partition, or a user. Half a partition is nobody.
fn requester(form: &Form) -> Result<Option<Requester>, Refusal> {
    let names = ["computer_id", "computer_partition_id"];
    match names.map(|name| form.optional(name).is_some()) {
        [false, false] => Ok(None),
        [true, true] => {
            let (computer, partition) = partition(form)?;
            Ok(Some(Requester { computer, partition }))
        }
        [has_computer, _] => {
            let missing = names[usize::from(has_computer)];
            Err(form
                .bad(missing, &"it is missing: a request by a partition names both it and its computer")
                .hint("a user's request names neither"))
        }
    }
}

fn checked_type(form: &Form, software_type: &str) -> Result<String, Refusal> {
    check_type(software_type).map_err(|reason| form.bad("software_type", &reason))?;
    Ok(software_type.to_owned())
}

/// What a software type may be.
pub(super) fn check_type(software_type: &str) -> Result<(), &'static str> {
    if software_type.chars().count() > 512 || software_type.chars().any(|it| it.is_control() || !is_xml(it)) {
        return Err("expected at most 512 characters without control characters, U+FFFE and U+FFFF");
    }
    Ok(())
}

fn format(form: &Form) -> Result<Command, Refusal> {
    form.required("xml")?;
    let value = form.marshalled("xml")?;
    let computer = FormattedComputer::from_value(&value).map_err(|error| form.bad("xml", &error))?;
    let partitions = computer
        .partitions
        .iter()
        .map(|partition| {
            let interface = partition.interface_name();
            let addresses = partition.addresses.iter();
            FormattedPartition {
                reference: partition.partition_id.clone(),
                addresses: addresses
                    .map(|item| (interface.to_owned(), item.address.clone(), item.netmask.clone()))
                    .collect(),
            }
        })
        .collect();
    Ok(Command::Format {
        computer: computer.computer_id,
        address: computer.address.unwrap_or_default(),
        netmask: computer.netmask.unwrap_or_default(),
        partitions,
    })
}

fn report_release(form: &Form, report: ReleaseReport) -> Result<Command, Refusal> {
    Ok(Command::ReportRelease { computer: form.parsed("computer_id")?, url: form.parsed("url")?, report })
}

fn report_instance(form: &Form, report: InstanceReport) -> Result<Command, Refusal> {
    let (computer, partition) = partition(form)?;
    let slave_reference = slave_reference(form)?;
    let about = match form.optional("timestamp").filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(render::microseconds(text).ok_or_else(|| {
            form.bad("timestamp", &"expected the timestamp of the partition, such as 1700000000.123456")
        })?),
    };
    Ok(Command::ReportInstance { computer, partition, slave_reference, report, about })
}

/// The partition that a request is about.
fn partition(form: &Form) -> Result<(ComputerId, PartitionId), Refusal> {
    Ok((form.parsed("computer_id")?, form.parsed("computer_partition_id")?))
}

/// The shared instance that a request is about. Clients write the partition's own instance as nothing, or as Python's None.
fn slave_reference(form: &Form) -> Result<Option<SharedReference>, Refusal> {
    match form.optional("slave_reference") {
        None | Some("" | "None") => Ok(None),
        Some(_) => Ok(Some(form.parsed("slave_reference")?)),
    }
}

fn text(form: &Form, name: &str) -> String {
    form.optional(name).unwrap_or_default().to_owned()
}
