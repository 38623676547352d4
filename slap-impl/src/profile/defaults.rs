//! The options that `[buildout]` has before any profile is read, and those that are refused after.
//!
//! The names and values are zc.buildout 3.0.1's (buildout.py, `_buildout_default_options`), so that a profile which refers
//! to them finds them.

use super::{
    merge::Sections,
    recipe::{Place, RecipeError},
    syntax::{Section, Value},
};
use crate::env::{Env, normalize};
use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

const DEFAULTS: [(&str, &str); 24] = [
    ("allow-hosts", "*"),
    ("allow-picked-versions", "true"),
    ("allow-unknown-extras", "false"),
    ("bin-directory", "bin"),
    ("check-signature", "true"),
    ("develop-eggs-directory", "develop-eggs"),
    ("dry-run", "false"),
    ("eggs-directory", "eggs"),
    ("eggs-directory-version", "v5"),
    ("find-links", ""),
    ("install-from-cache", "false"),
    ("installed", ".installed.cfg"),
    ("log-format", ""),
    ("log-level", "INFO"),
    ("newest", "true"),
    ("offline", "false"),
    ("parts-directory", "parts"),
    ("prefer-final", "true"),
    ("python", "buildout"),
    ("show-picked-versions", "false"),
    ("socket-timeout", ""),
    ("update-versions-file", ""),
    ("use-dependency-links", "true"),
    ("versions", "versions"),
];

/// Options that would change what a run does, and are not served: `(option, the value that is fine)`.
const REFUSED: [(&str, &str); 4] =
    [("develop", ""), ("dry-run", "false"), ("extensions", ""), ("check-signature", "true")];

/// The sections that a run begins with. `directory` is the buildout directory unless a profile says another.
pub fn sections(env: &Env, directory: &Path) -> Sections {
    let place = Place::nowhere("defaults");
    let mut buildout = Section::new(place.clone());
    for (option, value) in DEFAULTS {
        buildout.set(option, Value::new(value, &place));
    }
    buildout.set("directory", Value::new(&directory.display().to_string(), &place));
    buildout.set("executable", Value::new(&env.context().executable.display().to_string(), &place));
    let mut sections = Sections::new();
    sections.insert("buildout".into(), buildout);
    sections.insert("versions".into(), Section::new(place));
    sections
}

/// Where a run happens.
#[derive(Debug)]
pub struct Found {
    /// The buildout directory.
    pub directory: PathBuf,
    /// The installed file; `None` when nothing shall be remembered.
    pub installed: Option<PathBuf>,
}

/// Makes the paths of `[buildout]` absolute, and refuses what is not served.
///
/// # Errors
/// When an option has a value that is not served.
pub fn complete(sections: &mut Sections, working: &Path) -> Result<Found, RecipeError> {
    let nowhere = || Section::new(Place::nowhere("defaults"));
    let buildout = sections.entry(Rc::from("buildout")).or_insert_with(nowhere);
    let at = |value: &Value, message: String| {
        RecipeError::new(message).at(value.place.clone()).section("buildout")
    };
    for (option, fine) in REFUSED {
        if let Some(value) = buildout.get(option).filter(|value| &*value.text != fine) {
            let text = &value.text;
            return Err(at(value, format!("buildout:{option} = {text:?} is not supported"))
                .hint(format!("leave it out, or say `{option} = {fine}`")));
        }
    }
    for option in ["directory", "installed"] {
        if let Some(value) = buildout.get(option).filter(|value| value.text.contains("${")) {
            return Err(at(value, format!("buildout:{option} refers to other options: {:?}", value.text))
                .hint("it must be known before options are evaluated"));
        }
    }
    let text = |section: &Section, option: &str| {
        section.get(option).map(|value| value.text.to_string()).unwrap_or_default()
    };
    let directory = normalize(&working.join(text(buildout, "directory")));
    let directories =
        ["bin-directory", "parts-directory", "eggs-directory", "develop-eggs-directory", "extends-cache"];
    for option in ["directory"].into_iter().chain(directories) {
        let Some(value) = buildout.get(option).filter(|value| !value.text.contains("${")) else { continue };
        if !value.text.is_empty() {
            let path = normalize(&directory.join(&*value.text));
            let value = Value::new(&path.display().to_string(), &value.place);
            buildout.set(option, value);
        }
    }
    let installed = Some(text(buildout, "installed")).filter(|installed| !installed.is_empty());
    let installed = installed.map(|installed| normalize(&directory.join(installed)));
    if let (Some(path), Some(value)) = (&installed, buildout.get("installed")) {
        let value = Value::new(&path.display().to_string(), &value.place);
        buildout.set("installed", value);
    }
    Ok(Found { directory, installed })
}
