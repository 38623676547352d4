//! The run: from a profile and what was installed last time to what is installed now.
//!
//! * [`Settings`]: which profile, which overrides; [`run`]: everything; [`run_nested`]: a buildout inside one
//! * `defaults.rs`: the options that `[buildout]` has before any profile is read
//!
//! The steps: read the profile and the installed file; evaluate all parts; uninstall, last one first, what is not wanted
//! any more, differs, or has lost a path; install or update the others in order; save the installed file, also
//! after a failure, so that what is done is remembered. A part that fails leaves none of the paths that it noted.

use super::{
    defaults,
    durable::{self, Doubt},
    evaluate::Evaluation,
    installed::{self, Installed, PATHS_OPTION, SIGNATURE_OPTION},
    journal::Journal,
    merge,
    recipe::{Nested, OptionMap, Part, Place, RecipeError},
    registry::Registry,
    removal, signature,
    source::{Location, Source},
    syntax::{Document, Operation, Section, Value},
};
use crate::env::Env;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    rc::Rc,
};

/// Buildouts may run inside each other so deep.
const NESTED_MAX: usize = 4;
/// The file that is locked while a run is under way.
const LOCK: &str = ".slap-buildout.lock";

/// What to run.
#[derive(Clone)]
pub struct Settings {
    /// The profile: a path or an http URL.
    pub file: String,
    /// Profiles that are applied after it.
    pub extra: Vec<PathBuf>,
    /// `(section, option, value)` that win over the profiles; an option may end with `+` or `-`.
    pub overrides: Vec<(String, String, String)>,
    /// Sections with options that are final already.
    pub injected: BTreeMap<String, OptionMap>,
    /// The buildout directory, unless an override says another; where the profile is, if `None`.
    pub directory: Option<PathBuf>,
    /// Only these parts, and what they need; nothing is uninstalled because it is not wanted. Empty for all.
    pub parts: Vec<String>,
    /// Permission bits that files shall not have.
    pub umask: u32,
    /// Whether progress is not told.
    pub quiet: bool,
    /// The recipes that exist.
    pub registry: Registry,
    /// How many buildouts run around this one.
    pub nested: usize,
}

impl Settings {
    /// The profile `file`, with nothing else said.
    pub fn new(file: impl Into<String>, registry: Registry) -> Settings {
        Settings {
            file: file.into(),
            extra: Vec::new(),
            overrides: Vec::new(),
            injected: BTreeMap::new(),
            directory: None,
            parts: Vec::new(),
            umask: 0o027,
            quiet: false,
            registry,
            nested: 0,
        }
    }
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Parts that were uninstalled, in order.
    pub uninstalled: Vec<String>,
    /// Parts that were installed, in order.
    pub installed: Vec<String>,
    /// Parts that were updated, in order.
    pub updated: Vec<String>,
}

