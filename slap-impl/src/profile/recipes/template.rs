//! slapos.recipe.template: a file from a text with `${section:option}`.
//!
//! `inline` is written as it is (buildout substituted it already); a `url`'s text is cut at `$$`, each piece is
//! substituted, and the pieces are joined with `$` (slapos/recipe/template/__init__.py, `_init`).
//! Mode: `mode`; else 0666, or 0777 for a script whose interpreter is executable, without the umask.
//! `url` is a path, `file:` or `http:`.

use super::common::{self, Constructed, Done};
use crate::profile::recipe::{Options, Part, Recipe, RecipeError};
use std::path::{Path, PathBuf};

/// Where a template's text comes from.
pub(super) enum Origin {
    /// It stands in the option.
    Inline(String),
    /// It stands at this URL or path.
    Url(String),
}

/// The options that both recipes of the package share.
pub(super) struct Target {
    pub(super) output: PathBuf,
    pub(super) mode: Option<u32>,
    pub(super) md5sum: Option<String>,
    pub(super) offline: bool,
}

impl Target {
    pub(super) async fn new(options: &dyn Options, output: &str) -> Result<Target, RecipeError> {
        if output.is_empty() {
            return Err(options.error(None, "the output's path is empty"));
        }
        Ok(Target {
            output: options.absolute(output),
            mode: common::mode(options, "mode")?,
            md5sum: common::given(options, "md5sum"),
            offline: is_offline(options).await?,
        })
    }

    /// The text at a URL.
    pub(super) async fn read(&self, options: &dyn Options, url: &str) -> Result<String, RecipeError> {
        let content = common::fetch(options, "url", url, self.md5sum.as_deref(), self.offline).await?;
        String::from_utf8(content)
            .map_err(|_| options.error(Some("url"), format!("the template {url} is not UTF-8")))
    }

    /// Writes the file, with its mode.
    pub(super) fn write(&self, options: &dyn Options, content: &str) -> Result<(), RecipeError> {
        let mode = match self.mode {
            Some(mode) => mode,
            None if is_script(options, content) => 0o777 & !options.umask(),
            None => 0o666 & !options.umask(),
        };
        common::make_parent(options, &self.output)?;
        common::put(options, &self.output, content.as_bytes(), mode)
    }
}

/// Whether nothing may be downloaded.
pub(super) async fn is_offline(options: &dyn Options) -> Result<bool, RecipeError> {
    Ok(options.other("buildout").await?.get("offline").is_some_and(|offline| offline == "true"))
}

fn is_script(options: &dyn Options, content: &str) -> bool {
    let Some(rest) = content.strip_prefix("#!") else { return false };
    let line = rest.lines().next().unwrap_or("");
    let interpreter = line.split_ascii_whitespace().next();
    interpreter.is_some_and(|path| common::is_executable(options.env(), &options.absolute(Path::new(path))))
}

/// `inline` or `url`, of which one must be given.
pub(super) fn origin(options: &dyn Options) -> Result<Origin, RecipeError> {
    let conflict = |left: &str, right: &str| {
        options.error(Some(left), format!("options {left:?} and {right:?} exclude each other"))
    };
    match (common::given(options, "inline"), common::given(options, "url")) {
        (Some(_), Some(_)) => Err(conflict("inline", "url")),
        (Some(_), None) if common::given(options, "md5sum").is_some() => Err(conflict("inline", "md5sum")),
        (Some(text), None) => Ok(Origin::Inline(text)),
        (None, Some(url)) => Ok(Origin::Url(url)),
        (None, None) => Err(options.error(None, "one of the options 'inline' and 'url' is required")),
    }
}

struct Template {
    target: Target,
    rendered: String,
    /// Whether an update writes again.
    updates: bool,
}

/// Makes the recipe.
pub(super) fn construct(options: &dyn Options) -> Constructed<'_> {
    Box::pin(async move {
        let target = Target::new(options, &options.required("output")?).await?;
        let (rendered, updates) = match origin(options)? {
            Origin::Inline(text) => (text, false),
            Origin::Url(url) => {
                let text = target.read(options, &url).await?;
                let mut pieces = Vec::new();
                for piece in text.split("$$") {
                    let piece = options.substitute(piece).await;
                    pieces
                        .push(piece.map_err(|error| error.during(format!("Rendering the template {url}")))?);
                }
                (pieces.join("$"), target.md5sum.is_none())
            }
        };
        Ok(Box::new(Template { target, rendered, updates }) as Box<dyn Recipe>)
    })
}

impl Recipe for Template {
    fn install<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move {
            self.target.write(&**part, &self.rendered)?;
            Ok(vec![self.target.output.clone()])
        })
    }

    fn update<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move {
            if self.updates {
                self.target.write(&**part, &self.rendered)?;
            }
            Ok(Vec::new())
        })
    }
}
