//! What a run left in a directory, and how two such views differ.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

/// What stands for the directory's own path.
const ROOT: &str = "ROOT";

/// In what two engines can differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// One engine failed, the other did not.
    Outcome,
    /// A path is there, or is of another kind.
    Path,
    /// A file's bytes, or where a link leads.
    Content,
    Mode,
    /// An option in the installed file.
    Option,
    /// The paths that belong to a part.
    Installed,
    /// What the master was told.
    Published,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// After which run, from 1.
    pub(crate) step: usize,
    pub(crate) kind: Kind,
    /// A path, or `section:option`.
    pub(crate) subject: String,
    pub(crate) ours: String,
    pub(crate) theirs: String,
}

impl Finding {
    pub(crate) fn new(kind: Kind, subject: &str, ours: String, theirs: String) -> Finding {
        Finding { step: 0, kind, subject: subject.to_owned(), ours, theirs }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { step, kind, subject, ours, theirs } = self;
        write!(formatter, "run {step}: {kind:?} {subject}\n  slap:   {ours:?}\n  python: {theirs:?}")
    }
}

/// A path in the directory.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    kind: &'static str,
    mode: u32,
    content: String,
}

/// What a run left.
#[derive(Debug)]
pub(crate) struct View {
    entries: BTreeMap<String, Entry>,
    /// `installed file section:option` -> text.
    options: BTreeMap<String, String>,
}

impl View {
    /// Looks at a directory.
    pub(crate) fn of(root: &Path) -> View {
        let mut view = View { entries: BTreeMap::new(), options: BTreeMap::new() };
        view.walk(root, root);
        view.forget_what_is_not_installed();
        view.resolve_installed();
        view.order_sets();
        view
    }

    /// A section of an installed file that stands for no part is never read.
    fn forget_what_is_not_installed(&mut self) {
        let parts: Vec<(String, Vec<String>)> = self
            .options
            .iter()
            .filter_map(|(name, text)| {
                let file = name.strip_suffix(" buildout:parts")?;
                Some((file.to_owned(), text.split_whitespace().map(str::to_owned).collect()))
            })
            .collect();
        self.options.retain(|name, text| {
            // That nothing is installed is written or not.
            if name.ends_with(" buildout:parts") && text.is_empty() {
                return false;
            }
            let (file, rest) = name.split_once(' ').expect("a file and an option");
            let section = rest.split_once(':').map_or(rest, |(section, _)| section);
            section == "buildout"
                || parts
                    .iter()
                    .any(|(known, parts)| known == file && parts.iter().any(|part| part == section))
        });
    }

    /// Python writes a set in any order.
    fn order_sets(&mut self) {
        for text in self.options.values_mut() {
            let items = text.strip_prefix("!py!{'").and_then(|text| text.strip_suffix("'}"));
            if let Some(items) = items.filter(|items| !items.contains("': ")) {
                let mut items: Vec<&str> = items.split("', '").collect();
                items.sort_unstable();
                *text = format!("!py!{{'{}'}}", items.join("', '"));
            }
        }
    }

    /// Paths of a part may be written relative to the directory.
    fn resolve_installed(&mut self) {
        for (_, paths) in
            self.options.iter_mut().filter(|(name, _)| name.ends_with(":__buildout_installed__"))
        {
            let absolute = |path: &str| match path {
                "" => String::new(),
                path if path.starts_with(ROOT) || path.starts_with('/') => path.to_owned(),
                path => format!("{ROOT}/{path}"),
            };
            *paths = paths.lines().map(absolute).collect::<Vec<_>>().join("\n");
        }
    }

    fn walk(&mut self, root: &Path, directory: &Path) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let file = name.rsplit('/').next().unwrap();
            if file.starts_with(".installed") && file.ends_with(".cfg") {
                let text = portable(root, &fs::read(&path).unwrap());
                self.read_installed(file, &text);
                continue;
            }
            if file == ".slap-buildout.lock" {
                continue;
            }
            let metadata = fs::symlink_metadata(&path).unwrap();
            let (kind, content) = if metadata.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                ("link", portable(root, target.as_os_str().as_encoded_bytes()))
            } else if metadata.is_dir() {
                self.walk(root, &path);
                ("directory", String::new())
            } else {
                let text = portable(root, &fs::read(&path).unwrap());
                ("file", if file.ends_with(".py") { without_comments(&text) } else { text })
            };
            let mode = metadata.permissions().mode() & 0o7777;
            assert!(metadata.uid() == fs::metadata(root).unwrap().uid());
            self.entries.insert(name, Entry { kind, mode, content });
        }
    }

    /// An installed file, as ConfigParser's grammar has it: a later section of the same name goes on with the first.
    fn read_installed(&mut self, file: &str, text: &str) {
        let mut section = String::new();
        let mut key: Option<String> = None;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = name.to_owned();
                key = None;
            } else if line.starts_with(['\t', ' ']) {
                let key = key.as_ref().expect("a line goes on with an option");
                let value = self.options.get_mut(key).unwrap();
                value.push('\n');
                value.push_str(line.trim());
            } else if let Some((name, value)) = line.split_once('=') {
                let name = format!("{file} {section}:{}", name.trim());
                self.options.insert(name.clone(), value.trim().to_owned());
                key = Some(name);
            }
        }
    }
}

/// A text that does not say in which directory it was made. What is not UTF-8 is shown byte for byte.
fn portable(root: &Path, bytes: &[u8]) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.escape_ascii().to_string(),
    };
    text.replace(&root.display().to_string(), ROOT)
}

/// A Python module without its comments: they say the same in other words.
fn without_comments(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.starts_with('#')).collect()
}

/// All differences.
pub(crate) fn compare(ours: &View, theirs: &View) -> Vec<Finding> {
    let mut findings = Vec::new();
    let names: BTreeSet<&String> = ours.entries.keys().chain(theirs.entries.keys()).collect();
    for name in names {
        let mut note = |kind, ours: String, theirs: String| {
            if ours != theirs {
                findings.push(Finding::new(kind, name, ours, theirs));
            }
        };
        match (ours.entries.get(name), theirs.entries.get(name)) {
            (Some(left), Some(right)) => {
                note(Kind::Path, left.kind.to_owned(), right.kind.to_owned());
                note(Kind::Mode, format!("{:o}", left.mode), format!("{:o}", right.mode));
                note(Kind::Content, left.content.clone(), right.content.clone());
            }
            (left, right) => {
                let kind = |entry: Option<&Entry>| entry.map_or("absent", |entry| entry.kind).to_owned();
                note(Kind::Path, kind(left), kind(right));
            }
        }
    }
    let names: BTreeSet<&String> = ours.options.keys().chain(theirs.options.keys()).collect();
    for name in names.into_iter().filter(|name| !name.ends_with(":__buildout_signature__")) {
        let text = |view: &View| view.options.get(name).cloned();
        let (left, right) = (text(ours), text(theirs));
        // No egg is ever developed, and that there is none is written or not.
        if left != right && !(name.ends_with(":installed_develop_eggs")) {
            let kind = if name.ends_with(":__buildout_installed__") { Kind::Installed } else { Kind::Option };
            let shown = |text: Option<String>| text.unwrap_or_else(|| "absent".to_owned());
            findings.push(Finding::new(kind, name, shown(left), shown(right)));
        }
    }
    findings
}
