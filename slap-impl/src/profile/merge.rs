//! A profile with all that it extends, as one set of sections.
//!
//! * [`load`]: reads a profile and what it extends, left to right, depth first, and merges
//! * [`update`]: one file on top of another; [`update_section`]: `=`, `+=` and `-=`
//! * [`expand`]: `<=`, a section on top of its macros
//!
//! The rules are those of zc.buildout 3.0.1 (`_open`, `_update` and `_do_extend_raw` in buildout.py) and of the fork that
//! SlapOS uses for `_profile_base_location_`.

use super::{
    recipe::{Place, RecipeError},
    source::{Location, Source},
    syntax::{Document, Operation, Section, Value, parse},
};
use crate::env::LocalFuture;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    rc::Rc,
};

/// `extends` may follow each other so deep.
const DEPTH_MAX: usize = 100;
/// So many files may be merged; one that is extended twice counts twice.
const INCLUSIONS_MAX: usize = 100_000;
/// Macros may follow each other so deep.
const MACRO_DEPTH_MAX: usize = 100;
/// So many macros may be put together into one section; one that is inherited twice counts twice.
const MACROS_MAX: usize = 10_000;
/// A value may be so long.
pub const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The option that tells where a section's profile is.
const BASE_OPTION: &str = "_profile_base_location_";

/// Sections by name.
pub type Sections = BTreeMap<Rc<str>, Section>;

/// Reads a profile with all that it extends, on top of `sections`.
///
/// # Errors
/// When one of them cannot be read or parsed, extends itself, or the whole is too large.
pub async fn load(
    source: &mut Source<'_>,
    location: &Location,
    sections: &mut Sections,
) -> Result<(), RecipeError> {
    let mut loader = Loader { files: BTreeMap::new(), order: Vec::new(), seen: Vec::new() };
    loader.include(source, location).await?;
    for file in &loader.order {
        update(sections, file)?;
    }
    Ok(())
}

struct File {
    document: Rc<Document>,
    extends: Vec<String>,
    place: Place,
}

struct Loader {
    files: BTreeMap<String, Rc<File>>,
    /// What is merged, in order.
    order: Vec<Rc<Document>>,
    /// The files that are open around this one.
    seen: Vec<String>,
}

impl Loader {
    fn include<'a>(
        &'a mut self,
        source: &'a mut Source<'_>,
        location: &'a Location,
    ) -> LocalFuture<'a, Result<(), RecipeError>> {
        Box::pin(async move {
            let name = location.to_string();
            if self.seen.contains(&name) {
                let chain = self.seen.join(" -> ");
                return Err(RecipeError::new(format!("the profile extends itself: {chain} -> {name}")));
            }
            if self.seen.len() >= DEPTH_MAX {
                return Err(RecipeError::new(format!(
                    "more than {DEPTH_MAX} profiles extend each other in a chain"
                )));
            }
            if self.order.len() >= INCLUSIONS_MAX {
                return Err(RecipeError::new(format!("more than {INCLUSIONS_MAX} profiles are merged")));
            }
            let file = self.file(source, location, &name).await?;
            if self.seen.is_empty() {
                let section = file.document.sections.get("buildout");
                if let Some(value) = section.and_then(|section| section.get("offline")) {
                    source.default_offline(&*value.text == "true");
                }
                let cache = section.and_then(|section| section.get("extends-cache"));
                if let (Some(value), Location::Path(path)) = (cache, location)
                    && !value.text.is_empty()
                {
                    source.default_cache(&path.parent().unwrap_or(path).join(&*value.text));
                }
            }
            self.seen.push(name);
            for name in &file.extends {
                let located = |error: RecipeError| error.at(file.place.clone()).section("buildout");
                let extended = location
                    .extends(name)
                    .map_err(|error| located(RecipeError::new(format!("cannot extend {name}: {error}"))))?;
                self.include(source, &extended).await.map_err(located)?;
            }
            self.seen.pop();
            self.order.push(Rc::clone(&file.document));
            Ok(())
        })
    }

    async fn file(
        &mut self,
        source: &Source<'_>,
        location: &Location,
        name: &str,
    ) -> Result<Rc<File>, RecipeError> {
        if let Some(file) = self.files.get(name) {
            return Ok(Rc::clone(file));
        }
        let mut document = parse(&source.read(location).await?, name)?;
        let mut extends = Vec::new();
        let mut place = Place { file: name.into(), line: 1 };
        if let Some(section) = document.sections.get_mut("buildout") {
            for ((option, operation), value) in &section.options {
                let unsupported = match (&**option, operation) {
                    ("extends", Operation::Set) => continue,
                    ("extends", _) => "`extends` with `+=` or `-=`",
                    ("extended-by" | "optional-extends", _) => "`extended-by` and `optional-extends`",
                    _ => continue,
                };
                return Err(RecipeError::new(format!("{unsupported} are not supported"))
                    .at(value.place.clone())
                    .section("buildout")
                    .hint("list all profiles in `extends =`"));
            }
            if let Some(value) = section.options.remove(&(Rc::from("extends"), Operation::Set)) {
                extends = value.text.split_whitespace().map(str::to_owned).collect();
                place = value.place;
            }
        }
        expose_base(&mut document, location);
        let file = Rc::new(File { document: Rc::new(document), extends, place });
        self.files.insert(name.to_owned(), Rc::clone(&file));
        Ok(file)
    }
}

