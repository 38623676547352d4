//! What users want of a master (slapos/slap/slap.py, `Supply` and `OpenOrder`; slapos/slap/hateoas.py).

use super::{ClientError, SlapClient, document, protocol};
use crate::{
    vocabulary::{ComputerId, InstanceTitle, PartitionId, RequestedState, SoftwareUrl, SupplyState},
    wire::{
        hateoas::{ComputerInformation, Links, Query, Row, Service, parse_rows},
        http::client::{HttpError, Request, Response, Url},
        marshal::{Value, encode},
        objects::{Requested, SoftwareInstance},
        uri_template::{Variable, expand},
    },
};
use serde::Deserialize;
use serde_json::Value as Json;
use std::{collections::BTreeMap, time::Duration};

/// A wish for an instance. To wish again changes the instance of that title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceRequest {
    /// Of what.
    pub software_release: SoftwareUrl,
    /// Which of the release's types, such as `default`.
    pub software_type: String,
    /// The instance's name.
    pub title: InstanceTitle,
    /// Its parameters.
    pub parameters: BTreeMap<String, String>,
    /// Where, such as `computer_guid`.
    pub filter: BTreeMap<String, String>,
    /// What is wanted of it; none leaves it as it is, and starts a new one.
    pub state: Option<RequestedState>,
    /// Whether it shall be a shared ("slave") instance.
    pub shared: bool,
}

/// Committed changes, as our master tells them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Events {
    /// Which database they are from.
    pub database: String,
    /// The number of the oldest that is kept; 0 without any.
    pub oldest: i64,
    /// The number of the newest.
    pub newest: i64,
    /// Those that were asked for, or the first of them: `sequence`, `time`, `who`, `what`, `command`, `answer`.
    pub events: Vec<Json>,
    /// Whether the master waits for a change when it is asked to.
    #[serde(skip)]
    pub waits: bool,
}

