//! slapos.cfg read into types.
//!
//! Every key that slapos.core reads is accepted: one that has no effect here yet warns once, an unknown one warns with
//! the nearest name; only our own section `[slap]` refuses what it does not know. `known.rs` is the list of keys,
//! `values.rs` reads kinds of values. What a command cannot do without, it asks for by [`Settings::required`], so that a
//! client's file need not say what only a node needs.

mod known;
mod multimaster;
mod values;

pub use multimaster::OtherMasterSettings;

use super::{
    config_parser::{CONFIG_BYTES_MAX, ConfigError, ConfigFile},
    http::client::Url,
};
use crate::{env::Env, vocabulary::ComputerId};
use known::Use;
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use values::Reader;

/// Whose settings are read: that decides which file is taken when none is named (slapos/cli/config.py).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `SLAPOS_CLIENT_CONFIGURATION`, or else `~/.slapos/slapos-client.cfg`.
    Client,
    /// `SLAPOS_CONFIGURATION`, or else `/etc/opt/slapos/slapos.cfg`. Also the proxy's.
    Node,
}

impl Role {
    fn variable(self) -> &'static str {
        match self {
            Role::Client => "SLAPOS_CLIENT_CONFIGURATION",
            Role::Node => "SLAPOS_CONFIGURATION",
        }
    }

    fn default_path(self) -> &'static str {
        match self {
            Role::Client => "~/.slapos/slapos-client.cfg",
            Role::Node => "/etc/opt/slapos/slapos.cfg",
        }
    }
}

/// All settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file as it was read.
    pub file: ConfigFile,
    /// What the user should know: keys without effect, and unknown ones. To be told once.
    pub warnings: Vec<String>,
    /// Section `[slapos]`.
    pub slapos: SlaposSettings,
    /// Section `[slapformat]`.
    pub slapformat: FormatSettings,
    /// Section `[slapproxy]`.
    pub slapproxy: ProxySettings,
    /// Sections `[multimaster/URL]`, in their order.
    pub multimaster: Vec<OtherMasterSettings>,
    /// Section `[slap]`, our own.
    pub slap: SlapSettings,
}

/// Section `[slapos]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlaposSettings {
    /// This computer's reference.
    pub computer_id: Option<ComputerId>,
    /// The master's URL; [`Settings::master_url`] parses it.
    pub master_url: Option<String>,
    /// Where the master's hateoas documents stand, if not at `hateoas/` under its URL.
    pub master_rest_url: Option<String>,
    /// Where software releases are built.
    pub software_root: Option<PathBuf>,
    /// Where partitions are.
    pub instance_root: Option<PathBuf>,
    /// Where shared parts are; the last is written to.
    pub shared_part_list: Vec<PathBuf>,
    /// Whether `slapos node` insists on root.
    pub root_check: bool,
    /// How long a partition may stay without being processed; `Duration::MAX` (a negative number) for ever.
    pub maximum_periodicity: Duration,
    /// How long a promise may take.
    pub promise_timeout: Duration,
    /// How long the processing of a partition may take.
    pub partition_timeout: Option<Duration>,
    /// Whether the supervisor must be running already.
    pub forbid_supervisord_automatic_launch: bool,
}

/// Section `[slapformat]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatSettings {
    /// How many partitions.
    pub partition_amount: Option<u64>,
    /// What their names begin with.
    pub partition_base_name: String,
    /// What their users' names begin with.
    pub user_base_name: String,
    /// The interface that addresses are added to.
    pub interface_name: Option<String>,
    /// The interface whose IPv6 is divided.
    pub ipv6_interface: Option<String>,
    /// The network that IPv4 addresses are taken from.
    pub ipv4_local_network: Option<String>,
    /// Where the computer is defined by hand.
    pub input_definition_file: Option<PathBuf>,
    /// Where the definition is written.
    pub output_definition_file: Option<PathBuf>,
    /// Where the formatted computer is kept.
    pub computer_xml: Option<PathBuf>,
    /// Where it is kept as JSON, too.
    pub computer_json: Option<PathBuf>,
    /// Whether users are made; needs root.
    pub alter_user: bool,
    /// Whether addresses and interfaces are made; needs root.
    pub alter_network: bool,
    /// Whether each partition gets a tap interface.
    pub create_tap: bool,
    /// Whether each partition gets a tun interface.
    pub create_tun: bool,
}

