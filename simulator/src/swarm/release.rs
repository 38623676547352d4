//! The releases of a swarm: one service and some promises, all of them foreign programs or checks of slap itself.

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

/// A release with one service, two promises that are executables, and those plugins.
pub(super) fn files(release: Release, plugins: &[Plugin]) -> [(&'static str, String); 2] {
    let software = "[buildout]\nparts = instance-profile\n\
        [instance-profile]\nrecipe = slapos.recipe.template\nurl = ${:_profile_base_location_}/instance.cfg.in\n\
        output = ${buildout:directory}/instance.cfg\n";
    let names: String = plugins.iter().map(|plugin| format!(" {}", name(*plugin))).collect();
    let mut instance = format!(
        "[buildout]\nparts = service check check-again publish{names}\n\
         eggs-directory = ${{buildout:eggs-directory}}\ndevelop-eggs-directory = ${{buildout:develop-eggs-directory}}\noffline = true\n\
         [slap-configuration]\nrecipe = slapos.cookbook:slapconfiguration\ncomputer = $${{slap-connection:computer-id}}\n\
         partition = $${{slap-connection:partition-id}}\nurl = $${{slap-connection:server-url}}\n\
         key = $${{slap-connection:key-file}}\ncert = $${{slap-connection:cert-file}}\nconfiguration.note =\n\
         [directory]\nrecipe = slapos.cookbook:mkdirectory\netc = $${{buildout:directory}}/etc\n\
         service = $${{:etc}}/service\npromise = $${{:etc}}/promise\nplugin = $${{:etc}}/plugin\n\
         [service]\nrecipe = slapos.cookbook:wrapper\ncommand-line = /bin/foreign service $${{slap-configuration:ipv4-random}}\n\
         wrapper-path = $${{directory:service}}/worker-{release}\n\
         [check]\nrecipe = slapos.cookbook:wrapper\ncommand-line = /bin/foreign check\n\
         wrapper-path = $${{directory:promise}}/worker-runs\n\
         [check-again]\nrecipe = slapos.cookbook:wrapper\ncommand-line = /bin/foreign check-again\n\
         wrapper-path = $${{directory:promise}}/worker-works\n\
         [publish]\nrecipe = slapos.cookbook:publish\nnote = $${{slap-configuration:configuration.note}}\nrelease = {release}\n",
        release = directory(release)
    );
    for plugin in plugins {
        let (name, (module, parameters)) = (name(*plugin), check(*plugin, release));
        let _ = write!(
            instance,
            "[{name}]\nrecipe = slapos.cookbook:promise.plugin\neggs = slapos.toolbox\n\
             output = $${{directory:plugin}}/{name}.py\nmodule = slapos.promise.plugin.{module}\n{parameters}"
        );
    }
    [("software.cfg", software.to_owned()), ("instance.cfg.in", instance)]
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