impl SlapClient {
    /// What was committed after the change of the number `since`. With `wait`, an answer that would be empty is held so long. Only our
    /// master serves it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn events(&self, since: i64, wait: Option<Duration>) -> Result<Events, ClientError> {
        let mut request = self.get_request("events", &[("since", &since.to_string())])?;
        if let Some(wait) = wait {
            request.headers.push(("prefer".to_owned(), format!("wait={}", wait.as_secs())));
            request.deadline += wait;
        }
        let response = self.send(request).await?;
        let waits = super::node::waits(&response);
        let events: Events = serde_json::from_slice(&response.body).map_err(protocol)?;
        Ok(Events { waits, ..events })
    }

    /// Wants a software release built on a computer, or removed from it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn supply(
        &self,
        url: &SoftwareUrl,
        computer: &ComputerId,
        state: SupplyState,
    ) -> Result<(), ClientError> {
        let fields = [("url", url.as_str()), ("computer_id", computer.as_str()), ("state", state.as_str())];
        self.tell("supplySupply", &fields).await
    }

    /// Wants an instance, as a user.
    ///
    /// # Errors
    /// [`ClientError::NotReady`] when the master takes the wish and has not given it a partition yet, and the others.
    pub async fn request(&self, wish: &InstanceRequest) -> Result<SoftwareInstance, ClientError> {
        let response = self.post_request(wish, &[]).await?;
        SoftwareInstance::from_value(&document(&response)?).map_err(protocol)
    }

    /// Wants an instance, as the instance in a partition.
    ///
    /// # Errors
    /// As [`SlapClient::request`].
    pub async fn request_from(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        wish: &InstanceRequest,
    ) -> Result<SoftwareInstance, ClientError> {
        let response = self.post_request(wish, &by_partition(computer, partition)).await?;
        SoftwareInstance::from_value(&document(&response)?).map_err(protocol)
    }

    /// Wants an instance, and takes a stand-in for it: as the instance in a partition, or else as a user.
    ///
    /// # Errors
    /// As [`SlapClient::request`].
    pub async fn request_or_stand_in(
        &self,
        requester: Option<(&ComputerId, &PartitionId)>,
        wish: &InstanceRequest,
    ) -> Result<Requested, ClientError> {
        let response = match requester {
            Some((computer, partition)) => {
                self.post_request(wish, &by_partition(computer, partition)).await?
            }
            None => self.post_request(wish, &[]).await?,
        };
        Requested::from_value(&document(&response)?).map_err(protocol)
    }

    async fn post_request(
        &self,
        wish: &InstanceRequest,
        requester: &[(&str, &str)],
    ) -> Result<Response, ClientError> {
        let dictionary = |items: &BTreeMap<String, String>| {
            encode(&Value::dictionary(items.iter().map(|(key, value)| (key.clone(), Value::text(value)))))
        };
        let (parameters, filter) = (dictionary(&wish.parameters), dictionary(&wish.filter));
        let state = encode(&Value::optional(wish.state.map(RequestedState::as_str)));
        let shared = encode(&Value::Bool(wish.shared));
        let mut fields = vec![
            ("software_release", wish.software_release.as_str()),
            ("software_type", &wish.software_type),
            ("partition_reference", wish.title.as_str()),
            ("partition_parameter_xml", &parameters),
            ("filter_xml", &filter),
            ("state", &state),
            ("shared_xml", &shared),
        ];
        fields.extend_from_slice(requester);
        self.post("requestComputerPartition", &fields).await
    }

    /// The URLs of a software product's releases, the best first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn releases_of_product(&self, product: &str) -> Result<Vec<String>, ClientError> {
        let arguments = [("software_product_reference", product)];
        let response = self.get("getSoftwareReleaseListFromSoftwareProduct", &arguments).await?;
        let list = document(&response)?;
        let items = list.as_items().ok_or_else(|| protocol(format!("{} instead of a list", list.kind())))?;
        Ok(items.iter().filter_map(|item| item.as_text().map(str::to_owned)).collect())
    }

    /// All services (instance trees) of the user.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn services(&self) -> Result<Vec<Row>, ClientError> {
        self.search(&Query::Services(None), &["title", "url_string"]).await
    }

    /// One service.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] when there is none of that title, and the others.
    pub async fn service_information(&self, title: &str) -> Result<Service, ClientError> {
        // A title with a quote in it cannot stand in a query.
        let query = Query::Services((!title.contains('"')).then(|| title.to_owned()));
        let rows = self.search(&query, &["title", "relative_url"]).await?;
        let row = rows.into_iter().find(|row| row.title == title);
        let row = row.ok_or_else(|| ClientError::NotFound(format!("there is no service {title:?}")))?;
        Service::parse(&self.traverse(&row.relative_url).await?).map_err(protocol)
    }

    /// All computers.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn computers(&self) -> Result<Vec<Row>, ClientError> {
        self.search(&Query::Computers(None), &["title", "reference"]).await
    }

    /// One computer.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] when there is none of that reference, and the others.
    pub async fn computer_information(&self, reference: &str) -> Result<ComputerInformation, ClientError> {
        let query = Query::Computers((!reference.contains('"')).then(|| reference.to_owned()));
        let rows = self.search(&query, &["reference", "relative_url"]).await?;
        let row = rows.into_iter().find(|row| row.reference.as_deref() == Some(reference));
        let row = row.ok_or_else(|| ClientError::NotFound(format!("there is no computer {reference:?}")))?;
        ComputerInformation::parse(&self.traverse(&row.relative_url).await?).map_err(protocol)
    }

    async fn search(&self, query: &Query, select: &[&str]) -> Result<Vec<Row>, ClientError> {
        let links = self.links().await?;
        let text = query.to_text();
        let variables = [
            ("query", Variable::Text(&text)),
            ("select_list", Variable::List(select)),
            // The real master shows 10 without it.
            ("limit", Variable::Text("10000")),
        ];
        parse_rows(&self.json(&self.resolve(&expand(&links.search, &variables))?).await?).map_err(protocol)
    }

    async fn traverse(&self, relative_url: &str) -> Result<serde_json::Value, ClientError> {
        let links = self.links().await?;
        let variables =
            [("relative_url", Variable::Text(relative_url)), ("view", Variable::Text("slaposjs_view"))];
        self.json(&self.resolve(&expand(&links.traverse, &variables))?).await
    }

    /// The templates for searching, which are asked for once.
    async fn links(&self) -> Result<Links, ClientError> {
        if let Some(links) = self.links.borrow().clone() {
            return Ok(links);
        }
        let links = Links::parse(&self.json(&self.hateoas_url().await?).await?).map_err(protocol)?;
        self.links.replace(Some(links.clone()));
        Ok(links)
    }

    /// Where hateoas begins: as set, as the master says, or else where slapproxy has it.
    async fn hateoas_url(&self) -> Result<Url, ClientError> {
        if let Some(url) = &self.hateoas {
            return Ok(url.clone());
        }
        match self.get("getHateoasUrl", &[]).await {
            Ok(response) => self.resolve(String::from_utf8_lossy(&response.body).trim()),
            Err(ClientError::NotFound(_)) => self.resolve("hateoas/"),
            Err(error) => Err(error),
        }
    }

    fn resolve(&self, reference: &str) -> Result<Url, ClientError> {
        self.master.join(reference).map_err(|error| HttpError::from(error).into())
    }

    async fn json(&self, url: &Url) -> Result<serde_json::Value, ClientError> {
        let response = self.send(Request { deadline: self.deadline, ..Request::get(url.clone()) }).await?;
        serde_json::from_slice(&response.body).map_err(|error| protocol(format!("{url}: {error}")))
    }
}

/// What tells that the instance in a partition asks.
fn by_partition<'a>(computer: &'a ComputerId, partition: &'a PartitionId) -> [(&'static str, &'a str); 2] {
    [("computer_id", computer.as_str()), ("computer_partition_id", partition.as_str())]
}