/// Section `[slapproxy]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySettings {
    /// The address or name that it listens on.
    pub host: String,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// The database's file.
    pub database_uri: Option<PathBuf>,
    /// Names of software products and the URL of their release.
    pub software_product_list: Vec<(String, String)>,
    /// Names and addresses under which it may be asked, beside those that it listens on; our own key.
    pub server_names: Vec<String>,
    /// Where local software releases are; when it changes, their URLs change with it.
    pub local_software_release_root: Option<PathBuf>,
}

/// Section `[slap]`, our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlapSettings {
    /// Where the supervisor keeps its socket and state, if not in [`Settings::supervisor_directory`]'s default.
    pub supervisor_directory: Option<PathBuf>,
    /// How often a master is asked that cannot tell of changes by itself, or is not to be waited for. Key poll_seconds, 5.
    pub poll: Duration,
    /// How long one question to a master waits for a change; zero for not at all. Key wait_seconds, 50.
    pub wait: Duration,
    /// How long a service's log may grow, in bytes. Key log_bytes_max, 1 MiB.
    pub log_bytes_max: u64,
    /// How long a service may take to end before it is killed. Key stop_seconds, 60 (slapos.core:
    /// templates/program_partition_supervisord.conf.in, `stopwaitsecs`).
    pub stop: Duration,
}

impl Settings {
    /// Finds and reads the file: `cfg` if the user named one, else by `role`.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be read, or a value in it is bad.
    pub fn find(env: &Env, role: Role, cfg: Option<&str>) -> Result<Settings, ConfigError> {
        let context = env.context();
        let (path, named_by) = match (cfg, context.variable(role.variable())) {
            (Some(cfg), _) => (cfg, "--cfg".to_owned()),
            (None, Some(path)) => (path, format!("the variable {}", role.variable())),
            (None, None) => (role.default_path(), "the default".to_owned()),
        };
        let path = context.absolute(path);
        let text = env.files().read_text(&path, CONFIG_BYTES_MAX).map_err(|error| {
            let (message, hint) = if error.kind() == io::ErrorKind::NotFound {
                let message = format!("Configuration file does not exist (it is {named_by})");
                (message, format!("give one with --cfg FILE or in {}", role.variable()))
            } else {
                (format!("Cannot read configuration file: {error}"), format!("it is {named_by}"))
            };
            ConfigError { path: path.clone(), line: None, message, hint }
        })?;
        Settings::parse(env, &path, &text)
    }

    /// Reads `text`, which stands in the file `path`.
    ///
    /// # Errors
    /// When it is not well-formed, or a value in it is bad.
    pub fn parse(env: &Env, path: &Path, text: &str) -> Result<Settings, ConfigError> {
        let file = ConfigFile::parse(path, text)?;
        let warnings = check_keys(&file)?;
        let reader = |section| Reader { env, file: &file, section };
        Ok(Settings {
            slapos: SlaposSettings::read(&reader("slapos"))?,
            slapformat: FormatSettings::read(&reader("slapformat"))?,
            slapproxy: ProxySettings::read(&reader("slapproxy"))?,
            multimaster: OtherMasterSettings::read(env, &file)?,
            slap: SlapSettings::read(&reader("slap"))?,
            warnings,
            file,
        })
    }

    /// A setting that the command cannot do without.
    ///
    /// # Errors
    /// When it is not there.
    pub fn required<T: Clone>(&self, section: &str, key: &str, value: &Option<T>) -> Result<T, ConfigError> {
        value.clone().ok_or_else(|| ConfigError {
            path: self.file.path().to_owned(),
            line: self.file.line(section, key),
            message: format!("[{section}] {key} is not set"),
            hint: format!("add a line `{key} = ...` to section [{section}]"),
        })
    }

    /// The master's URL.
    ///
    /// # Errors
    /// When it is not set, or is no http URL.
    pub fn master_url(&self) -> Result<Url, ConfigError> {
        self.url("master_url", &self.required("slapos", "master_url", &self.slapos.master_url)?)
    }