/// Runs a profile.
///
/// # Errors
/// When a profile cannot be read or evaluated (then nothing was changed), or a part cannot be installed.
pub async fn run(env: &Env, settings: Settings) -> Result<Outcome, RecipeError> {
    if settings.nested > NESTED_MAX {
        return Err(RecipeError::new(format!("more than {NESTED_MAX} buildouts run inside each other")));
    }
    let prepared = prepare(env, &settings).await?;
    let Prepared { mut evaluation, installed_path, .. } = prepared;
    // A nested run happens under the lock of the one around it.
    let _lock = if settings.nested == 0 { Some(lock(env, &evaluation.directory)?) } else { None };
    let mut installed = match &installed_path {
        Some(path) => installed::read(env, path)?,
        None => Installed::default(),
    };
    evaluation.previous = installed.options.clone();
    for options in evaluation.previous.values_mut() {
        options.remove(PATHS_OPTION);
        options.remove(SIGNATURE_OPTION);
    }
    let journal = installed_path.as_deref().map(Journal::of);
    if let Some(journal) = &journal {
        journal.recover(env, &mut installed);
    }
    let installing = |error: RecipeError| error.during("Installing");
    let parts = evaluate_parts(&evaluation, &settings.parts).await.map_err(installing)?;
    make_directories(&evaluation).await.map_err(installing)?;
    let mut changes = Changes { evaluation: &evaluation, installed, journal, outcome: Outcome::default() };
    let result = changes.apply(&parts, settings.parts.is_empty()).await;
    if let Some(path) = &installed_path {
        // What is noted as installed is never written again, so it must outlive the machine's power as the note does.
        let doubt = Doubt::of(path);
        let is_in_doubt = doubt.is_there(env);
        let paths = if is_in_doubt { changes.all_paths() } else { changes.paths() };
        let saved = durable::make_durable(env, path.parent().unwrap_or(path), &paths, is_in_doubt)
            .inspect_err(|_| doubt.note(env))
            .and_then(|()| installed::save(env, path, &changes.installed, 0o666 & !settings.umask));
        if let (Ok(()), Some(journal)) = (&saved, &changes.journal) {
            journal.remove(env);
        }
        if saved.is_ok() && is_in_doubt {
            doubt.remove(env);
        }
        // The first failure is the one that explains.
        if let (Err(error), Err(_)) = (&saved, &result) {
            env.tell(error);
        }
        result.and(saved)?;
    } else {
        result?;
    }
    Ok(changes.outcome)
}

/// Runs a buildout inside `around`: same directory, same door, its own installed file.
///
/// # Errors
/// As for [`run`].
pub async fn run_nested(around: &Evaluation, nested: Nested) -> Result<(), RecipeError> {
    let mut overrides = nested.overrides;
    overrides.push(("buildout".into(), "installed".into(), nested.installed.display().to_string()));
    let settings = Settings {
        file: nested.file.display().to_string(),
        extra: nested.extra,
        overrides,
        injected: nested.injected,
        directory: Some(around.directory.clone()),
        parts: Vec::new(),
        umask: around.umask,
        quiet: around.quiet,
        registry: around.registry,
        nested: around.nested + 1,
    };
    run(&around.env, settings).await.map(drop)
}

/// Makes the directories of the profile and `bin/buildout`, which runs this program (`buildout bootstrap`).
///
/// # Errors
/// When a profile cannot be read, or something cannot be written.
pub async fn bootstrap(env: &Env, settings: Settings) -> Result<PathBuf, RecipeError> {
    let Prepared { evaluation, .. } = prepare(env, &settings).await?;
    evaluation.section("buildout", None).await?;
    make_directories(&evaluation).await?;
    let bin = evaluation.option("buildout", "bin-directory").await?.unwrap_or_default();
    let script = PathBuf::from(&*bin).join("buildout");
    let program = env.context().executable.display().to_string().replace('\'', "'\\''");
    let content = format!("#!/bin/sh\nexec '{program}' buildout \"$@\"\n");
    env.files().replace(&script, content.as_bytes(), 0o777 & !settings.umask).map_err(|error| {
        let what = format!("{} cannot be written", script.display());
        RecipeError::write(env.files(), &script, what, &error).during("Bootstrapping")
    })?;
    Ok(script)
}

struct Prepared {
    evaluation: Evaluation,
    /// `None` when nothing is remembered.
    installed_path: Option<PathBuf>,
}

