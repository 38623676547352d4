//! The releases of a swarm with trees. The profile of an instance depends on its type and on the shared instances that it hosts:
//!
//! * of release A an instance of the default type requests a child of type `child`, and fails until that publishes;
//! * of release B it requests a shared instance of its own release, and goes on without what it is not given;
//! * each publishes its note and what it was given, and for each shared instance that instance's note.

use super::{Release, checks, directory, worker};
use crate::swarm::knobs::Plugin;
use std::fmt::Write;

/// The title of what an instance of the release requests.
pub(in crate::swarm) fn requested(release: Release) -> &'static str {
    match release {
        Release::A => "child",
        Release::B => "guest",
    }
}

/// The type of children.
pub(in crate::swarm) const CHILD: &str = "child";

const SOFTWARE: &str = "[buildout]\nparts = instance-profile inner-profile\n\
    [instance-profile]\nrecipe = slapos.recipe.template\nurl = ${:_profile_base_location_}/instance.cfg.in\n\
    output = ${buildout:directory}/instance.cfg\n\
    [inner-profile]\nrecipe = slapos.recipe.template\nurl = ${:_profile_base_location_}/inner.cfg.in\n\
    output = ${buildout:directory}/inner.cfg.jinja2\n";

const INSTANCE: &str = "[buildout]\nparts = switch\n\
    eggs-directory = ${buildout:eggs-directory}\ndevelop-eggs-directory = ${buildout:develop-eggs-directory}\noffline = true\n\
    [inner]\nrecipe = slapos.recipe.template:jinja2\nurl = ${buildout:directory}/inner.cfg.jinja2\n\
    output = $${buildout:directory}/inner.cfg\ncontext =\n  key kind slap-configuration:slap-software-type\n  \
    key hosted slap-configuration:slave-instance-list\n\
    [switch]\nrecipe = slapos.cookbook:switch-softwaretype\ndefault = inner:output\nchild = inner:output\n";

/// The files of such a release.
pub(super) fn files(release: Release, plugins: &[Plugin]) -> Vec<(&'static str, String)> {
    let names = super::names(plugins);
    let (title, release_name) = (requested(release), directory(release));
    let (recipe, shared, kind) = match release {
        Release::A => ("request", false, CHILD),
        Release::B => ("requestoptional", true, "default"),
    };
    let mut inner = format!(
        "[buildout]\nparts = service check check-again publish{names}\
         {{% for _ in hosted %}} publish-{{{{ loop.index }}}}{{% endfor %}}\n{}{}",
        worker(release),
        checks(release, plugins)
    );
    let _ = write!(
        inner,
        "[publish]\nrecipe = slapos.cookbook:publish\nnote = $${{slap-configuration:configuration.note}}\n\
         release = {release_name}\n\
         {{% if kind == 'default' %}}\n{title} = $${{other:connection-note}}\n\
         [other]\n<= slap-connection\nrecipe = slapos.cookbook:{recipe}\nsoftware-url = $${{:software-release-url}}\n\
         software-type = {kind}\nname = {title}\nshared = {shared}\n\
         config-note = $${{slap-configuration:configuration.note}}\nreturn = note\n{{% endif %}}\n\
         [more]\nrecipe =\nrelease = {release_name}\n\
         {{% for one in hosted %}}\n[publish-{{{{ loop.index }}}}]\nrecipe = slapos.cookbook:publish\n-extends = more\n\
         -slave-reference = {{{{ one['slave_reference'] }}}}\nnote = {{{{ one['note'] }}}}\n{{% endfor %}}\n"
    );
    vec![
        ("software.cfg", SOFTWARE.to_owned()),
        ("instance.cfg.in", format!("{INSTANCE}{}", super::CONFIGURATION)),
        ("inner.cfg.in", inner),
    ]
}
