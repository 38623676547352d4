//! What the client's commands share: `--cfg`, the master that it names, and how errors are told.

use crate::{
    client::{ClientError, SlapClient},
    env::{Env, Exit},
    vocabulary::SoftwareUrl,
    wire::{
        config_parser::ConfigError,
        settings::{Role, Settings},
    },
};
use clap::Args;

/// What each command of the client takes.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct ClientArguments {
    /// Configuration file of the client (default: $SLAPOS_CLIENT_CONFIGURATION or ~/.slapos/slapos-client.cfg)
    #[arg(long, value_name = "FILE")]
    cfg: Option<String>,
}

impl ClientArguments {
    /// A client of the master that the configuration names. What is wrong is told.
    ///
    /// # Errors
    /// With the exit code that slapos gives.
    pub(super) fn connect(&self, env: &Env) -> Result<SlapClient, Exit> {
        self.try_connect(env).map_err(|error| fail(env, &error))
    }

    fn try_connect(&self, env: &Env) -> Result<SlapClient, ConfigError> {
        let settings = Settings::find(env, Role::Client, self.cfg.as_deref())?;
        settings.tell_warnings(env);
        let client = SlapClient::at(env.clone(), settings.master_url()?);
        let lab = crate::lab::directory_of_configuration(env, settings.file.path());
        let hint = lab.map(|lab| format!("`slap lab up --dir {}` starts the lab's master", lab.display()));
        Ok(client.with_hateoas(settings.master_rest_url()?).with_offline_hint(hint))
    }
}

/// Tells an error, and gives the exit code of slapos for it.
pub(super) fn fail(env: &Env, error: &dyn std::fmt::Display) -> Exit {
    env.tell(format_args!("error: {error}"));
    Exit::FAILED
}

/// The release that a user means: `product.NAME` is the best release of that product, and a file in the working directory
/// is meant by its whole path, because the node that builds it works elsewhere.
///
/// # Errors
/// When there is no such product; told already.
pub(super) async fn release(
    env: &Env,
    client: &SlapClient,
    software: &SoftwareUrl,
) -> Result<SoftwareUrl, Exit> {
    let text = software.as_str();
    if let Some(product) = text.strip_prefix("product.") {
        env.tell("Getting best Software Release corresponding to this Software Product...");
        let releases = client.releases_of_product(product).await.map_err(|error| fail(env, &error))?;
        let Some(best) = releases.into_iter().next() else {
            let message = format!(
                "no software release corresponds to the software product {product:?} \
                 (hint: a proxy's products stand in software_product_list of section [slapproxy])"
            );
            return Err(fail(env, &message));
        };
        env.tell(format_args!("Found as {best}."));
        return best.parse().map_err(|error| fail(env, &error));
    }
    Ok(on_disk(env, software))
}

/// A file in the working directory by its whole path; anything else as it is.
pub(super) fn on_disk(env: &Env, software: &SoftwareUrl) -> SoftwareUrl {
    let text = software.as_str();
    if text.starts_with('/') || text.contains("://") {
        return software.clone();
    }
    let path = env.context().absolute(text);
    match path.to_str().map(str::parse) {
        Some(Ok(whole)) if env.files().is_file(&path) => whole,
        _ => software.clone(),
    }
}

/// `key=value` pairs (slapos/cli/request.py, `parse_option_dict`).
///
/// # Errors
/// When there is no `=`, or a key stands twice.
pub(super) fn pairs(
    option: &str,
    items: &[String],
) -> Result<std::collections::BTreeMap<String, String>, String> {
    let mut found = std::collections::BTreeMap::new();
    for item in items {
        let Some((key, value)) = item.split_once('=') else {
            return Err(format!("{option} {item:?}: expected key=value"));
        };
        if key.is_empty() {
            return Err(format!("{option} {item:?}: the key is empty: expected key=value"));
        }
        if found.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("{option}: the key {key:?} has more than one value"));
        }
    }
    Ok(found)
}

/// Whether the error says that the thing is not there (yet): exit code 2 of slapos's info commands.
pub(super) fn is_absent(error: &ClientError) -> bool {
    matches!(error, ClientError::NotFound(_) | ClientError::NotReady(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let check =
            |items: &[&str]| pairs("--node", &items.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            check(&["a=b=c", "d="]).unwrap(),
            [("a", "b=c"), ("d", "")].map(|(k, v)| (k.into(), v.into())).into()
        );
        assert_eq!(check(&["a"]).unwrap_err(), "--node \"a\": expected key=value");
        assert_eq!(check(&["=a"]).unwrap_err(), "--node \"=a\": the key is empty: expected key=value");
        assert_eq!(check(&["a=1", "a=2"]).unwrap_err(), "--node: the key \"a\" has more than one value");
    }
}
