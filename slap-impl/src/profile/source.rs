//! Where profiles come from: paths and http URLs, and what `../x.cfg` means beside each.
//!
//! [`Source`] reads with bounds, once each, and keeps copies of downloads in `extends-cache` under the name that
//! zc.buildout gives them (the MD5 of the URL, download.py), so that a later run can do without network.

use super::recipe::RecipeError;
use crate::{
    env::{Env, normalize},
    wire::http::client::{self, Request, Url},
};
use md5::{Digest, Md5};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

/// One profile may be so long.
pub const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// All profiles of one run may be so long together.
pub const TOTAL_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// A download may take so long.
const DOWNLOAD_SECONDS_MAX: u64 = 60;

/// Where a profile is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// An absolute path without `.` and `..`.
    Path(PathBuf),
    /// An http URL.
    Url(Url),
}

impl Location {
    /// What `name` means on its own, or, when it is relative, beside `directory`.
    ///
    /// # Errors
    /// A sentence for a URL that is not http or not a URL.
    pub fn new(name: &str, directory: &Path) -> Result<Location, String> {
        if is_url(name) {
            return name.parse::<Url>().map(Location::Url).map_err(|error| error.to_string());
        }
        Ok(Location::Path(normalize(&directory.join(name))))
    }

    /// What `name` means in this profile's `extends`.
    ///
    /// # Errors
    /// As for [`Location::new`].
    pub fn extends(&self, name: &str) -> Result<Location, String> {
        match self {
            Location::Path(path) => Location::new(name, path.parent().unwrap_or(path)),
            Location::Url(_) if is_url(name) || name.starts_with('/') => Location::new(name, Path::new("/")),
            Location::Url(_) => {
                // As zc.buildout does, `../` is taken away from the text of the URL.
                let (mut base, mut name) = (self.base(), name);
                while let Some(rest) = name.strip_prefix("../") {
                    name = rest;
                    base.truncate(base.rfind('/').unwrap_or(base.len()));
                }
                Location::new(&format!("{base}/{name}"), Path::new("/"))
            }
        }
    }

    /// The directory or the beginning of the URL that the profile stands in: `_profile_base_location_`.
    pub fn base(&self) -> String {
        let text = self.to_string();
        match text.rfind('/') {
            Some(0) | None => "/".to_owned(),
            Some(end) => text[..end].to_owned(),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Path(path) => write!(formatter, "{}", path.display()),
            Location::Url(url) => write!(formatter, "{url}"),
        }
    }
}

/// Whether a text begins like a URL (zc.buildout's own test).
fn is_url(name: &str) -> bool {
    name.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
    })
}

/// Reads profiles.
pub struct Source<'a> {
    env: &'a Env,
    /// No download: what is not in the cache is an error.
    offline: Option<bool>,
    /// Where copies of downloads are kept.
    cache: Option<PathBuf>,
    bytes_left: Cell<u64>,
    texts: RefCell<BTreeMap<String, Rc<str>>>,
}

