//! slapos.cookbook:mkdirectory: directories, one an option.
//!
//! Every option but `recipe` and `mode` is a path; missing directories are made with `mode` (0777) without the umask,
//! those above with 0777 without it. They hold data, so they belong to no part and are never removed
//! (slapos/recipe/mkdirectory.py). `_profile_base_location_`, which buildout itself adds, is no path.

use super::common::{self, Constructed, Done};
use crate::profile::recipe::{Options, Part, Recipe, RecipeError};

struct Directories {
    mode: u32,
}

/// Makes the recipe.
pub(super) fn construct(options: &dyn Options) -> Constructed<'_> {
    Box::pin(async move {
        let mode = common::mode(options, "mode")?.unwrap_or(0o777);
        Ok(Box::new(Directories { mode }) as Box<dyn Recipe>)
    })
}

impl Directories {
    fn make(&self, options: &dyn Options) -> Result<(), RecipeError> {
        let files = options.env().files();
        let mut paths: Vec<(String, String)> = options
            .all()
            .into_iter()
            .filter(|(option, _)| !["recipe", "mode", "_profile_base_location_"].contains(&&**option))
            .map(|(option, path)| (path, option))
            .collect();
        paths.sort();
        for (path, option) in paths.iter().filter(|(path, _)| !path.is_empty()) {
            let path = options.absolute(path);
            if files.is_directory(&path) {
                continue;
            }
            common::make_parent(options, &path)?;
            files.create_directory(&path, self.mode & !options.umask()).map_err(|error| {
                RecipeError::write(
                    files,
                    &path,
                    format!("directory {} cannot be made", path.display()),
                    &error,
                )
                .at(options.place(Some(option)))
                .section(options.section())
            })?;
        }
        Ok(())
    }
}

impl Recipe for Directories {
    fn install<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move {
            self.make(&**part)?;
            Ok(Vec::new())
        })
    }

    fn update<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        self.install(part)
    }
}
