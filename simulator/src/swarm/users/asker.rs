//! Somebody who asks the master by either wire, or for its pages, and knows what is always the same.

use super::{PATIENCE, rpc};
use crate::swarm::{
    cloud::Cloud,
    history::{History, Outcome},
    told::Told,
};
use serde_json::{Value as Json, json};
use slap_impl::{
    client::ClientError,
    env::Env,
    vocabulary::PartitionId,
    wire::http::client::{self as http, Request, Response},
};
use std::fmt::{Debug, Display};

/// The rule that is broken when what is always the same is told otherwise than it is documented.
pub(in crate::swarm) const RULE: &str = "told-as-documented";

/// Somebody who asks.
pub(super) struct Asker<'a> {
    pub(super) cloud: &'a Cloud,
    pub(super) env: &'a Env,
    pub(super) history: &'a History,
    pub(super) user: u32,
}

/// What was told; or what came of it otherwise.
pub(super) type Answered = Result<Told, Outcome>;

impl Asker<'_> {
    pub(super) async fn rpc(&self, method: &str, document: Json) -> Result<Json, Outcome> {
        rpc::call(self.cloud, self.env, method, &document).await
    }

    pub(super) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Response, Outcome> {
        let url = format!("{}{path}", self.cloud.master_url()).parse().expect("the URL is good");
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let request = Request { headers: headers.collect(), deadline: PATIENCE, ..Request::get(url) };
        answered(http::send(self.env, request).await)
    }

    pub(super) async fn post(&self, path: &str, fields: &[(&str, String)]) -> Result<Response, Outcome> {
        let url = format!("{}{path}", self.cloud.master_url()).parse().expect("the URL is good");
        let request = Request::post_form(url, fields.iter().map(|(name, value)| (*name, value.as_str())));
        answered(http::send(self.env, Request { deadline: PATIENCE, ..request }).await)
    }

    pub(super) async fn json(&self, path: &str) -> Result<Json, Outcome> {
        let found = self.get(path, &[]).await?;
        serde_json::from_slice(&found.body)
            .map_err(|error| Outcome::Unknown(format!("{path}: the answer is no JSON: {error}")))
    }

    /// What was told, which must be that.
    pub(super) fn is_said<T: PartialEq + Debug>(
        &self,
        what: &str,
        found: T,
        expected: &T,
        told: Told,
    ) -> Told {
        if found == *expected {
            return told;
        }
        self.wrong(what, format_args!("{found:?}, where it is {expected:?}"))
    }

    pub(super) fn wrong(&self, what: &str, found: impl Display) -> Told {
        let found = format!("{what} is told to be {found}");
        self.cloud.world.trace().alarm(RULE, format_args!("user {}", self.user), found);
        Told::AsDocumented
    }
}

pub(super) fn name(partition: u32) -> PartitionId {
    format!("slappart{partition}").parse().expect("it is a reference")
}

pub(super) fn done(title: &str) -> Json {
    json!({ "title": title, "type": "success" })
}

pub(super) fn no_certificate() -> Json {
    json!({ "certificate": "", "key": "" })
}

pub(super) fn text(response: &Response) -> String {
    String::from_utf8_lossy(&response.body).into_owned()
}

/// What is not there is told by a refusal, over JSON-RPC with 403.
pub(super) fn or_nothing(answered: Answered) -> Answered {
    match answered {
        Err(Outcome::Refused { status: 403 | 404, .. }) => Ok(Told::Nothing),
        other => other,
    }
}

pub(super) fn no_answer(error: ClientError) -> Outcome {
    Outcome::of(Err(error))
}

fn answered(result: Result<Response, http::HttpError>) -> Result<Response, Outcome> {
    match result {
        Ok(response) if response.is_success() => Ok(response),
        Ok(response) => Err(Outcome::Refused { status: response.status, message: text(&response) }),
        Err(error) => Err(Outcome::Unknown(error.to_string())),
    }
}
