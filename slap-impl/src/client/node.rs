//! What nodes ask and report (slapos/slap/slap.py, `Computer`, `ComputerPartition` and `SoftwareRelease`).

use super::{ClientError, SlapClient, document, protocol};
use crate::{
    vocabulary::{ComputerId, PartitionId, SoftwareUrl},
    wire::{
        configuration::FormattedComputer,
        http::client::Response,
        instance_xml::Parameters,
        marshal::{Value, encode},
        objects::{Computer, ComputerPartition},
        status::AccessStatus,
    },
};
use std::time::Duration;

/// The answer to a conditional question.
#[derive(Clone, Debug, PartialEq)]
pub enum Poll {
    /// There is something new, or this was the first question.
    Changed {
        /// All that the computer shall do.
        computer: Computer,
        /// What to ask with the next time; none from a master that cannot tell changes.
        etag: Option<String>,
        /// Whether the master waits for a change when it is asked to.
        waits: bool,
    },
    /// Nothing changed since that ETag.
    Unchanged {
        /// Whether the master waits for a change when it is asked to.
        waits: bool,
    },
}

/// Whether the master says that it waits as it was asked to (RFC 7240, 3).
pub(super) fn waits(response: &Response) -> bool {
    let applied = response.header("preference-applied").unwrap_or_default();
    applied.split(',').any(|item| item.trim_start().starts_with("wait"))
}

