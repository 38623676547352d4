//! What users look at: over either wire and the pages. What is always the same is held against the
//! documentation here; the rest goes into the history.

use super::{
    asker::{Answered, Asker, name, no_answer, no_certificate, or_nothing, text},
    client, computer, guid, title,
};
use crate::swarm::{
    cloud::product,
    history::{Answer, Outcome},
    script::Look,
    told::{Page, Report, Told, life},
};
use serde_json::{Value as Json, json};
use slap_impl::wire::{
    hateoas::{ComputerInformation, Query, Service, computer_path, parse_rows, service_path},
    marshal,
    status::AccessStatus,
    uri_template,
};
use std::time::Duration;

/// Does what the script says.
pub(super) async fn look(asker: &Asker<'_>, look: Look) -> Outcome {
    match asker.look(look).await {
        Ok(told) => Outcome::Answer(Answer::Told(told)),
        Err(outcome) => outcome,
    }
}

impl Asker<'_> {
    async fn look(&self, look: Look) -> Answered {
        match look {
            Look::Computers => {
                let found = self.rpc("slapos.allDocs.WIP.compute_node_list", json!({})).await?;
                let rows = found["result_list"].as_array().into_iter().flatten();
                let names = rows.filter_map(|row| row["computer_guid"].as_str().map(str::to_owned));
                Ok(Told::Computers(names.collect()))
            }
            Look::Computer { node } => self.computer_page(node).await,
            Look::ComputerStatus { node, rpc } => self.computer_status(node, rpc).await,
            Look::Partition { node, partition } => {
                let document =
                    json!({ "computer_guid": computer(node), "compute_partition_id": name(partition) });
                let found = self.rpc("slapos.get.v0.compute_partition", document).await;
                or_nothing(found.map(|found| Told::Tenant(Box::new(found))))
            }
            Look::PartitionStatus { node, partition } => {
                let client = client(self.cloud, self.env);
                let status = client.partition_status(&computer(node), &name(partition)).await;
                or_nothing(status.map(|status| Told::Report(Report::of(&status))).map_err(no_answer))
            }
            Look::Certificate { title: number } => {
                let document = json!({ "instance_guid": guid(&title(number)) });
                let found = self.rpc("slapos.get.v0.software_instance_certificate", document).await;
                or_nothing(
                    found.map(|found| {
                        self.is_said("a certificate", found, &no_certificate(), Told::Something)
                    }),
                )
            }
            Look::Hosted { title: number } => {
                let document = json!({ "instance_guid": guid(&title(number)) });
                let found = self.rpc("slapos.allDocs.v0.instance_node_instance_list", document).await;
                or_nothing(found.map(|_| Told::Something))
            }
            Look::Shared { title: number } => {
                let found = self.json(&service_path(&title(number), true)).await;
                or_nothing(found.map(|found| match Service::parse(&found) {
                    Ok(shared) if shared.shared && shared.reference == title(number) => Told::AsDocumented,
                    other => self.wrong("the page of a shared instance", format_args!("{other:?}")),
                }))
            }
            Look::Search { title: number } => self.search(&title(number)).await,
            Look::StandIn { screen, rpc } => self.stand_in(screen, rpc).await,
            Look::Events { again, wait } => self.events(again, wait).await,
            Look::Wait { .. } => Err(Outcome::Unknown("only commands wait".to_owned())),
            Look::PartitionCertificate { node, partition } => {
                self.partition_certificate(node, partition).await
            }
            Look::Addresses { node, partition } => self.addresses(node, partition).await,
            Look::Releases { .. } | Look::HateoasUrl { .. } | Look::FirstPage | Look::RunId => {
                self.what_is_fixed(look).await
            }
        }
    }

    /// What does not change while a master runs.
    async fn what_is_fixed(&self, look: Look) -> Answered {
        let base = self.cloud.master_url();
        match look {
            Look::Releases { release, by_url } => {
                let url = self.cloud.release_url(release);
                let found = if by_url {
                    let path =
                        format!("/getSoftwareReleaseListFromSoftwareProduct?software_release_url={url}");
                    let body = self.get(&path, &[]).await?.body;
                    list(&body).map_err(|error| Outcome::Unknown(error.to_string()))?
                } else {
                    client(self.cloud, self.env)
                        .releases_of_product(&product(release))
                        .await
                        .map_err(no_answer)?
                };
                Ok(self.is_said("the releases of a product", found, &vec![url], Told::AsDocumented))
            }
            Look::HateoasUrl { rpc: true } => {
                let found = self.rpc("slapos.get.v0.hateoas_url", json!({})).await?;
                let expected = json!({ "hateoas_url": format!("{base}/hateoas/") });
                Ok(self.is_said("where pages begin", found, &expected, Told::AsDocumented))
            }
            Look::HateoasUrl { rpc: false } => {
                // As a reverse proxy asks for it.
                let headers = [("x-forwarded-proto", "https"), ("x-forwarded-prefix", "/slap/")];
                let found = self.get("/getHateoasUrl", &headers).await?;
                let expected = format!("{}/slap/hateoas/", base.replace("http://", "https://"));
                Ok(self.is_said("where pages begin", text(&found), &expected, Told::AsDocumented))
            }
            Look::FirstPage => {
                let found = text(&self.get("/", &[]).await?);
                let is_it = found.starts_with("slap ") && found.contains("a SlapOS master");
                Ok(if is_it {
                    Told::AsDocumented
                } else {
                    self.wrong("the first page", format_args!("{found:?}"))
                })
            }
            _ => {
                let before = life(self.cloud);
                let id = client(self.cloud, self.env).run_id().await.map_err(no_answer)?;
                Ok(Told::RunId { id, life: before.filter(|before| life(self.cloud) == Some(*before)) })
            }
        }
    }

    async fn computer_page(&self, node: u32) -> Answered {
        let reference = computer(node).to_string();
        let page = self.json(&computer_path(&reference)).await;
        let page = match page {
            Ok(page) => page,
            Err(outcome) => return or_nothing(Err(outcome)),
        };
        let found = ComputerInformation::parse(&page).map_err(|error| Outcome::Unknown(error.to_string()))?;
        let Some(news) = found.news.filter(|_| found.reference == reference) else {
            return Ok(self.wrong("a computer's page", format_args!("{page}")));
        };
        let partitions = news["partition"].as_object().into_iter().flatten();
        let report = |status: &Json| Report::of(&AccessStatus::from_json(status));
        let releases = news["software"].as_object().into_iter().flatten();
        Ok(Told::Computer {
            partitions: partitions.map(|(name, status)| (name.clone(), report(status))).collect(),
            releases: releases.map(|(url, _)| url.clone()).collect(),
        })
    }

    async fn computer_status(&self, node: u32, is_rpc: bool) -> Answered {
        let reference = computer(node);
        let status = if is_rpc {
            let document = json!({ "computer_guid": reference });
            let found = self.rpc("slapos.get.v0.compute_node_status", document).await;
            found.map(|found| AccessStatus::from_json(&found))
        } else {
            client(self.cloud, self.env).computer_status(&reference).await.map_err(no_answer)
        };
        or_nothing(status.map(|status| {
            let who = (status.reference.as_str(), status.portal_type.as_str());
            if who != (reference.as_str(), "Compute Node") {
                return self.wrong("a computer's status", format_args!("{status:?}"));
            }
            Told::Heard((!status.no_data).then_some(status.text))
        }))
    }

    async fn search(&self, title: &str) -> Answered {
        let query = Query::Services(Some(title.to_owned())).to_text();
        let path = format!("/hateoas/?mode=search&query={}", uri_template::encode(&query));
        let found = self.json(&path).await?;
        let rows = parse_rows(&found).map_err(|error| Outcome::Unknown(error.to_string()))?;
        Ok(match &rows[..] {
            [] => Told::Nothing,
            [row] if row.title == title => Told::Found(row.url_string.clone().unwrap_or_default()),
            _ => self.wrong("a search", format_args!("{rows:?}")),
        })
    }

    async fn events(&self, again: bool, wait: u64) -> Answered {
        let since = if again { self.history.cursor(self.user) } else { 0 };
        let wait = (wait > 0).then(|| Duration::from_secs(wait));
        let found = client(self.cloud, self.env).events(since, wait).await.map_err(no_answer)?;
        let ends = Some((found.database, found.oldest, found.newest));
        Ok(Told::Events(Box::new(Page { since, ends, events: found.events, is_cut: false })))
    }

    async fn partition_certificate(&self, node: u32, partition: u32) -> Answered {
        let path = format!(
            "/getComputerPartitionCertificate?computer_id={}&computer_partition_id={}",
            computer(node),
            name(partition)
        );
        let found = match self.get(&path, &[]).await {
            Ok(found) => found,
            Err(outcome) => return or_nothing(Err(outcome)),
        };
        let expected = "<marshal><dictionary id=\"i2\"><string>certificate</string><string></string><string>key</string><string></string></dictionary></marshal>";
        let decoded = |bytes: &[u8]| marshal::decode(bytes).ok();
        let is_it = decoded(&found.body) == decoded(expected.as_bytes());
        Ok(if is_it { Told::Something } else { self.wrong("a certificate", text(&found)) })
    }

    async fn addresses(&self, node: u32, partition: u32) -> Answered {
        let path = format!(
            "/getHostingSubscriptionIpList?computer_id={}&computer_partition_id={}",
            computer(node),
            name(partition)
        );
        let found = match self.get(&path, &[]).await {
            Ok(found) => found,
            Err(outcome) => return or_nothing(Err(outcome)),
        };
        let value = marshal::decode(&found.body).map_err(|error| Outcome::Unknown(error.to_string()))?;
        let pair = |item: &marshal::Value| match item {
            marshal::Value::Tuple(pair) => match &pair[..] {
                [interface, address] => {
                    Some((interface.as_text()?.to_owned(), address.as_text()?.to_owned()))
                }
                _ => None,
            },
            _ => None,
        };
        let pairs: Option<Vec<_>> = value.as_items().and_then(|items| items.iter().map(pair).collect());
        Ok(pairs.map_or_else(|| self.wrong("addresses", text(&found)), Told::Addresses))
    }
}

/// The texts of a marshalled list.
fn list(document: &[u8]) -> Result<Vec<String>, marshal::MarshalError> {
    let value = marshal::decode(document)?;
    let items = value.as_items().into_iter().flatten();
    Ok(items.filter_map(|item| item.as_text().map(str::to_owned)).collect())
}