/// Reads the profiles.
async fn prepare(env: &Env, settings: &Settings) -> Result<Prepared, RecipeError> {
    let initializing = |error: RecipeError| error.during("Initializing");
    let working = &env.context().directory;
    let location = Location::new(&settings.file, working)
        .map_err(|error| initializing(RecipeError::new(format!("the profile {}: {error}", settings.file))))?;
    let overridden = |wanted: &str| {
        let all = settings.overrides.iter().rev();
        all.filter(|(section, option, _)| section == "buildout" && option == wanted)
            .map(|(_, _, value)| value)
            .next()
    };
    let home = match (&settings.directory, &location) {
        (Some(directory), _) => directory.clone(),
        (None, Location::Path(path)) => path.parent().unwrap_or(path).to_owned(),
        (None, Location::Url(_)) => working.clone(),
    };
    let cache = overridden("extends-cache").filter(|cache| !cache.is_empty()).map(|cache| home.join(cache));
    let offline = overridden("offline").map(|offline| offline == "true");
    let mut source = Source::new(env, offline, cache);
    let mut sections = defaults::sections(env, &home);
    merge::load(&mut source, &location, &mut sections).await.map_err(initializing)?;
    for extra in &settings.extra {
        let location = Location::Path(crate::env::normalize(&home.join(extra)));
        merge::load(&mut source, &location, &mut sections).await.map_err(initializing)?;
    }
    merge::update(&mut sections, &overrides(&settings.overrides)).map_err(initializing)?;
    let found = defaults::complete(&mut sections, working).map_err(initializing)?;
    let mut evaluation = Evaluation::new(env.clone(), found.directory, settings.registry, sections);
    evaluation.umask = settings.umask;
    evaluation.injected = settings.injected.clone();
    evaluation.nested = settings.nested;
    evaluation.quiet = settings.quiet;
    Ok(Prepared { evaluation, installed_path: found.installed })
}

/// The overrides as a profile.
fn overrides(overrides: &[(String, String, String)]) -> Document {
    let place = Place::nowhere("command line");
    let mut document = Document::default();
    for (section, option, value) in overrides {
        let section =
            document.sections.entry(Rc::from(&**section)).or_insert_with(|| Section::new(place.clone()));
        let (option, operation) = match (option.strip_suffix('+'), option.strip_suffix('-')) {
            (Some(option), _) => (option.trim_end(), Operation::Add),
            (_, Some(option)) => (option.trim_end(), Operation::Remove),
            _ => (&**option, Operation::Set),
        };
        section.options.insert((Rc::from(option), operation), Value::new(value, &place));
    }
    document
}

fn lock(env: &Env, directory: &Path) -> Result<Box<dyn crate::env::Lock>, RecipeError> {
    let path = directory.join(LOCK);
    match env.files().lock(&path) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(RecipeError::new(format!("another buildout runs in {}", directory.display()))
            .hint(format!("it holds {}; try again when it has ended", path.display()))),
        Err(error) => Err(RecipeError::write(
            env.files(),
            &path,
            format!("{} cannot be locked", path.display()),
            &error,
        )
        .hint("the buildout directory must exist and be writable")),
    }
}

/// Evaluates the parts and all that they need; returns what is to be installed, in order.
async fn evaluate_parts(evaluation: &Evaluation, only: &[String]) -> Result<Vec<String>, RecipeError> {
    evaluation.section("buildout", None).await?;
    // The pins have no effect, but a mistake in them is one.
    let versions = evaluation.option("buildout", "versions").await?.filter(|versions| !versions.is_empty());
    if let Some(versions) = versions {
        evaluation.section(&versions, None).await?;
    }
    let listed = evaluation.option("buildout", "parts").await?.ok_or_else(|| {
        RecipeError::new("Missing option: buildout:parts")
            .at(evaluation.place("buildout", None))
            .section("buildout")
            .hint("`parts =` is a profile that installs nothing")
    })?;
    let wanted: Vec<String> =
        if only.is_empty() { listed.split_whitespace().map(str::to_owned).collect() } else { only.to_vec() };
    for part in &wanted {
        let listed_at =
            |error: RecipeError| error.at(evaluation.place("buildout", Some("parts"))).section("buildout");
        evaluation.section(part, None).await.map_err(listed_at)?;
        let is_injected = evaluation.injected.contains_key(part);
        if !is_injected && evaluation.option(part, "recipe").await?.is_none() {
            return Err(RecipeError::new(format!("Missing option: {part}:recipe"))
                .at(evaluation.place(part, None))
                .section(part)
                .hint(format!(
                    "[{part}] is listed in buildout:parts; a section without work may say `recipe =`"
                )));
        }
    }
    let parts = evaluation.parts();
    let wanted: BTreeSet<&String> = wanted.iter().collect();
    Ok(match only {
        [] => parts,
        _ => parts.into_iter().filter(|part| wanted.contains(part)).collect(),
    })
}