impl SlapClient {
    /// All that a computer shall do. With the `etag` of the last answer the master may say that nothing changed; with `wait` it
    /// may hold such an answer back for so long, until something changes (RFC 9110, 13.1.2; RFC 7240, 4.3).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn full_computer_information(
        &self,
        computer: &ComputerId,
        etag: Option<&str>,
        wait: Option<Duration>,
    ) -> Result<Poll, ClientError> {
        let mut request =
            self.get_request("getFullComputerInformation", &[("computer_id", computer.as_str())])?;
        request.headers.push(match etag {
            Some(etag) => ("if-none-match".to_owned(), etag.to_owned()),
            // Who knows nothing wants the master's own answer, not what a proxy on the way kept (RFC 9111, 5.2.1.4).
            None => ("cache-control".to_owned(), "no-cache".to_owned()),
        });
        if let Some(wait) = wait {
            request.headers.push(("prefer".to_owned(), format!("wait={}", wait.as_secs())));
            request.deadline += wait;
        }
        let response = self.send(request).await?;
        let waits = waits(&response);
        if response.status == 304 {
            return match etag {
                Some(_) => Ok(Poll::Unchanged { waits }),
                None => Err(protocol("it says that nothing changed, although nothing was known")),
            };
        }
        let found = Computer::from_value(&document(&response)?).map_err(protocol)?;
        if found.computer_id != *computer {
            return Err(protocol(format!("it was asked for {computer} and tells of {}", found.computer_id)));
        }
        let etag = response.header("etag").map(str::to_owned);
        Ok(Poll::Changed { computer: found, etag, waits })
    }

    /// What shall be in one partition.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn register_partition(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<ComputerPartition, ClientError> {
        let arguments =
            [("computer_reference", computer.as_str()), ("computer_partition_reference", partition.as_str())];
        let response = self.get("registerComputerPartition", &arguments).await?;
        ComputerPartition::from_value(&document(&response)?).map_err(protocol)
    }

    /// Tells what a computer is like after it was formatted.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn load_computer_configuration(&self, computer: &FormattedComputer) -> Result<(), ClientError> {
        let xml = encode(&computer.to_value());
        self.tell("loadComputerConfigurationFromXML", &[("xml", &xml)]).await
    }

    /// A software release is being built.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn building_release(
        &self,
        computer: &ComputerId,
        url: &SoftwareUrl,
    ) -> Result<(), ClientError> {
        self.report_release("buildingSoftwareRelease", computer, url, &[]).await
    }

    /// A software release was built. False when the master answers that it does not supply it to the computer any more, and so
    /// did not keep the report (only our master says so).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn available_release(
        &self,
        computer: &ComputerId,
        url: &SoftwareUrl,
    ) -> Result<bool, ClientError> {
        let fields = [("url", url.as_str()), ("computer_id", computer.as_str())];
        let response = self.post("availableSoftwareRelease", &fields).await?;
        Ok(!response.body.starts_with(b"Ignored: "))
    }

    /// A software release could not be built or removed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn release_error(
        &self,
        computer: &ComputerId,
        url: &SoftwareUrl,
        log: &str,
    ) -> Result<(), ClientError> {
        self.report_release("softwareReleaseError", computer, url, &[("error_log", log)]).await
    }

    /// A software release was removed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn destroyed_release(
        &self,
        computer: &ComputerId,
        url: &SoftwareUrl,
    ) -> Result<(), ClientError> {
        self.report_release("destroyedSoftwareRelease", computer, url, &[]).await
    }

    /// An instance was processed, and its services run.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn started_partition(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<(), ClientError> {
        self.report_partition("startedComputerPartition", computer, partition, &[]).await.map(drop)
    }

    /// An instance was processed, and its services stand still.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn stopped_partition(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<(), ClientError> {
        self.report_partition("stoppedComputerPartition", computer, partition, &[]).await.map(drop)
    }

    /// An instance could not be processed, or a promise of it failed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn instance_error(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        log: &str,
    ) -> Result<(), ClientError> {
        self.report_partition("softwareInstanceError", computer, partition, &[("error_log", log)])
            .await
            .map(drop)
    }

    /// A shared instance could not be served.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn shared_instance_error(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        reference: &str,
        log: &str,
    ) -> Result<(), ClientError> {
        let more = [("error_log", log), ("slave_reference", reference)];
        self.report_partition("softwareInstanceError", computer, partition, &more).await.map(drop)
    }

    /// An instance's whole tree shall be processed again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn bang(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        message: &str,
    ) -> Result<(), ClientError> {
        self.report_partition("softwareInstanceBang", computer, partition, &[("message", message)])
            .await
            .map(drop)
    }

    /// All instances of a computer shall be processed again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn bang_computer(&self, computer: &ComputerId, message: &str) -> Result<(), ClientError> {
        self.tell("computerBang", &[("computer_id", computer.as_str()), ("message", message)]).await
    }

    /// A partition was emptied and is free again.
    ///
    /// # Errors
    /// [`ClientError`]; also when the master keeps it, for instance because the root of a tree goes last. Masters say that
    /// with status 200.
    pub async fn destroyed_partition(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<(), ClientError> {
        let message = self.report_partition("destroyedComputerPartition", computer, partition, &[]).await?;
        // The real master's answer is empty.
        if message.is_empty() || message == "OK" || message == "None" {
            return Ok(());
        }
        Err(ClientError::Refused { status: 200, message })
    }

    /// Publishes connection parameters, of the partition's instance or of a shared instance that it hosts.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_connection(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        connection: &Parameters,
        shared_reference: Option<&str>,
    ) -> Result<(), ClientError> {
        let items = connection.iter().map(|(key, value)| (key.clone(), Value::optional(value.as_deref())));
        let xml = encode(&Value::dictionary(items));
        let mut more = vec![("connection_xml", xml.as_str())];
        more.extend(shared_reference.map(|reference| ("slave_reference", reference)));
        self.report_partition("setComputerPartitionConnectionXml", computer, partition, &more).await.map(drop)
    }

    /// Tells which instances a partition asked for when it was last processed. slapproxy does not know this (404).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn related_instances(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        references: &[String],
    ) -> Result<(), ClientError> {
        let xml = encode(&Value::List(references.iter().map(Value::text).collect()));
        let more = [("instance_reference_xml", xml.as_str())];
        self.report_partition("updateComputerPartitionRelatedInstanceList", computer, partition, &more)
            .await
            .map(drop)
    }

    /// The last report of an instance.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn partition_status(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<AccessStatus, ClientError> {
        let arguments = [("computer_id", computer.as_str()), ("computer_partition_id", partition.as_str())];
        let response = self.get("getComputerPartitionStatus", &arguments).await?;
        AccessStatus::from_value(&document(&response)?).map_err(protocol)
    }

    /// The last report of a computer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn computer_status(&self, computer: &ComputerId) -> Result<AccessStatus, ClientError> {
        let response = self.get("getComputerStatus", &[("computer_id", computer.as_str())]).await?;
        AccessStatus::from_value(&document(&response)?).map_err(protocol)
    }

    /// The last report of a software release on a computer; only our master serves it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn release_status(
        &self,
        computer: &ComputerId,
        url: &SoftwareUrl,
    ) -> Result<AccessStatus, ClientError> {
        let arguments = [("computer_id", computer.as_str()), ("url", url.as_str())];
        let response = self.get("getSoftwareInstallationStatus", &arguments).await?;
        AccessStatus::from_value(&document(&response)?).map_err(protocol)
    }

    /// A text that differs after each start of the master.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn run_id(&self) -> Result<String, ClientError> {
        let response = self.get("getRunId", &[]).await?;
        Ok(String::from_utf8_lossy(&response.body).trim().to_owned())
    }

    async fn report_release(
        &self,
        endpoint: &str,
        computer: &ComputerId,
        url: &SoftwareUrl,
        more: &[(&str, &str)],
    ) -> Result<(), ClientError> {
        let mut fields = vec![("url", url.as_str()), ("computer_id", computer.as_str())];
        fields.extend_from_slice(more);
        self.tell(endpoint, &fields).await
    }

    async fn report_partition(
        &self,
        endpoint: &str,
        computer: &ComputerId,
        partition: &PartitionId,
        more: &[(&str, &str)],
    ) -> Result<String, ClientError> {
        let mut fields =
            vec![("computer_id", computer.as_str()), ("computer_partition_id", partition.as_str())];
        fields.extend_from_slice(more);
        if let Some(timestamp) = &self.about {
            fields.push(("timestamp", timestamp));
        }
        let response = self.post(endpoint, &fields).await?;
        Ok(String::from_utf8_lossy(&response.body).trim().chars().take(2000).collect())
    }
}
