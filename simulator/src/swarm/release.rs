//! The releases of a swarm: one service and some promises, all of them foreign programs or checks of slap itself.

pub(super) mod trees;

use super::{knobs::Plugin, script::Release};
use crate::world::foreign::PORT;
use std::fmt::Write;

/// Its directory on the server.
pub(super) fn directory(release: Release) -> &'static str {
    match release {
        Release::A => "a",
        Release::B => "b",
    }
}

/// What asks the master about the instance.
const CONFIGURATION: &str = "[slap-configuration]\nrecipe = slapos.cookbook:slapconfiguration\n\
    computer = $${slap-connection:computer-id}\npartition = $${slap-connection:partition-id}\n\
    url = $${slap-connection:server-url}\nkey = $${slap-connection:key-file}\ncert = $${slap-connection:cert-file}\n\
    configuration.note =\n";

/// A release with one service, two promises that are executables, and those plugins; with trees, one whose instances request others.
pub(super) fn files(release: Release, plugins: &[Plugin], has_trees: bool) -> Vec<(&'static str, String)> {
    if has_trees {
        return trees::files(release, plugins);
    }
    let software = "[buildout]\nparts = instance-profile\n\
        [instance-profile]\nrecipe = slapos.recipe.template\nurl = ${:_profile_base_location_}/instance.cfg.in\n\
        output = ${buildout:directory}/instance.cfg\n";
    let instance = format!(
        "[buildout]\nparts = service check check-again publish{names}\n\
         eggs-directory = ${{buildout:eggs-directory}}\ndevelop-eggs-directory = ${{buildout:develop-eggs-directory}}\noffline = true\n\
         {CONFIGURATION}{worker}\
         [publish]\nrecipe = slapos.cookbook:publish\nnote = $${{slap-configuration:configuration.note}}\nrelease = {release}\n\
         {checks}",
        names = names(plugins),
        worker = worker(release),
        release = directory(release),
        checks = checks(release, plugins),
    );
    vec![("software.cfg", software.to_owned()), ("instance.cfg.in", instance)]
}

/// The parts of the service and of the promises that are executables.
fn worker(release: Release) -> String {
    format!(
        "[directory]\nrecipe = slapos.cookbook:mkdirectory\netc = $${{buildout:directory}}/etc\n\
         service = $${{:etc}}/service\npromise = $${{:etc}}/promise\nplugin = $${{:etc}}/plugin\n\
         [service]\nrecipe = slapos.cookbook:wrapper\ncommand-line = /bin/foreign service $${{slap-configuration:ipv4-random}}\n\
         wrapper-path = $${{directory:service}}/worker-{release}\n\
         [check]\nrecipe = slapos.cookbook:wrapper\ncommand-line = /bin/foreign check\n\
         wrapper-path = $${{directory:promise}}/worker-runs\n\
         [check-again]\nrecipe = slapos.cookbook:wrapper\ncommand-line = /bin/foreign check-again\n\
         wrapper-path = $${{directory:promise}}/worker-works\n",
        release = directory(release)
    )
}

/// The parts of the promises that are plugins.
fn checks(release: Release, plugins: &[Plugin]) -> String {
    let mut text = String::new();
    for plugin in plugins {
        let (name, (module, parameters)) = (name(*plugin), check(*plugin, release));
        let _ = write!(
            text,
            "[{name}]\nrecipe = slapos.cookbook:promise.plugin\neggs = slapos.toolbox\n\
             output = $${{directory:plugin}}/{name}.py\nmodule = slapos.promise.plugin.{module}\n{parameters}"
        );
    }
    text
}

/// The names of these parts, each after a space.
fn names(plugins: &[Plugin]) -> String {
    plugins.iter().map(|plugin| format!(" {}", name(*plugin))).collect()
}

/// A release whose service has its address in its name: it is another one when the partition gets other addresses. What is only
/// written anew, under the same name, is not started again (docs/node.md, 5).
pub(super) fn named_by_address(text: &str, release: Release) -> String {
    let name = format!("wrapper-path = $${{directory:service}}/worker-{}", directory(release));
    text.replace(&name, &format!("{name}-$${{slap-configuration:ipv4-random}}"))
}

/// What a plugin's part and promise are called.
fn name(plugin: Plugin) -> &'static str {
    match plugin {
        Plugin::Socket => "worker-listens",
        Plugin::Url => "worker-answers",
        Plugin::Command => "worker-succeeds",
    }
}

/// A plugin's module and parameters.
fn check(plugin: Plugin, release: Release) -> (&'static str, String) {
    let host = "$${slap-configuration:ipv4-random}";
    match plugin {
        Plugin::Socket => ("check_socket_listening", format!("config-host = {host}\nconfig-port = {PORT}\n")),
        Plugin::Url => ("check_url_available", format!("config-url = http://{host}:{PORT}/\n")),
        Plugin::Command => {
            // One of them bangs, the other does not.
            let bangs = release == Release::A;
            let parameters = format!(
                "config-command = exec /bin/foreign check-command\nconfig-frequency = 1\nconfig-bang-on-failure = {bangs}\n"
            );
            ("check_command_execute", parameters)
        }
    }
}
