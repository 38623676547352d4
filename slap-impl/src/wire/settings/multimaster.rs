//! Sections `[multimaster/URL]`: other masters, and what is requested there.

use super::values::Reader;
use crate::{
    env::Env,
    vocabulary::{ComputerId, PartitionId},
    wire::config_parser::{ConfigError, ConfigFile},
};

const PREFIX: &str = "multimaster/";

/// One such section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherMasterSettings {
    /// The URL in the section's name, as it is written there.
    pub url: String,
    /// The releases that are always requested there.
    pub software_release_list: Vec<String>,
    /// With `partition`, the instance that asks there; without both a user asks.
    pub computer: Option<ComputerId>,
    /// Its partition.
    pub partition: Option<PartitionId>,
}

impl OtherMasterSettings {
    /// Reads all such sections, in their order.
    pub(super) fn read(env: &Env, file: &ConfigFile) -> Result<Vec<OtherMasterSettings>, ConfigError> {
        let sections = file.sections().filter_map(|section| Some((section, section.strip_prefix(PREFIX)?)));
        sections
            .map(|(section, url)| {
                let reader = Reader { env, file, section };
                Ok(OtherMasterSettings {
                    url: url.to_owned(),
                    software_release_list: reader.lines("software_release_list")?,
                    computer: reader.parsed("computer")?,
                    partition: reader.parsed("partition")?,
                })
            })
            .collect()
    }

    /// The section's name.
    pub fn section(&self) -> String {
        format!("{PREFIX}{}", self.url)
    }
}