    /// Where the master's hateoas documents stand, if that is set.
    ///
    /// # Errors
    /// When it is no http URL.
    pub fn master_rest_url(&self) -> Result<Option<Url>, ConfigError> {
        self.slapos.master_rest_url.as_deref().map(|text| self.url("master_rest_url", text)).transpose()
    }

    /// This computer's reference.
    ///
    /// # Errors
    /// When it is not set.
    pub fn computer_id(&self) -> Result<ComputerId, ConfigError> {
        self.required("slapos", "computer_id", &self.slapos.computer_id)
    }

    /// Where software releases are built.
    ///
    /// # Errors
    /// When it is not set.
    pub fn software_root(&self) -> Result<PathBuf, ConfigError> {
        self.required("slapos", "software_root", &self.slapos.software_root)
    }

    /// Where partitions are.
    ///
    /// # Errors
    /// When it is not set.
    pub fn instance_root(&self) -> Result<PathBuf, ConfigError> {
        self.required("slapos", "instance_root", &self.slapos.instance_root)
    }

    /// Where the supervisor keeps its socket and state: `var/supervisor` under the instance root if it is not set.
    ///
    /// # Errors
    /// When neither is set.
    pub fn supervisor_directory(&self) -> Result<PathBuf, ConfigError> {
        match &self.slap.supervisor_directory {
            Some(directory) => Ok(directory.clone()),
            None => Ok(self.instance_root()?.join("var/supervisor")),
        }
    }

    /// Tells the warnings on standard error.
    pub fn tell_warnings(&self, env: &Env) {
        for warning in &self.warnings {
            env.tell(format_args!("warning: {warning}"));
        }
    }

    fn url(&self, key: &str, text: &str) -> Result<Url, ConfigError> {
        text.parse().map_err(|error| {
            self.file.error(
                "slapos",
                key,
                format!("[slapos] {key}: {error}"),
                "such as http://127.0.0.1:5000/",
            )
        })
    }
}

impl SlaposSettings {
    fn read(reader: &Reader<'_>) -> Result<SlaposSettings, ConfigError> {
        let seconds = |key, default| {
            Ok::<_, ConfigError>(Duration::from_secs(reader.number(key, 1..=315_360_000)?.unwrap_or(default)))
        };
        Ok(SlaposSettings {
            computer_id: reader.parsed("computer_id")?,
            master_url: reader.text("master_url")?,
            master_rest_url: reader.text("master_rest_url")?,
            software_root: reader.path("software_root")?,
            instance_root: reader.path("instance_root")?,
            shared_part_list: reader.paths("shared_part_list")?,
            root_check: reader.boolean("root_check", true)?,
            maximum_periodicity: match reader.text("maximum_periodicity")? {
                Some(text) if text.starts_with('-') && text.parse::<i64>().is_ok() => Duration::MAX,
                Some(_) => {
                    let number = reader.number("maximum_periodicity", 0..=315_360_000)?;
                    Duration::from_secs(number.unwrap_or_default())
                }
                None => Duration::from_secs(86_400),
            },
            promise_timeout: seconds("promise_timeout", 20)?,
            partition_timeout: reader.number("partition_timeout", 1..=315_360_000)?.map(Duration::from_secs),
            forbid_supervisord_automatic_launch: reader
                .boolean("forbid_supervisord_automatic_launch", false)?,
        })
    }
}

impl FormatSettings {
    fn read(reader: &Reader<'_>) -> Result<FormatSettings, ConfigError> {
        let name = |key, default: &str| {
            let text = reader.text(key)?.unwrap_or_else(|| default.to_owned());
            let is_name = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
                && text.starts_with(|first: char| first.is_ascii_alphanumeric());
            match is_name {
                true => Ok(text),
                false => Err(reader.bad(key, &text, "expected letters, digits, `-`, `_` and `.`", "")),
            }
        };
        Ok(FormatSettings {
            partition_amount: reader.number("partition_amount", 0..=10_000)?,
            partition_base_name: name("partition_base_name", "slappart")?,
            user_base_name: name("user_base_name", "slapuser")?,
            interface_name: reader.text("interface_name")?,
            ipv6_interface: reader.text("ipv6_interface")?,
            ipv4_local_network: reader.text("ipv4_local_network")?,
            input_definition_file: reader.path("input_definition_file")?,
            output_definition_file: reader.path("output_definition_file")?,
            computer_xml: reader.path("computer_xml")?,
            computer_json: reader.path("computer_json")?,
            alter_user: reader.boolean("alter_user", true)?,
            alter_network: reader.boolean("alter_network", true)?,
            create_tap: reader.boolean("create_tap", true)?,
            create_tun: reader.boolean("create_tun", false)?,
        })
    }
}

