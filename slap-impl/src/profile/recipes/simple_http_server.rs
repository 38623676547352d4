//! slapos.cookbook:simplehttpserver: a script that serves a directory over HTTP.
//!
//! One of host and port, or socketpath; base-path, log-file, allow-write; the script stands at `wrapper`. The option
//! `address` is set as upstream sets it, typed (slapos/recipe/simplehttpserver/__init__.py).
//! Native difference: the script is no Python but `/bin/sh`, and becomes this program's `http-server`; its mode is that
//! of buildout's scripts, 0777 without the umask. `abstract`, `cert-file` and `key-file` are refused by name.

use super::{
    common::{self, Constructed, Done},
    wrapper::script,
};
use crate::profile::{
    literal::Literal,
    recipe::{Options, Part, Recipe, RecipeError},
};
use std::{collections::BTreeMap, path::PathBuf};

/// Where it listens.
enum Place {
    Tcp(String, u16),
    Socket(PathBuf),
}

struct Server {
    place: Place,
}

/// Makes the recipe.
pub(super) fn construct(options: &dyn Options) -> Constructed<'_> {
    Box::pin(async move {
        common::refuse(options, &["abstract"], "use socketpath")?;
        common::refuse(options, &["cert-file", "key-file"], "this server speaks plain HTTP only")?;
        let (host, port) = (common::given(options, "host"), common::given(options, "port"));
        let place = match (host, port, common::given(options, "socketpath")) {
            (Some(host), Some(port), None) => {
                let port: u16 = port.trim().parse().map_err(|_| {
                    options.error(Some("port"), format!("port = {port:?}: expected a port, 0 to 65535"))
                })?;
                let pair = vec![Literal::text(&host), Literal::Int(port.into())];
                options.set("address", &Literal::Tuple(pair).dump());
                Place::Tcp(host, port)
            }
            (None, None, Some(path)) => {
                options.set("address", &path);
                Place::Socket(options.absolute(path))
            }
            _ => return Err(options.error(None, "Specify one of (host, port) | socketpath | abstract")),
        };
        allow_write(options)?;
        Ok(Box::new(Server { place }) as Box<dyn Recipe>)
    })
}

/// As zc.buildout reads a truth: `true` or `false`.
fn allow_write(options: &dyn Options) -> Result<bool, RecipeError> {
    common::strict_truth(options, "allow-write", false)
}

impl Server {
    fn words(&self, options: &dyn Options) -> Result<Vec<String>, RecipeError> {
        let mut words =
            vec![options.env().context().executable.display().to_string(), "http-server".to_owned()];
        match &self.place {
            Place::Tcp(host, port) => {
                words.extend(["--host".to_owned(), host.clone(), "--port".to_owned(), port.to_string()]);
            }
            Place::Socket(path) => words.extend(["--socket-path".to_owned(), path.display().to_string()]),
        }
        for (word, option) in [("--directory", "base-path"), ("--log", "log-file")] {
            let path = options.absolute(options.required(option)?);
            words.extend([word.to_owned(), path.display().to_string()]);
        }
        if allow_write(options)? {
            words.push("--allow-write".to_owned());
        }
        Ok(words)
    }
}

impl Recipe for Server {
    fn install<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move {
            let options: &dyn Options = &**part;
            let wrapper = options.required("wrapper")?;
            let path = options.absolute(wrapper.trim());
            let text = script(&self.words(options)?, &BTreeMap::new(), None);
            common::put(options, &path, text.as_bytes(), 0o777 & !options.umask())?;
            Ok(vec![path])
        })
    }

    fn update<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        self.install(part)
    }
}