/// Makes the directories that every buildout has, where they lie inside the buildout directory.
async fn make_directories(evaluation: &Evaluation) -> Result<(), RecipeError> {
    let files = evaluation.env.files();
    for option in ["bin-directory", "parts-directory", "develop-eggs-directory"] {
        let path = evaluation.option("buildout", option).await?.unwrap_or_default();
        let path = evaluation.directory.join(&*path);
        if files.exists(&path) || !path.starts_with(&evaluation.directory) {
            continue;
        }
        files.create_directory(&path, 0o777 & !evaluation.umask).map_err(|error| {
            RecipeError::write(files, &path, format!("directory {} cannot be made", path.display()), &error)
                .at(evaluation.place("buildout", Some(option)))
                .section("buildout")
        })?;
    }
    Ok(())
}

/// The changes of a run, from what is installed to what shall be.
struct Changes<'e> {
    evaluation: &'e Evaluation,
    installed: Installed,
    /// `None` when nothing is remembered.
    journal: Option<Journal>,
    outcome: Outcome,
}

impl Changes<'_> {
    async fn apply(&mut self, parts: &[String], uninstall_unwanted: bool) -> Result<(), RecipeError> {
        let signatures = signature::signatures(self.evaluation, &self.evaluation.parts());
        let mut options = BTreeMap::new();
        for part in parts {
            let mut stored = self.evaluation.stored(part, false);
            stored.insert(SIGNATURE_OPTION.to_owned(), signatures.get(part).cloned().unwrap_or_default());
            options.insert(part.clone(), stored);
        }
        for part in self.installed.parts.clone().iter().rev() {
            let keep = match options.get(part) {
                Some(options) => self.stands(part, options),
                None => !uninstall_unwanted,
            };
            if !keep {
                self.uninstall(part);
            }
        }
        for part in parts {
            let options = options.remove(part).unwrap_or_default();
            if self.installed.parts.contains(part) {
                self.update(part, options).await.map_err(|error| error.during(format!("Updating {part}")))?;
            } else {
                self.install(part, options)
                    .await
                    .map_err(|error| error.during(format!("Installing {part}")))?;
            }
        }
        Ok(())
    }

    /// Whether a part stands as it is wanted.
    fn stands(&self, part: &str, wanted: &OptionMap) -> bool {
        let Some(installed) = self.installed.options.get(part) else { return false };
        let mut installed = installed.clone();
        installed.remove(PATHS_OPTION);
        let files = self.evaluation.env.files();
        installed == installed::normal(wanted)
            && self
                .installed
                .paths(part)
                .iter()
                .all(|path| files.exists(&self.evaluation.directory.join(path)))
    }

    /// All that is installed.
    fn all_paths(&self) -> Vec<PathBuf> {
        let parts = self.installed.parts.iter();
        parts.flat_map(|part| self.installed.paths(part)).map(PathBuf::from).collect()
    }

    /// What this run installed or updated.
    fn paths(&self) -> Vec<PathBuf> {
        let parts = self.outcome.installed.iter().chain(&self.outcome.updated);
        parts.flat_map(|part| self.installed.paths(part)).map(PathBuf::from).collect()
    }

    fn uninstall(&mut self, part: &str) {
        self.tell(&format!("Uninstalling {part}."));
        self.remove(self.installed.paths(part));
        self.installed.forget(part);
        self.outcome.uninstalled.push(part.to_owned());
    }

    async fn install(&mut self, part: &str, mut options: OptionMap) -> Result<(), RecipeError> {
        self.tell(&format!("Installing {part}."));
        let paths = self.call(part, false).await?;
        let paths = self.path_texts(part, &[], paths)?;
        self.note(part, &paths)?;
        options.insert(PATHS_OPTION.to_owned(), paths);
        self.installed.remember(part, options);
        self.outcome.installed.push(part.to_owned());
        let unused = self.evaluation.unused(part);
        if !unused.is_empty() {
            self.tell(&format!(
                "Warning: section [{part}] has options that nobody reads: {} ({}).",
                unused.join(", "),
                self.evaluation.place(part, unused.first().map(String::as_str))
            ));
        }
        Ok(())
    }

    async fn update(&mut self, part: &str, mut options: OptionMap) -> Result<(), RecipeError> {
        self.tell(&format!("Updating {part}."));
        let known = self.installed.paths(part);
        let result = self.call(part, true).await;
        let paths = result.and_then(|paths| self.path_texts(part, &known, paths));
        match paths {
            Ok(paths) => {
                options.insert(PATHS_OPTION.to_owned(), paths);
                self.installed.remember(part, options);
                self.outcome.updated.push(part.to_owned());
                Ok(())
            }
            Err(error) => {
                // Half updated is not installed.
                self.remove(known);
                self.installed.forget(part);
                Err(error)
            }
        }
    }

    /// Calls the recipe. If it fails, the paths that it noted are removed.
    async fn call(&self, part: &str, is_update: bool) -> Result<Vec<PathBuf>, RecipeError> {
        let mut recipe = self.evaluation.take_recipe(part);
        let context = self.evaluation.context(part);
        let state = Part::new(&context);
        let result = if is_update { recipe.update(&state).await } else { recipe.install(&state).await };
        let mut created = state.take_created();
        match result {
            Ok(paths) => {
                created.extend(paths);
                Ok(created)
            }
            Err(error) => {
                self.remove(created.iter().map(|path| path.display().to_string()));
                Err(error.at(self.evaluation.place(part, None)).section(part))
            }
        }
    }

    /// The known paths and the new ones, one a line.
    fn path_texts(&self, part: &str, known: &[String], new: Vec<PathBuf>) -> Result<String, RecipeError> {
        let mut all: Vec<String> = known.to_vec();
        let mut seen: BTreeSet<String> = known.iter().cloned().collect();
        for path in new {
            let text = path.to_str().filter(|text| !text.contains(['\n', '\r'])).ok_or_else(|| {
                RecipeError::new(format!(
                    "the path {path:?} cannot be remembered: it has a line end or is not UTF-8"
                ))
                .at(self.evaluation.place(part, None))
                .section(part)
            })?;
            if !text.is_empty() && seen.insert(text.to_owned()) {
                all.push(text.to_owned());
            }
        }
        Ok(all.join("\n"))
    }

    /// Notes the paths of a part, in case that this run is killed.
    fn note(&self, part: &str, paths: &str) -> Result<(), RecipeError> {
        let Some(journal) = self.journal.as_ref().filter(|_| !paths.is_empty()) else { return Ok(()) };
        journal.note(&self.evaluation.env, part, paths).map_err(|error| {
            self.remove(paths.split('\n').map(str::to_owned));
            let env = &self.evaluation.env;
            let path = &self.evaluation.directory;
            RecipeError::write(env.files(), path, "what was installed cannot be noted", &error)
                .at(self.evaluation.place(part, None))
                .section(part)
        })
    }

    fn remove(&self, paths: impl IntoIterator<Item = String>) {
        for path in paths {
            let removed =
                removal::remove(self.evaluation.env.files(), &self.evaluation.directory, Path::new(&path));
            if let Err(reason) = removed {
                self.evaluation.env.tell(format_args!("Warning: {reason}."));
            }
        }
    }

    fn tell(&self, line: &str) {
        if !self.evaluation.quiet {
            self.evaluation.env.tell(line);
        }
    }
}
