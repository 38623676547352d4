//! slapos.recipe.build:download: a file from a URL or a path, in a directory of its own.
//!
//! `location` is `${buildout:parts-directory}/SECTION`, made anew at each installation, and the file in it is called as
//! the end of `filename` says, else as the section; or `destination` says where the file itself is. Sets `location` and `target`.
//! Without `md5sum` an update downloads again (slapos/recipe/download.py).
//! Native differences: everything must lie inside the buildout directory; the file's mode is 0666 without the umask (upstream's
//! depends on its cache); `shared = true` is treated as where no shared directory can be written; `alternate-url` is
//! tried when `url` fails.

use super::{
    common::{self, Constructed, Done},
    template::is_offline,
};
use crate::profile::{
    recipe::{Options, Part, Recipe, RecipeError},
    removal,
};
use std::path::PathBuf;

struct Download {
    url: String,
    alternate: Option<String>,
    md5sum: Option<String>,
    offline: bool,
    location: PathBuf,
    target: PathBuf,
}

/// Makes the recipe.
pub(super) fn construct(options: &dyn Options) -> Constructed<'_> {
    Box::pin(async move {
        let url = options.required("url")?;
        let md5sum = common::given(options, "md5sum");
        let shared = common::strict_truth(options, "shared", false)?;
        let offline = match common::given(options, "offline") {
            Some(_) => common::strict_truth(options, "offline", false)?,
            None => is_offline(options).await?,
        };
        if options.get("mode").is_some() {
            return Err(options.error(Some("mode"), "option 'mode' not supported"));
        }
        if shared && md5sum.is_none() {
            return Err(options.error(None, "When shared=true, option 'md5sum' must be set"));
        }
        let parts = options.other("buildout").await?.remove("parts-directory").unwrap_or_default();
        let mut location = options.absolute(parts).join(options.section());
        let target = match common::given(options, "destination") {
            Some(_) if shared => {
                return Err(
                    options.error(Some("destination"), "When shared=true, option 'destination' can't be set")
                );
            }
            Some(destination) => {
                location = options.absolute(destination);
                location.clone()
            }
            None => {
                let name = common::given(options, "filename").unwrap_or_else(|| options.section().to_owned());
                let name = name.rsplit('/').next().unwrap_or_default();
                if ["", ".", ".."].contains(&name) {
                    return Err(options.error(Some("filename"), "filename names no file"));
                }
                options.set("location", &location.display().to_string());
                location.join(name)
            }
        };
        if !location.starts_with(options.directory()) || location == options.directory() {
            return Err(options.error(
                None,
                format!("{} is not inside {}", location.display(), options.directory().display()),
            ));
        }
        options.set("target", &target.display().to_string());
        let alternate = common::given(options, "alternate-url");
        Ok(Box::new(Download { url, alternate, md5sum, offline, location, target }) as Box<dyn Recipe>)
    })
}

impl Download {
    async fn fetch(&self, options: &dyn Options) -> Result<Vec<u8>, RecipeError> {
        let md5sum = self.md5sum.as_deref();
        let first = common::fetch(options, "url", &self.url, md5sum, self.offline).await;
        match (first, &self.alternate) {
            (Err(_), Some(alternate)) => {
                common::fetch(options, "alternate-url", alternate, md5sum, self.offline).await
            }
            (result, _) => result,
        }
    }

    fn put(&self, options: &dyn Options, content: &[u8]) -> Result<(), RecipeError> {
        common::make_parent(options, &self.target)?;
        common::put(options, &self.target, content, 0o666 & !options.umask())
    }
}

impl Recipe for Download {
    fn install<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move {
            let options: &dyn Options = &**part;
            let removed = removal::remove(options.env().files(), options.directory(), &self.location);
            removed.map_err(|reason| options.error(None, reason))?;
            part.created(&self.location);
            let content = self.fetch(options).await?;
            self.put(options, &content)?;
            Ok(vec![self.location.clone()])
        })
    }

    fn update<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move {
            if self.md5sum.is_none() {
                let content = self.fetch(&**part).await?;
                self.put(&**part, &content)?;
            }
            Ok(Vec::new())
        })
    }
}
