//! Endpoints that only read.

use super::{
    Master,
    actions::document,
    decisions::{Refusal, unknown_computer, unknown_partition},
    form::Form,
    hateoas::base_url,
    readable, render,
};
use crate::{
    store::{self, AccessStatus, Partition, Subject},
    vocabulary::{ComputerId, PartitionId, RequestedState, SharedReference, SoftwareUrl},
    wire::{
        http::server::{Request, Response},
        marshal::Value,
    },
};
use rusqlite::Connection;

impl Master {
    /// Answers an endpoint that is asked with GET.
    pub(super) async fn answer(
        &self,
        endpoint: &str,
        form: &Form,
        request: &Request,
    ) -> Result<Response, Refusal> {
        match endpoint {
            "getFullComputerInformation" | "getComputerInformation" => {
                self.full_information(&form.parsed("computer_id")?, request).await
            }
            "registerComputerPartition" => {
                let computer = form.parsed("computer_reference")?;
                let partition = form.parsed("computer_partition_reference")?;
                let (found, status) = self.require_partition(&computer, &partition)?;
                let shared =
                    self.read(|connection| store::listed_shared(connection, &computer, Some(&partition)))?;
                let shared = shared.get(&partition).map_or(&[][..], Vec::as_slice);
                let shown = readable(render::partition(&found, shared, status.as_ref()))?;
                Ok(document(&shown.to_value()))
            }
            "getComputerPartitionCertificate" => {
                let (computer, partition) =
                    (form.parsed("computer_id")?, form.parsed("computer_partition_id")?);
                self.require_partition(&computer, &partition)?;
                // Clients ask for it and use what they get; there are no certificates here, as in slapproxy.
                Ok(document(&Value::dictionary([("certificate", Value::text("")), ("key", Value::text(""))])))
            }
            "getComputerPartitionStatus" => {
                let (computer, reference) =
                    (form.parsed("computer_id")?, form.parsed("computer_partition_id")?);
                let (partition, status) = self.require_partition(&computer, &reference)?;
                Ok(document(&self.partition_status(&partition, status.as_ref()).to_value()))
            }
            "getComputerStatus" => {
                let computer: ComputerId = form.parsed("computer_id")?;
                let status = self.read(|connection| self.computer_status(connection, &computer))??;
                Ok(document(&status.to_value()))
            }
            "getSoftwareInstallationStatus" => {
                let (computer, url) = (form.parsed("computer_id")?, form.parsed("url")?);
                let status = self.read(|connection| self.release_status(connection, &computer, &url))??;
                Ok(document(&status.to_value()))
            }
            "events" => self.events(form, request).await,
            "getHateoasUrl" => Ok(Response::text(200, format!("{}/hateoas/", base_url(self, request)))),
            "getRunId" => {
                // Who asks for this wants to know whether a master is at work.
                self.read(|_| Ok(()))?;
                Ok(Response::text(200, self.run_id.clone()))
            }
            "getHostingSubscriptionIpList" => {
                self.addresses_of_tree(&form.parsed("computer_id")?, &form.parsed("computer_partition_id")?)
            }
            "getSoftwareReleaseListFromSoftwareProduct" => self.releases_of_product(form),
            other => Err(Refusal::new(404, format!("there is no endpoint {other}"))),
        }
    }

    /// A partition, which must exist, and the last report about it.
    pub(super) fn require_partition(
        &self,
        computer: &ComputerId,
        reference: &PartitionId,
    ) -> Result<(Partition, Option<AccessStatus>), Refusal> {
        self.read(|connection| match store::partition(connection, computer, reference)? {
            Some(partition) => {
                let status = store::access_status(connection, Subject::Partition(computer, reference))?;
                Ok(Ok((partition, status)))
            }
            None => {
                let default = self.default_computer.as_ref();
                Ok(Err(unknown_partition(connection, default, computer, reference)?))
            }
        })?
    }

    /// What was last reported of the instance in a partition.
    pub(super) fn partition_status(
        &self,
        partition: &Partition,
        status: Option<&AccessStatus>,
    ) -> crate::wire::status::AccessStatus {
        render::status(
            status,
            partition.computer.as_str(),
            &partition.guid(),
            "Software Instance",
            partition.timestamp,
            self.now(),
        )
    }

    /// What its host, on that computer, said last of a shared instance.
    pub(super) fn shared_status(
        &self,
        computer: &ComputerId,
        reference: &SharedReference,
        status: &AccessStatus,
    ) -> crate::wire::status::AccessStatus {
        let (user, name) = (computer.as_str(), reference.as_str());
        render::status(Some(status), user, name, "Slave Instance", 0, self.now())
    }

