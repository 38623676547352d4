//! slapos.cookbook:generate.password: a password that is made once and kept.
//!
//! `bytes` (16) letters and digits, kept in `storage-path` (`${buildout:parts-directory}/SECTION`; empty: nowhere) as the
//! JSON object `{"": PASSWORD}`; a file with a bare password is read too. `create-once` (true) keeps the file when the
//! part goes; `passwd` given wins (slapos/recipe/random.py, `Password`). `passwd` stays out of the installed file.
//! An option `passwd-SCHEME` is made when something refers to it, and kept in the file (`password_scheme.rs`).
//! Native differences: schemes that are not served are refused where they are asked for; a hash that is asked for later is
//! stored then, too, where upstream makes another one in each run; the file is put in place whole and durably.

use super::{
    common::{self, Constructed, Done},
    password_scheme as scheme,
};
use crate::{
    env::Env,
    profile::recipe::{Options, Part, Recipe, RecipeError},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    rc::Rc,
};

const ALPHABET: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// The longest password that is made.
const LENGTH_MAX: usize = 4096;

/// The longest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

struct Password {
    storage: Option<PathBuf>,
    create_once: bool,
    /// The password under the empty name, and hashes.
    secrets: Rc<RefCell<BTreeMap<String, String>>>,
    /// Whether one of them was made in this run.
    is_new: Rc<Cell<bool>>,
}

/// Makes the recipe.
pub(super) fn construct(options: &dyn Options) -> Constructed<'_> {
    Box::pin(async move {
        let create_once = common::is_true_word(&options.get_or("create-once", "True"));
        let path = match options.get("storage-path") {
            Some(path) => path,
            None => {
                let buildout = options.other("buildout").await?;
                let parts = buildout.get("parts-directory").map_or("parts", String::as_str);
                let path = options.absolute(parts).join(options.section()).display().to_string();
                options.set("storage-path", &path);
                path
            }
        };
        let storage = (!path.is_empty()).then(|| options.absolute(path));
        let given = common::given(options, "passwd");
        let mut secrets = match &storage {
            Some(path) => stored(options, path)?,
            None => BTreeMap::new(),
        };
        if let Some(given) = given
            && secrets.get("") != Some(&given)
        {
            secrets = BTreeMap::from([(String::new(), given)]);
        }
        let mut is_new = false;
        if secrets.get("").is_none_or(String::is_empty) {
            secrets.insert(String::new(), generate(options)?);
            is_new = true;
        }
        let password = secrets.get("").cloned().unwrap_or_default();
        options.set("passwd", &password);
        options.hide("passwd");
        let (secrets, is_new) = (Rc::new(RefCell::new(secrets)), Rc::new(Cell::new(is_new)));
        let (kept, made) = (Rc::clone(&secrets), Rc::clone(&is_new));
        options.derive(Rc::new(move |env, option| {
            let name = option.strip_prefix("passwd-")?;
            if let Some(hash) = kept.borrow().get(option) {
                return Some(Ok(hash.clone()));
            }
            Some(scheme::hash(env, name, &password).inspect(|hash| {
                kept.borrow_mut().insert(option.to_owned(), hash.clone());
                made.set(true);
            }))
        }));
        Ok(Box::new(Password { storage, create_once, secrets, is_new }) as Box<dyn Recipe>)
    })
}

/// What the file holds.
fn stored(options: &dyn Options, path: &Path) -> Result<BTreeMap<String, String>, RecipeError> {
    let text = match options.env().files().read_text(path, FILE_BYTES_MAX) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(common::failed(options, "read", path, &error)),
    };
    let text = text.trim_matches('\n');
    Ok(match serde_json::from_str::<BTreeMap<String, String>>(text) {
        Ok(secrets) if secrets.contains_key("") => {
            secrets.into_iter().filter(|(name, _)| name.is_empty() || name.starts_with("passwd-")).collect()
        }
        // The old form is the bare password.
        _ => BTreeMap::from([(String::new(), text.to_owned())]),
    })
}

fn generate(options: &dyn Options) -> Result<String, RecipeError> {
    let text = options.get_or("bytes", "16");
    let length = text.trim().parse::<usize>().ok().filter(|length| (1..=LENGTH_MAX).contains(length));
    let length = length.ok_or_else(|| {
        options.error(Some("bytes"), format!("bytes = {text:?}: expected a number from 1 to {LENGTH_MAX}"))
    })?;
    let letter = |env: &Env| {
        let place = usize::try_from(env.random_below(ALPHABET.len() as u64)).unwrap_or(0);
        char::from(ALPHABET[place])
    };
    Ok((0..length).map(|_| letter(options.env())).collect())
}

impl Password {
    fn store(&self, options: &dyn Options) -> Result<Vec<PathBuf>, RecipeError> {
        let Some(path) = &self.storage else { return Ok(Vec::new()) };
        let entries: Vec<String> = self
            .secrets
            .borrow()
            .iter()
            .map(|(name, secret)| format!("{}: {}", json_text(name), json_text(secret)))
            .collect();
        let content = format!("{{{}}}", entries.join(", "));
        let files = options.env().files();
        let stands = files.read(path, FILE_BYTES_MAX).is_ok_and(|found| found == content.as_bytes());
        if !stands {
            let mode = match files.metadata(path) {
                Ok(metadata) => metadata.mode & 0o777,
                Err(_) => 0o666 & !options.umask(),
            };
            files
                .replace(path, content.as_bytes(), mode)
                .map_err(|error| common::failed(options, "written", path, &error))?;
        }
        Ok(if self.create_once { Vec::new() } else { vec![path.clone()] })
    }
}

/// JSON in ASCII, as Python writes it.
fn json_text(text: &str) -> String {
    let mut out = String::new();
    for c in serde_json::Value::from(text).to_string().chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

impl Recipe for Password {
    fn install<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move { self.store(&**part) })
    }

    fn update<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move { if self.is_new.get() { self.store(&**part) } else { Ok(Vec::new()) } })
    }
}
