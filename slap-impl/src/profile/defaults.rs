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

/// Options that would change what a run does, and are not served: `(option, the value that is fine)`. docs/buildout.md
/// tells of each option what becomes of it.
const REFUSED: [(&str, &str); 6] = [
    ("check-signature", "true"),
    ("develop", ""),
    ("download-cache", ""),
    ("dry-run", "false"),
    ("extensions", ""),
    ("install-from-cache", "false"),
];

/// Options that must be `true` or `false`, though most are about eggs.
const TRUTHS: [&str; 7] = [
    "abi-tag-eggs",
    "allow-picked-versions",
    "newest",
    "offline",
    "prefer-final",
    "show-picked-versions",
    "use-dependency-links",
];

const LOG_LEVELS: [&str; 5] = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];

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
    for option in ["directory", "installed", "offline", "versions", "extends-cache"] {
        if let Some(value) = buildout.get(option).filter(|value| value.text.contains("${")) {
            return Err(at(value, format!("buildout:{option} refers to other options: {:?}", value.text))
                .hint("it must be known before options are evaluated"));
        }
    }
    for option in TRUTHS.into_iter().chain(["log-level", "verbosity"]) {
        let Some(value) = buildout.get(option).filter(|value| !value.text.contains("${")) else { continue };
        let is_number = value.text.trim().parse::<i64>().is_ok();
        let (fits, expected) = match option {
            "log-level" => {
                (is_number || LOG_LEVELS.contains(&&*value.text), "a level such as INFO, or a number")
            }
            "verbosity" => (is_number, "a number"),
            _ => (["true", "false"].contains(&&*value.text), "`true` or `false`"),
        };
        if !fits {
            return Err(at(value, format!("buildout:{option} is {:?}: expected {expected}", value.text)));
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
        if value.text.starts_with('~') {
            let message = format!("buildout:{option} = {:?}: a home directory is not supported", value.text);
            return Err(at(value, message).hint("say the whole path"));
        }
        if !value.text.is_empty() {
            // These two lie beside the profile that says so (zc.buildout 3.0.1, `Buildout.__init__`).
            let beside = match Path::new(&*value.place.file).parent() {
                Some(parent)
                    if ["eggs-directory", "extends-cache"].contains(&option) && parent.is_absolute() =>
                {
                    parent.to_owned()
                }
                _ => directory.clone(),
            };
            let path = normalize(&beside.join(&*value.text));
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
    let versions = buildout.get("versions").filter(|value| !value.text.is_empty()).cloned();
    if let Some(value) = versions.filter(|value| !sections.contains_key(&value.text)) {
        let message = format!("buildout:versions names the section {:?}, which is not there", value.text);
        return Err(RecipeError::new(message).at(value.place).section("buildout"));
    }
    Ok(Found { directory, installed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{merge, syntax};

    fn check(option: &str, expected: &str) {
        let mut sections = Sections::new();
        let document = syntax::parse(&format!("[buildout]\nparts =\n{option}\n"), "p.cfg").expect(option);
        merge::update(&mut sections, &document).expect(option);
        let error = complete(&mut sections, Path::new("/b")).expect_err(option).to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("at p.cfg:3, section [buildout]"), "{error}");
    }

    #[test]
    fn what_is_refused_is_named_with_its_place() {
        for option in ["develop = .", "extensions = x", "download-cache = c", "install-from-cache = true"] {
            check(option, &format!("buildout:{}", option.split(' ').next().expect("a name")));
        }
        check("dry-run = true", "say `dry-run = false`");
        check("check-signature = false", "say `check-signature = true`");
        check("offline = yes", "buildout:offline is \"yes\": expected `true` or `false`");
        check("newest = ", "expected `true` or `false`");
        check("abi-tag-eggs = 1", "expected `true` or `false`");
        check("log-level = LOUD", "expected a level");
        check("verbosity = much", "expected a number");
        check("offline = ${a:b}", "refers to other options");
        check("versions = nothing", "names the section \"nothing\"");
        check("eggs-directory = ~/eggs", "~");
    }
}
