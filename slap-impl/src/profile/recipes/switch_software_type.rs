//! slapos.cookbook:switch-softwaretype: runs the profile of the instance's software type as a buildout inside this one.
//!
//! The option named like the software type (`RootSoftwareInstance` falls back to `default`) says `section:option`, which
//! holds the profile's path; the typed option `override` may map the type to a profile that is applied on top. The
//! buildout inside gets this one's offline, verbosity, newest and egg directories, all of `[slap-connection]`, and
//! `[slap-configuration]` as it is here, typed; what it installed is remembered in `.installed-SECTION.cfg`
//! (slapos/recipe/switch_softwaretype.py).

use super::common::{self, Constructed, Done};
use crate::profile::{
    literal::Literal,
    recipe::{Nested, Options, Part, Recipe, RecipeError},
};
use std::path::PathBuf;

const SHARED_OPTIONS: [&str; 6] =
    ["offline", "verbosity", "newest", "directory", "eggs-directory", "develop-eggs-directory"];

struct Switch {
    nested: Nested,
}

/// Makes the recipe.
pub(super) fn construct(options: &dyn Options) -> Constructed<'_> {
    Box::pin(async move {
        let unnamed = || {
            options
                .error(
                    None,
                    "the section that holds the instance's parameters must be named [slap-configuration]",
                )
                .hint("its recipe is slapos.cookbook:slapconfiguration or one of its kin")
        };
        if !options.has_section("slap-configuration") {
            return Err(unnamed());
        }
        let configuration = options.other("slap-configuration").await?;
        let requested = configuration.get("slap-software-type").cloned().ok_or_else(unnamed)?;
        let (software_type, target) = target(options, requested)?;
        let parts: Vec<&str> = target.split(':').collect();
        let [section, key] = parts[..] else {
            return Err(options
                .error(Some(&software_type), format!("{target:?}: expected section:option"))
                .hint("write `section:option`, where option is usually `output`, not `${section:option}`"));
        };
        let profile = options.other(section).await?.remove(key).ok_or_else(|| {
            options.error(Some(&software_type), format!("section [{section}] has no option {key:?}"))
        })?;
        let mut nested = Nested {
            file: options.absolute(profile),
            installed: options.absolute(format!(".installed-{}.cfg", options.section())),
            ..Nested::default()
        };
        nested.extra.extend(on_top(options, &software_type)?);
        let buildout = options.other("buildout").await?;
        for option in SHARED_OPTIONS {
            if let Some(value) = buildout.get(option) {
                nested.overrides.push(("buildout".to_owned(), option.to_owned(), value.clone()));
            }
        }
        for (option, value) in options.other("slap-connection").await? {
            nested.overrides.push(("slap-connection".to_owned(), option, value));
        }
        nested.injected.insert("slap-configuration".to_owned(), configuration);
        Ok(Box::new(Switch { nested }) as Box<dyn Recipe>)
    })
}

/// The software type that has an option here, and the option's text.
fn target(options: &dyn Options, software_type: String) -> Result<(String, String), RecipeError> {
    if let Some(target) = options.get(&software_type) {
        return Ok((software_type, target));
    }
    let mapped: Vec<String> =
        options.all().into_keys().filter(|name| name != "recipe" && name != "override").collect();
    let hint = format!("mapped are: {}", mapped.join(", "));
    if software_type != "RootSoftwareInstance" {
        return Err(options
            .error(None, format!("the software type {software_type:?} isn't mapped"))
            .hint(hint));
    }
    match options.get("default") {
        Some(target) => Ok(("default".to_owned(), target)),
        None => Err(options
            .error(None, "the software type 'RootSoftwareInstance' isn't mapped, nor is 'default'")
            .hint(hint)),
    }
}

/// The profile that `override` has for the software type.
fn on_top(options: &dyn Options, software_type: &str) -> Result<Option<PathBuf>, RecipeError> {
    let Some(text) = options.get("override") else { return Ok(None) };
    let Some(map) = common::typed(options, "override", &text)? else { return Ok(None) };
    Ok(map.get(software_type).and_then(Literal::as_text).map(|path| options.absolute(path)))
}

impl Recipe for Switch {
    fn install<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move {
            part.run_nested(self.nested.clone()).await?;
            Ok(Vec::new())
        })
    }

    fn update<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        self.install(part)
    }
}