/// A section that asks where its profile is gets told.
fn expose_base(document: &mut Document, location: &Location) {
    let needle = format!("${{:{BASE_OPTION}}}");
    for section in document.sections.values_mut() {
        let asks = section.options.values().any(|value| value.text.contains(&needle));
        if asks {
            let value = Value::new(&location.base(), &section.place);
            section.set(BASE_OPTION, value);
        }
    }
}

/// Puts one file on top of `sections`.
///
/// # Errors
/// When a value becomes too long.
pub fn update(sections: &mut Sections, file: &Document) -> Result<(), RecipeError> {
    for (name, section) in &file.sections {
        match sections.entry(Rc::clone(name)) {
            Entry::Occupied(mut entry) => {
                update_section(entry.get_mut(), section).map_err(|error| error.section(name))?
            }
            // What a macro's section adds to is known only when it is expanded.
            Entry::Vacant(entry) if section.get("<").is_some() => {
                entry.insert(section.clone());
            }
            Entry::Vacant(entry) => {
                let below = entry.insert(Section::new(section.place.clone()));
                update_section(below, &with_bases(section)).map_err(|error| error.section(name))?;
            }
        }
    }
    Ok(())
}

/// A section that inherits nothing: `+=` without `=` is `=`, and `-=` without `=` leaves nothing.
fn with_bases(section: &Section) -> Section {
    let mut result = section.clone();
    for ((option, operation), value) in &section.options {
        if *operation == Operation::Set || result.get(option).is_some() {
            continue;
        }
        result.options.remove(&(Rc::clone(option), *operation));
        let value = if *operation == Operation::Add { value.clone() } else { Value::new("", &value.place) };
        result.set(option, value);
    }
    result
}

/// Puts one section on top of another of the same name.
///
/// # Errors
/// When a value becomes too long.
pub fn update_section(below: &mut Section, above: &Section) -> Result<(), RecipeError> {
    let mut options = above.options.iter().peekable();
    while let Some(((option, _), _)) = options.peek() {
        let option = Rc::clone(option);
        let [mut add, mut remove, mut set] = [None, None, None];
        while let Some(((_, operation), value)) = options.next_if(|((name, _), _)| *name == option) {
            match operation {
                Operation::Add => add = Some(value),
                Operation::Remove => remove = Some(value),
                Operation::Set => set = Some(value),
            }
        }
        let key = (option, Operation::Set);
        let Some(place) = add.or(remove).or(set).map(|value| &value.place) else { continue };
        let mut value =
            set.or_else(|| below.options.get(&key)).cloned().unwrap_or_else(|| Value::new("", place));
        if let Some(add) = add {
            if value.text.len() + add.text.len() > VALUE_BYTES_MAX {
                let message = format!("option {:?} would be longer than {VALUE_BYTES_MAX} bytes", key.0);
                return Err(RecipeError::new(message).at(add.place.clone()));
            }
            value = Value::new(&format!("{}\n{}", value.text, add.text), &add.place);
        }
        if let Some(remove) = remove {
            let kept: Vec<&str> = value
                .text
                .split('\n')
                .filter(|line| !remove.text.split('\n').any(|removed| removed == *line))
                .collect();
            value = Value::new(&kept.join("\n"), &remove.place);
        }
        below.options.insert(key, value);
    }
    Ok(())
}

/// A section on top of its macros (`<=`), which may have macros themselves.
///
/// # Errors
/// When a macro does not exist or inherits from itself.
pub fn expand(sections: &Sections, name: &str) -> Result<Option<Section>, RecipeError> {
    let Some(section) = sections.get(name) else { return Ok(None) };
    if name == "buildout" || section.get("<").is_none() {
        return Ok(Some(section.clone()));
    }
    let mut around = Around { names: Vec::new(), left: MACROS_MAX };
    expand_deeper(sections, name, section, &mut around).map(Some)
}

/// What is being expanded around a macro, and how many more may be.
struct Around {
    names: Vec<String>,
    left: usize,
}

