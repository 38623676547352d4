//! The recipes: one file each, and the [`REGISTRY`] of their names.
//!
//! Each is faithful to the Python recipe of the same name in the files that it makes, their modes and the options that it
//! sets; where being native forces a difference, the file's first comment says so. An option that changes what is made and
//! is not supported yet is refused by name.
//! `common` holds what they share: reading, writing, modes, shell words.

mod common;
mod download;
mod free_port;
mod jinja2_template;
mod mkdirectory;
mod password;
mod password_scheme;
mod pretty;
mod promise_plugin;
mod publish;
mod request;
mod simple_http_server;
mod slap_configuration;
mod switch_software_type;
mod template;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_with_master;
mod wrapper;

use super::registry::Registry;

/// The recipes that profiles can name.
pub const REGISTRY: Registry = Registry(&[
    ("slapos.cookbook:free_port", free_port::construct),
    ("slapos.cookbook:generate.password", password::construct),
    ("slapos.cookbook:mkdirectory", mkdirectory::construct),
    ("slapos.cookbook:promise.plugin", promise_plugin::construct),
    ("slapos.cookbook:publish", publish::construct),
    ("slapos.cookbook:request", request::construct),
    ("slapos.cookbook:requestoptional", request::construct_optional),
    ("slapos.cookbook:simplehttpserver", simple_http_server::construct),
    ("slapos.cookbook:slapconfiguration", slap_configuration::construct),
    ("slapos.cookbook:switch-softwaretype", switch_software_type::construct),
    ("slapos.cookbook:wrapper", wrapper::construct),
    ("slapos.recipe.build:download", download::construct),
    ("slapos.recipe.template", template::construct),
    ("slapos.recipe.template:jinja2", jinja2_template::construct),
]);