    /// What there is to say of a shared instance that lost its host.
    pub(super) fn without_host(&self, reference: &SharedReference) -> crate::wire::status::AccessStatus {
        let text = "#error its host was destroyed: the next request for it looks for another".to_owned();
        let now = self.now();
        let status = AccessStatus::said(text, now);
        render::status(Some(&status), "", reference.as_str(), "Slave Instance", 0, now)
    }

    /// What was last heard of a computer: its own reads, or a bang after them.
    pub(super) fn computer_status(
        &self,
        connection: &Connection,
        computer: &ComputerId,
    ) -> rusqlite::Result<Result<crate::wire::status::AccessStatus, Refusal>> {
        if store::computer(connection, computer)?.is_none()
            && self.default_computer.as_ref() != Some(computer)
        {
            return Ok(Err(unknown_computer(connection, computer)?));
        }
        let bang = store::access_status(connection, Subject::Computer(computer))?;
        let contact = self.contacts.borrow().get(computer).cloned();
        let newest = [bang, contact].into_iter().flatten().max_by_key(|status| status.created_at);
        let name = computer.as_str();
        Ok(Ok(render::status(newest.as_ref(), name, name, "Compute Node", 0, self.now())))
    }

    fn release_status(
        &self,
        connection: &Connection,
        computer: &ComputerId,
        url: &SoftwareUrl,
    ) -> rusqlite::Result<Result<crate::wire::status::AccessStatus, Refusal>> {
        if self.default_computer.as_ref() != Some(computer)
            && store::computer(connection, computer)?.is_none()
        {
            return Ok(Err(unknown_computer(connection, computer)?));
        }
        if store::supply(connection, computer, url)?.is_none() {
            let message = format!("{url} is not supplied to {computer}");
            return Ok(Err(Refusal::new(404, message).hint("`slap supply` does it")));
        }
        let found = store::access_status(connection, Subject::Release(computer, url))?;
        Ok(Ok(self.supply_status(computer, url, found.as_ref())))
    }

    /// What was last reported of a supplied release.
    pub(super) fn supply_status(
        &self,
        computer: &ComputerId,
        url: &SoftwareUrl,
        found: Option<&AccessStatus>,
    ) -> crate::wire::status::AccessStatus {
        render::status(found, computer.as_str(), url.as_str(), "Software Installation", 0, self.now())
    }

    /// The addresses of all partitions of the tree of the instance in a partition, of those that are not to be destroyed; for a
    /// firewall that lets them in (slapos/grid/slapgrid.py, `_checkAddFirewallRules`). A free partition has none.
    fn addresses_of_tree(&self, computer: &ComputerId, reference: &PartitionId) -> Result<Response, Refusal> {
        let (partition, _) = self.require_partition(computer, reference)?;
        let asked = partition.instance.filter(|instance| instance.state != RequestedState::Destroyed);
        let Some(asked) = asked else { return Ok(document(&Value::List(Vec::new()))) };
        let pairs = self.read(|connection| {
            let root = asked.tree();
            let mut tree: Vec<_> = store::instance(connection, root)?.into_iter().collect();
            tree.extend(store::descendants(connection, root, false)?);
            let mut pairs = Vec::new();
            for instance in tree.iter().filter(|instance| instance.state != RequestedState::Destroyed) {
                let Some((computer, partition)) = instance.partition() else { continue };
                let partition = store::partition(connection, computer, partition)?;
                for address in partition.into_iter().flat_map(|partition| partition.addresses) {
                    pairs.push(Value::Tuple(vec![
                        Value::Text(address.interface),
                        Value::Text(address.address),
                    ]));
                }
            }
            Ok(pairs)
        })?;
        Ok(document(&Value::List(pairs)))
    }

    /// The releases of a product (slapos/proxy/slap_tool.py), or of the product that a release is one of, which the real master
    /// serves and slapproxy does not: here a product has one.
    fn releases_of_product(&self, form: &Form) -> Result<Response, Refusal> {
        // Clients write what they do not say as nothing, or as Python's None.
        let said = |name: &str| form.optional(name).filter(|text| !matches!(*text, "" | "None"));
        let release = match (said("software_product_reference"), said("software_release_url")) {
            (Some(product), None) => self.products.get(product),
            (None, Some(url)) => self.products.values().find(|release| release.as_str() == url),
            (Some(_), Some(_)) => {
                let reason = "it stands beside software_product_reference: expected one of them";
                return Err(form.bad("software_release_url", &reason));
            }
            (None, None) => {
                let reason = "it is missing, and software_release_url too: expected one of them";
                return Err(form.bad("software_product_reference", &reason));
            }
        };
        let releases = release.map(|url| Value::text(url.as_str()));
        Ok(document(&Value::List(releases.into_iter().collect())))
    }
}
