//! What a promise is: how often it runs, which of its runs count, and what it checks.

use super::{history::Rule, plugin::Plugin, shell, socket::Socket, url::UrlCheck};
use crate::env::Env;
use std::{collections::BTreeMap, path::Path, str::FromStr, time::Duration};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sense {
    pub(super) failed: bool,
    pub(super) message: String,
}

impl Sense {
    pub(super) fn good(message: impl Into<String>) -> Sense {
        Sense { failed: false, message: message.into() }
    }

    pub(super) fn bad(message: impl Into<String>) -> Sense {
        Sense { failed: true, message: message.into() }
    }
}

/// What a promise checks.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Check {
    /// Somebody listens.
    Socket(Socket),
    /// An HTTP server answers.
    Url(UrlCheck),
    /// A shell command exits with 0.
    Shell(String),
    /// The promise's own file, run, exits with 0.
    Executable,
}

/// A promise that can run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Promise {
    pub(super) check: Check,
    /// Minutes.
    pub(super) periodicity: f64,
    /// Which runs count while the partition is up to date; while it is being set up, the last one alone does.
    pub(super) anomaly: Rule,
    /// Whether a failure of an up-to-date partition is an anomaly; else it is a failed test, also then.
    pub(super) finds_anomalies: bool,
    /// Whether an anomaly shall be told to the master at once.
    pub(super) bangs: bool,
}

impl Promise {
    /// An executable of etc/promise (slapos.core: grid/promise/wrapper.py).
    pub(super) fn executable() -> Promise {
        Promise {
            check: Check::Executable,
            periodicity: 2.0,
            anomaly: Rule { result_count: 3, failure_amount: 3 },
            finds_anomalies: false,
            bangs: false,
        }
    }

    /// What a plugin asks for (slapos.toolbox 0.170: slapos/promise/plugin).
    ///
    /// # Errors
    /// A sentence for the promise's message: the module is not known here, or a parameter is wrong.
    pub(super) fn from_plugin(plugin: &Plugin, deadline: Duration) -> Result<Promise, String> {
        let config = Config(&plugin.config);
        let known =
            plugin.module.strip_prefix("slapos.promise.plugin.").filter(|_| plugin.class == "RunPromise");
        let (check, anomaly) = match known {
            Some("check_socket_listening") => {
                let rule = Rule {
                    result_count: config.number("result-count", 3)?,
                    failure_amount: config.number("failure-amount", 3)?,
                };
                (Check::Socket(Socket::from_config(&config)), rule)
            }
            Some("check_url_available") => (
                Check::Url(UrlCheck::from_config(&config, deadline)),
                Rule { result_count: 3, failure_amount: 3 },
            ),
            Some("check_command_execute") => {
                let rule = Rule {
                    result_count: config.number("result_count", 1)?,
                    failure_amount: config.number("failure_amount", 1)?,
                };
                let command = config.text("command").ok_or("the parameter `command` is missing")?;
                (Check::Shell(command.to_owned()), rule)
            }
            _ => {
                return Err(format!(
                    "slap does not run Python, and has no promise {} of module {} of its own; it has {}",
                    plugin.class,
                    plugin.module,
                    "check_socket_listening, check_url_available and check_command_execute of slapos.promise.plugin"
                ));
            }
        };
        let periodicity: f64 = config.number("frequency", 2.0)?;
        if !(periodicity > 0.0 && periodicity.is_finite()) {
            return Err("Cannot set promise periodicity to a value less than 1".to_owned());
        }
        let bangs = config.boolean("bang-on-failure", true)?;
        Ok(Promise { check, periodicity, anomaly, finds_anomalies: true, bangs })
    }

    /// Looks once; `None` when the time was up.
    pub(super) async fn sense(
        &self,
        env: &Env,
        partition: &Path,
        file: &Path,
        deadline: Duration,
    ) -> Option<Sense> {
        // Each in a box of its own, so that a promise that need not run yet takes no room for what running takes.
        match &self.check {
            Check::Socket(socket) => Box::pin(env.timeout(deadline, socket.sense(env))).await.ok(),
            Check::Url(url) => Box::pin(env.timeout(deadline, url.sense(env))).await.ok(),
            Check::Shell(command) => Box::pin(shell::command(env, partition, command, deadline)).await,
            Check::Executable => Box::pin(shell::executable(env, partition, file, deadline)).await,
        }
    }
}

/// A plugin's parameters.
pub(super) struct Config<'a>(pub(super) &'a BTreeMap<String, String>);

impl<'a> Config<'a> {
    /// A parameter that is set and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A number.
    pub(super) fn number<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        let Some(value) = self.0.get(name) else { return Ok(default) };
        value.trim().parse().map_err(|_| {
            format!("the parameter `{name}` is {}: expected a number", super::python::repr(value))
        })
    }

    /// `true` or `false` in letters of any case.
    fn boolean(&self, name: &str, default: bool) -> Result<bool, String> {
        match self.text(name) {
            None => Ok(default),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some(value) => Err(format!("{value} is neither True nor False.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(module: &str, config: &[(&str, &str)]) -> Plugin {
        Plugin {
            module: format!("slapos.promise.plugin.{module}"),
            class: "RunPromise".to_owned(),
            config: config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        }
    }

    fn check(module: &str, config: &[(&str, &str)]) -> Result<Promise, String> {
        Promise::from_plugin(&plugin(module, config), Duration::from_secs(20))
    }

    #[test]
    fn plugins_have_their_own_rules() {
        let socket = check("check_socket_listening", &[("host", "::1"), ("port", "80")]).unwrap();
        assert_eq!((socket.periodicity, socket.anomaly.failure_amount, socket.bangs), (2.0, 3, true));
        let config = [
            ("command", "true"),
            ("frequency", "0.5"),
            ("failure_amount", "2"),
            ("bang-on-failure", "False"),
        ];
        let command = check("check_command_execute", &config).unwrap();
        assert_eq!((command.periodicity, command.anomaly.failure_amount, command.bangs), (0.5, 2, false));
        assert_eq!(command.check, Check::Shell("true".to_owned()));
    }

    #[test]
    fn what_cannot_run_says_why() {
        for (module, config, expected) in [
            ("check_neo_health", &[][..], "module slapos.promise.plugin.check_neo_health"),
            ("check_command_execute", &[], "`command` is missing"),
            ("check_socket_listening", &[("frequency", "0")], "periodicity"),
            (
                "check_socket_listening",
                &[("frequency", "often")],
                "`frequency` is 'often': expected a number",
            ),
            ("check_socket_listening", &[("result-count", "-1")], "`result-count` is '-1'"),
            ("check_socket_listening", &[("bang-on-failure", "no")], "no is neither True nor False."),
        ] {
            let error = check(module, config).unwrap_err();
            assert!(error.contains(expected), "{error:?} does not contain {expected:?}");
        }
        let mut other = plugin("check_url_available", &[]);
        other.class = "Other".to_owned();
        assert!(Promise::from_plugin(&other, Duration::from_secs(20)).is_err());
    }
}