impl<'a> Source<'a> {
    /// A reader that has read nothing yet.
    pub fn new(env: &'a Env, offline: Option<bool>, cache: Option<PathBuf>) -> Source<'a> {
        Source { env, offline, cache, bytes_left: Cell::new(TOTAL_BYTES_MAX), texts: RefCell::default() }
    }

    /// Whether downloads are forbidden, unless that is known already.
    pub fn default_offline(&mut self, offline: bool) {
        self.offline.get_or_insert(offline);
    }

    /// Where copies of downloads are kept, unless that is known already.
    pub fn default_cache(&mut self, cache: &Path) {
        self.cache.get_or_insert_with(|| normalize(cache));
    }

    /// The text of a profile.
    ///
    /// # Errors
    /// When it cannot be read, is not UTF-8, or is too long.
    pub async fn read(&self, location: &Location) -> Result<Rc<str>, RecipeError> {
        let name = location.to_string();
        if let Some(text) = self.texts.borrow().get(&name) {
            return Ok(Rc::clone(text));
        }
        let bytes = match location {
            Location::Path(path) => self.file(path)?,
            Location::Url(url) => self.download(url).await?,
        };
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let left = self.bytes_left.get().checked_sub(length).ok_or_else(|| {
            RecipeError::new(format!(
                "with {name}, the profiles are longer than {TOTAL_BYTES_MAX} bytes together"
            ))
        })?;
        self.bytes_left.set(left);
        let text = String::from_utf8(bytes)
            .map_err(|error| RecipeError::new(format!("the profile {name} is not UTF-8: {error}")))?;
        let text: Rc<str> = text.into();
        self.texts.borrow_mut().insert(name, Rc::clone(&text));
        Ok(text)
    }

    fn file(&self, path: &Path) -> Result<Vec<u8>, RecipeError> {
        let files = self.env.files();
        let cannot = |reason: &dyn fmt::Display| {
            RecipeError::new(format!("the profile {} cannot be read: {reason}", path.display()))
        };
        // A named pipe would be waited for without end.
        match files.metadata(path) {
            Ok(metadata) if metadata.kind != crate::env::FileKind::File => {
                return Err(cannot(&"it is no file"));
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(cannot(&"there is no such file").hint(match path.parent() {
                    Some(directory) if !files.is_directory(directory) => {
                        format!("there is no directory {} either", directory.display())
                    }
                    _ => "names in `extends` are relative to the profile that they stand in".to_owned(),
                }));
            }
            Err(error) => return Err(cannot(&error)),
        }
        files.read(path, FILE_BYTES_MAX).map_err(|error| cannot(&error))
    }

    async fn download(&self, url: &Url) -> Result<Vec<u8>, RecipeError> {
        let cached = self.cache.as_ref().map(|cache| cache.join(md5_hex(url.to_string().as_bytes())));
        if self.offline == Some(true) {
            return self.cached_copy(cached.as_deref()).ok_or_else(|| {
                RecipeError::new(format!("{url} cannot be downloaded: the run is offline")).hint(
                    "set buildout:offline=false, or buildout:extends-cache to a directory that has a copy",
                )
            });
        }
        let request = Request {
            body_bytes_max: FILE_BYTES_MAX,
            deadline: Duration::from_secs(DOWNLOAD_SECONDS_MAX),
            ..Request::get(url.clone())
        };
        let failure = match client::send(self.env, request).await {
            Ok(response) if response.is_success() => {
                self.keep(cached.as_deref(), &response.body);
                return Ok(response.body);
            }
            // The server says that there is no such profile: an old copy would hide that.
            Ok(response) => {
                return Err(RecipeError::new(format!("{url} was answered with status {}", response.status))
                    .hint("check the URL, and that the profile is published there"));
            }
            Err(error) => error,
        };
        match self.cached_copy(cached.as_deref()) {
            Some(bytes) => {
                self.env.tell(format_args!("Warning: {failure}; the copy in extends-cache is used."));
                Ok(bytes)
            }
            None => Err(RecipeError::new(failure.to_string())),
        }
    }

    fn cached_copy(&self, cached: Option<&Path>) -> Option<Vec<u8>> {
        cached.and_then(|path| self.env.files().read(path, FILE_BYTES_MAX).ok())
    }

    /// A copy that cannot be kept is no error: the run has its profile.
    fn keep(&self, cached: Option<&Path>, body: &[u8]) {
        let (Some(path), Some(cache)) = (cached, &self.cache) else { return };
        let files = self.env.files();
        let kept = files.create_directory(cache, 0o750).and_then(|()| files.replace(path, body, 0o640));
        if let Err(error) = kept {
            self.env.tell(format_args!("Warning: {} cannot be written: {error}.", path.display()));
        }
    }
}

/// The MD5 of some bytes, in hexadecimal.
pub fn md5_hex(bytes: &[u8]) -> String {
    crate::vocabulary::hex(&Md5::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(profile: &str, name: &str, expected: &str) {
        let location = Location::new(profile, Path::new("/here")).expect(profile);
        assert_eq!(location.extends(name).expect(name).to_string(), expected);
    }

    #[test]
    fn what_extends_means() {
        check("/a/b/c.cfg", "d.cfg", "/a/b/d.cfg");
        check("/a/b/c.cfg", "../d/e.cfg", "/a/d/e.cfg");
        check("c.cfg", "/x/d.cfg", "/x/d.cfg");
        check("c.cfg", "sub/./d.cfg", "/here/sub/d.cfg");
        check("/a/b.cfg", "http://h/x.cfg", "http://h/x.cfg");
        check("http://h/a/b/c.cfg", "d.cfg", "http://h/a/b/d.cfg");
        check("http://h/a/b/c.cfg", "../../d.cfg", "http://h/d.cfg");
        check("http://h/a/c.cfg", "/local.cfg", "/local.cfg");
    }

    #[test]
    fn other_schemes_are_refused() {
        for name in ["https://h/x.cfg", "ftp://h/x.cfg"] {
            let error = Location::new(name, Path::new("/")).expect_err(name);
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn bases() {
        for (name, expected) in
            [("/a/b.cfg", "/a"), ("/b.cfg", "/"), ("http://h:8080/a/b.cfg", "http://h:8080/a")]
        {
            assert_eq!(Location::new(name, Path::new("/")).expect(name).base(), expected);
        }
    }
}