impl ProxySettings {
    fn read(reader: &Reader<'_>) -> Result<ProxySettings, ConfigError> {
        let host = reader.text("host")?.unwrap_or_else(|| "127.0.0.1".to_owned());
        if host.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(reader.bad(
                "host",
                &host,
                "expected an address or a name",
                "such as 127.0.0.1 or ::1",
            ));
        }
        let port = reader.number("port", 0..=65_535)?.unwrap_or(5000);
        let server_names: Vec<String> =
            reader.text("server_names")?.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        if let Some(bad) = server_names.iter().find(|name| !is_host(name)) {
            return Err(reader.bad(
                "server_names",
                bad,
                "expected names and addresses with blanks between them, without ports",
                "such as slap.example.com 192.0.2.1 [2001:db8::1]",
            ));
        }
        Ok(ProxySettings {
            server_names,
            host,
            port: u16::try_from(port).unwrap_or(u16::MAX),
            database_uri: reader.path("database_uri")?,
            software_product_list: reader.pairs("software_product_list")?,
            local_software_release_root: reader.path("local_software_release_root")?,
        })
    }
}

/// A host's name or address, as it stands in a URL without a port.
fn is_host(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
            is_name || text.parse::<std::net::Ipv6Addr>().is_ok()
        }
    }
}

impl SlapSettings {
    fn read(reader: &Reader<'_>) -> Result<SlapSettings, ConfigError> {
        let at_least = |key, least, longest, default| {
            Ok::<_, ConfigError>(Duration::from_secs(reader.number(key, least..=longest)?.unwrap_or(default)))
        };
        let seconds = |key, longest, default| at_least(key, 1, longest, default);
        Ok(SlapSettings {
            supervisor_directory: reader.path("supervisor_directory")?,
            poll: seconds("poll_seconds", 86_400, 5)?,
            wait: at_least("wait_seconds", 0, 3_600, 50)?,
            log_bytes_max: reader.number("log_bytes_max", 4_096..=1 << 40)?.unwrap_or(1 << 20),
            stop: seconds("stop_seconds", 3_600, 60)?,
        })
    }
}

/// Warnings of keys without effect and unknown ones; an unknown one in our own section is an error.
fn check_keys(file: &ConfigFile) -> Result<Vec<String>, ConfigError> {
    let path = file.path().display();
    let mut warnings = Vec::new();
    for section in file.sections() {
        if !known::is_section(section) {
            let hint = known::nearest_section(section).map_or(String::new(), |it| format!(", is it [{it}]?"));
            warnings.push(format!("{path}: the section [{section}] is unknown{hint}"));
            continue;
        }
        let mut later = Vec::new();
        for key in file.keys(section) {
            let line = file.line(section, key).unwrap_or(0);
            match known::use_of(section, key) {
                Some(Use::Served | Use::Free) => {}
                Some(Use::Later) => later.push(key),
                Some(Use::Gone) => {
                    let message = format!("[{section}] {key} is no longer a setting of slapformat");
                    return Err(file.error(section, key, message, "remove it"));
                }
                None => {
                    let nearest = known::nearest_key(section, key);
                    if section == "slap" {
                        let hint = nearest.map_or("remove it".to_owned(), |it| format!("is it {it}?"));
                        return Err(file.error(section, key, format!("[slap] {key} is unknown"), &hint));
                    }
                    let hint = nearest.map_or(String::new(), |it| format!(", is it {it}?"));
                    warnings.push(format!("{path}:{line}: [{section}] {key} is unknown{hint}"));
                }
            }
        }
        if !later.is_empty() {
            warnings.push(format!("{path}: [{section}] {} not served yet: no effect", list(&later)));
        }
    }
    Ok(warnings)
}

fn list(keys: &[&str]) -> String {
    format!("{} {}", keys.join(", "), if keys.len() == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests;