fn expand_deeper(
    sections: &Sections,
    name: &str,
    section: &Section,
    around: &mut Around,
) -> Result<Section, RecipeError> {
    let Some(parents) = section.get("<").filter(|_| name != "buildout") else { return Ok(section.clone()) };
    let failed = |message: String| RecipeError::new(message).at(parents.place.clone()).section(name);
    if around.names.iter().any(|other| other == name) {
        return Err(failed(format!(
            "the macro inherits from itself: {} <= {name}",
            around.names.join(" <= ")
        )));
    }
    around.left = around.left.saturating_sub(1);
    if around.names.len() >= MACRO_DEPTH_MAX || around.left == 0 {
        let limits =
            format!("{MACRO_DEPTH_MAX} macros inherit from each other, or {MACROS_MAX} from one section");
        return Err(failed(format!("more than {limits}")));
    }
    around.names.push(name.to_owned());
    let mut result = Section::new(section.place.clone());
    for parent in parents.text.split('\n').map(str::trim).filter(|parent| !parent.is_empty()) {
        let inherited = sections.get(parent).ok_or_else(|| {
            let error = failed(format!("there is no section {parent:?} to inherit from"));
            match crate::vocabulary::nearest(parent, sections.keys().map(|name| &**name)) {
                Some(near) => error.hint(format!("did you mean {near:?}?")),
                None => error,
            }
        })?;
        result.options.extend(expand_deeper(sections, parent, inherited, around)?.options);
    }
    around.names.pop();
    update_section(&mut result, section).map_err(|error| error.section(name))?;
    result.options.remove(&(Rc::from("<"), Operation::Set));
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(files: &[&str]) -> Sections {
        let mut sections = Sections::new();
        for file in files {
            update(&mut sections, &parse(file, "p.cfg").expect(file)).expect(file);
        }
        sections
    }

    fn check(files: &[&str], section: &str, expected: &[(&str, &str)]) {
        let section = expand(&merged(files), section).expect("it expands").expect("it exists");
        let found: Vec<(&str, &str)> =
            section.options.iter().map(|((name, _), value)| (&**name, &*value.text)).collect();
        assert_eq!(found, expected, "{files:?}");
    }

    #[test]
    fn files_on_top_of_each_other() {
        check(&["[a]\nx = 1\ny = 2\n", "[a]\nx = 3\n"], "a", &[("x", "3"), ("y", "2")]);
        check(&["[a]\nx = 1\n", "[a]\nx += 2\n"], "a", &[("x", "1\n2")]);
        check(&["[a]\nx =\n  1\n  2\n", "[a]\nx -= 1\nx += 3\n"], "a", &[("x", "2\n3")]);
        check(&["[a]\nx += 1\n"], "a", &[("x", "1")]);
        check(&["[a]\nx -= 1\n"], "a", &[("x", "")]);
        check(&["[a]\nx = 1\nx += 2\n"], "a", &[("x", "1\n2")]);
        check(&["[a]\ny = 1\n", "[a]\nx += 1\n"], "a", &[("x", "\n1"), ("y", "1")]);
        check(&["[a]\nx = 1\n", "[a]\nx = 2\nx += 3\n"], "a", &[("x", "2\n3")]);
    }

    #[test]
    fn macros() {
        check(&["[m]\nx = 1\ny = 2\n[a]\n<= m\ny = 3\n"], "a", &[("x", "1"), ("y", "3")]);
        check(&["[m]\nx = 1\n[a]\n<= m\nx += 2\n"], "a", &[("x", "1\n2")]);
        check(&["[m]\nx = 1\n[n]\nx = 2\ny = 3\n[a]\n<=\n  m\n  n\n"], "a", &[("x", "2"), ("y", "3")]);
        check(&["[m]\nx = 1\n[n]\n<= m\nx += 2\n[a]\n<= n\nx += 3\n"], "a", &[("x", "1\n2\n3")]);
        check(&["[a]\n<= m\nx += 2\n", "[m]\nx = 1\n"], "a", &[("x", "1\n2")]);
        check(&["[m]\nx = 1\n[a]\n<= m\n", "[a]\ny = 2\n"], "a", &[("x", "1"), ("y", "2")]);
    }

    fn check_error(file: &str, part: &str) {
        let error = expand(&merged(&[file]), "a").expect_err(file);
        assert!(error.to_string().contains(part), "{error}");
        assert!(error.place.is_some() && error.section.is_some(), "{error}");
    }

    #[test]
    fn errors() {
        check_error("[a]\n<= b\n[b]\n<= a\n", "a <= b <= a");
        check_error("[a]\n<= parameter\n[parameters]\n", "did you mean \"parameters\"");
    }

    #[test]
    fn near_names() {
        let names = ["slap-configuration", "directory", "publish"];
        for (wanted, expected) in [
            ("slap_configuration", Some("slap-configuration")),
            ("directry", Some("directory")),
            ("nothing-like-it", None),
            ("x", None),
            ("publsh", Some("publish")),
        ] {
            assert_eq!(crate::vocabulary::nearest(wanted, names.into_iter()), expected, "{wanted}");
        }
    }
}
