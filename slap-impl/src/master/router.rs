//! Which request goes where.

use super::{Master, decisions::Refusal, form::Form, hateoas, rpc};
use crate::{
    env::LocalFuture,
    wire::http::server::{Handler, Request, Response},
};
use std::rc::Rc;

/// What the path's first segment names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Get,
    Post,
}

/// The endpoints, and how each is asked (slapos/proxy/slap_tool.py; the rest of them as the real master has them).
const ENDPOINTS: [(&str, Method); 29] = [
    ("availableSoftwareRelease", Method::Post),
    ("buildingSoftwareRelease", Method::Post),
    ("computerBang", Method::Post),
    ("destroyedComputerPartition", Method::Post),
    ("destroyedSoftwareRelease", Method::Post),
    ("events", Method::Get),
    ("getComputerInformation", Method::Get),
    ("getComputerPartitionCertificate", Method::Get),
    ("getComputerPartitionStatus", Method::Get),
    ("getComputerStatus", Method::Get),
    ("getFullComputerInformation", Method::Get),
    ("getHateoasUrl", Method::Get),
    ("getHostingSubscriptionIpList", Method::Get),
    ("getRunId", Method::Get),
    ("getSoftwareInstallationStatus", Method::Get),
    ("getSoftwareReleaseListFromSoftwareProduct", Method::Get),
    ("loadComputerConfigurationFromXML", Method::Post),
    ("registerComputerPartition", Method::Get),
    ("requestComputerPartition", Method::Post),
    ("setComputerPartitionConnectionXml", Method::Post),
    ("softwareInstanceBang", Method::Post),
    ("softwareInstanceError", Method::Post),
    ("softwareInstanceRename", Method::Post),
    ("softwareReleaseError", Method::Post),
    ("startedComputerPartition", Method::Post),
    ("stoppedComputerPartition", Method::Post),
    ("supplySupply", Method::Post),
    ("updateComputerPartitionRelatedInstanceList", Method::Post),
    ("useComputer", Method::Post),
];

/// The endpoint whose answers are kept.
const REQUEST: &str = "requestComputerPartition";

/// What other masters serve and this one does not.
const ELSEWHERE: [(&str, &str); 7] = [
    ("generateComputerCertificate", "this master has no certificates: every node on its network is trusted"),
    ("http_proxy", "relaying other servers' pages is not served here"),
    ("panel", "there is no panel here: use `slap service list` and `slap computer list`"),
    ("requestComputer", "a computer registers itself here with `slap node format`"),
    ("requestComputerNetwork", "computer networks are not served here"),
    ("revokeComputerCertificate", "this master has no certificates: every node on its network is trusted"),
    ("shacache", "the binary cache is not served here"),
];

impl Handler for Master {
    fn handle(self: Rc<Self>, request: Request) -> LocalFuture<'static, Response> {
        // Each future is moved when it is boxed, and is as long as the longest way through it: the long ways have boxes of their own.
        Box::pin(async move { self.route(request).await })
    }
}

impl Master {
    async fn route(self: &Rc<Self>, mut request: Request) -> Response {
        if request.method == "HEAD" {
            request.method = "GET".to_owned();
        }
        let answer = match request.path.trim_start_matches('/') {
            "" if request.method == "GET" => Ok(self.welcome()),
            path if path == "hateoas" || path.starts_with("hateoas/") => hateoas::answer(self, &request),
            path if path.starts_with(rpc::PREFIX) => {
                return Box::pin(self.rpc(path.trim_end_matches('/'), &request)).await;
            }
            path => self.endpoint(path.trim_end_matches('/'), &request).await,
        };
        answer.unwrap_or_else(|refusal| refused(&refusal))
    }

    async fn endpoint(self: &Rc<Self>, path: &str, request: &Request) -> Result<Response, Refusal> {
        let Ok(place) = ENDPOINTS.binary_search_by_key(&path, |(name, _)| name) else {
            let first = path.split(['/', '.']).next().unwrap_or_default();
            return Err(match ELSEWHERE.iter().find(|(name, _)| *name == first) {
                Some((name, reason)) => Refusal::new(501, format!("{name}: {reason}")),
                None => {
                    let shown: String = path.chars().take(80).collect();
                    Refusal::new(404, format!("this master has nothing at /{shown}")).hint(
                        "names are exact: getFullComputerInformation, requestComputerPartition, hateoas/",
                    )
                }
            });
        };
        let (name, method) = ENDPOINTS[place];
        let expected = match method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        if request.method != expected {
            let refusal =
                Refusal::new(405, format!("{name} is asked with {expected}, not {}", request.method));
            return Ok(refused(&refusal).header("allow", expected));
        }
        if name == REQUEST
            && let Some(response) = self.answered_before(request)
        {
            return Ok(response);
        }
        let form = Form::read(request, name)?;
        match method {
            Method::Get => Box::pin(self.answer(name, &form, request)).await,
            Method::Post => Box::pin(self.act(name, &form, request)).await,
        }
    }

    fn welcome(&self) -> Response {
        Response::text(
            200,
            format!(
                "slap {}: a SlapOS master.\nhateoas/ for users' clients; \
                getFullComputerInformation, requestComputerPartition, supplySupply and others for slapos.slap.\n",
                env!("CARGO_PKG_VERSION")
            ),
        )
    }
}

/// A refusal as an answer: the reason in plain text.
pub(super) fn refused(refusal: &Refusal) -> Response {
    let response = Response::text(refusal.status, format!("{refusal}\n"));
    if refusal.status == 503 { response.header("retry-after", "1") } else { response }
}

/// The names of all endpoints.
#[cfg(test)]
pub(super) fn endpoints() -> impl Iterator<Item = &'static str> {
    ENDPOINTS.into_iter().map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_sorted() {
        assert!(ENDPOINTS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
