//! slapos.recipe.template:jinja2: a file from a Jinja template.
//!
//! Context lines `TYPE NAME EXPRESSION` of types key, raw, section, json, jsonkey and import; import-list lines of types file
//! and rawfile (rawfolder and folder are refused: no public profile has them); extensions do and loopcontrols;
//! `once`; `update`; the old names `rendered` and `template` (slapos/recipe/template/jinja2_template.py).
//! Encodings other than UTF-8 are refused. The language itself: `profile::jinja`.

use super::{
    common::{self, Constructed, Done},
    template::{Origin, Target, origin},
};
use crate::{
    env::FileKind,
    profile::{
        jinja::{Source, Template, Variable},
        literal::Literal,
        recipe::{Options, Part, Place, Recipe, RecipeError},
    },
};
use std::{collections::BTreeMap, path::PathBuf};

struct Jinja2 {
    target: Target,
    origin: Origin,
    /// Everything but the texts, which are read when the part is installed.
    template: Template,
    imports: Vec<(String, PathBuf)>,
    once: Option<PathBuf>,
    updates: bool,
}

/// Makes the recipe.
pub(super) fn construct(options: &dyn Options) -> Constructed<'_> {
    Box::pin(async move {
        let encoding = options.get_or("encoding", "utf-8");
        if !["utf-8", "utf8"].contains(&encoding.to_ascii_lowercase().as_str()) {
            return Err(
                options.error(Some("encoding"), format!("the encoding {encoding} is not supported yet"))
            );
        }
        let mut template = Template::new("", "");
        template.import_delimiter = options.get_or("import-delimiter", "/");
        if template.import_delimiter.is_empty() {
            return Err(options.error(Some("import-delimiter"), "import-delimiter is empty"));
        }
        let imports = imports(options).await?;
        let (output, origin, inline) = match options.get("output") {
            Some(output) => {
                let origin = origin(options)?;
                let inline = matches!(origin, Origin::Inline(_));
                (output, origin, inline)
            }
            None => (options.required("rendered")?, old_origin(options)?, false),
        };
        let target = Target::new(options, &output).await?;
        extensions(options, &mut template)?;
        template.variables = context(options).await?;
        let always = common::strict_truth(options, "update", false)?;
        let updates = always || (!inline && target.md5sum.is_none());
        let once = common::given(options, "once").map(|path| options.absolute(path));
        Ok(Box::new(Jinja2 { target, origin, template, imports, once, updates }) as Box<dyn Recipe>)
    })
}

fn old_origin(options: &dyn Options) -> Result<Origin, RecipeError> {
    let template = options.required("template")?;
    Ok(match template.strip_prefix("inline:") {
        Some(text) => Origin::Inline(text.trim_start_matches(['\r', '\n']).to_owned()),
        None => Origin::Url(template),
    })
}

fn extensions(options: &dyn Options, template: &mut Template) -> Result<(), RecipeError> {
    for extension in options.get_or("extensions", "").split_whitespace() {
        match extension {
            "jinja2.ext.do" => template.with_do = true,
            "jinja2.ext.loopcontrols" => template.with_loop_controls = true,
            // These are part of the language since Jinja2 2.9.
            "jinja2.ext.with_" | "jinja2.ext.autoescape" => {}
            other => {
                return Err(options
                    .error(Some("extensions"), format!("the Jinja extension {other} is not supported")));
            }
        }
    }
    Ok(())
}

/// The three words of a line; the third may have blanks.
fn words<'l>(
    options: &dyn Options,
    option: &str,
    line: &'l str,
) -> Result<(&'l str, &'l str, &'l str), RecipeError> {
    let line = line.trim_start();
    let cut =
        |text: &'l str| text.split_once(char::is_whitespace).map(|(word, rest)| (word, rest.trim_start()));
    let split = cut(line).and_then(|(kind, rest)| cut(rest).map(|(name, rest)| (kind, name, rest)));
    split.filter(|(_, _, rest)| !rest.is_empty()).ok_or_else(|| {
        options
            .error(Some(option), format!("{option} line {line:?}: expected a type, a name and an expression"))
    })
}

/// The text of `section:option`, or of `:option` for the own section.
async fn key(options: &dyn Options, option: &str, expression: &str) -> Result<String, RecipeError> {
    let parts: Vec<&str> = expression.split(':').collect();
    let [section, name] = parts[..] else {
        return Err(options.error(Some(option), format!("{expression:?}: expected section:option")));
    };
    let found =
        if section.is_empty() { options.get(name) } else { options.other_option(section, name).await? };
    found.ok_or_else(|| {
        let section = if section.is_empty() { options.section() } else { section };
        options.error(Some(option), format!("section [{section}] has no option {name:?}"))
    })
}

async fn imports(options: &dyn Options) -> Result<Vec<(String, PathBuf)>, RecipeError> {
    const OPTION: &str = "import-list";
    let mut imports: Vec<(String, PathBuf)> = Vec::new();
    for line in options.get_or(OPTION, "").lines().filter(|line| !line.is_empty()) {
        let (kind, alias, expression) = words(options, OPTION, line)?;
        if imports.iter().any(|(known, _)| known == alias) {
            return Err(options.error(Some(OPTION), format!("Duplicate import-list entry {alias:?}")));
        }
        let path = match kind {
            "rawfile" => expression.to_owned(),
            "file" => key(options, OPTION, expression).await?,
            other => {
                return Err(options.error(
                    Some(OPTION),
                    format!("import-list type {other:?} is not supported: expected file or rawfile"),
                ));
            }
        };
        imports.push((alias.to_owned(), options.absolute(path)));
    }
    Ok(imports)
}

async fn context(options: &dyn Options) -> Result<Vec<(String, Variable)>, RecipeError> {
    const OPTION: &str = "context";
    let error = |message: String| options.error(Some(OPTION), message);
    let mut variables: Vec<(String, Variable)> = Vec::new();
    for line in options.get_or(OPTION, "").lines().filter(|line| !line.is_empty()) {
        let (kind, name, expression) = words(options, OPTION, line)?;
        if Template::is_reserved(name) || variables.iter().any(|(known, _)| known == name) {
            return Err(error(format!("Duplicate context entry {name:?}")));
        }
        let variable = match kind {
            "raw" => Variable::Literal(Literal::text(expression)),
            "json" => Variable::Json(expression.to_owned()),
            "import" => Variable::Import(expression.trim_end().to_owned()),
            "key" => {
                let text = key(options, OPTION, expression.trim_end()).await?;
                Variable::option(&text).map_err(|found| error(format!("context entry {name:?}: {found}")))?
            }
            "jsonkey" => Variable::Json(key(options, OPTION, expression.trim_end()).await?),
            "section" => Variable::Section(options.other(expression.trim_end()).await?.into_iter().collect()),
            other => {
                return Err(error(format!(
                    "context type {other:?} is unknown: expected key, raw, section, json, jsonkey or import"
                )));
            }
        };
        variables.push((name.to_owned(), variable));
    }
    Ok(variables)
}

impl Jinja2 {
    async fn render(&self, options: &dyn Options) -> Result<String, RecipeError> {
        let mut template = self.template.clone();
        template.source = match &self.origin {
            Origin::Inline(text) => Source { file: "<inline>".to_owned(), text: text.clone() },
            Origin::Url(url) => Source { file: url.clone(), text: self.target.read(options, url).await? },
        };
        template.imports = self.read_imports(options)?;
        template.render().map_err(|found| {
            // A line of an inline template is a line below its option.
            let place = match (&self.origin, &*found.file) {
                (Origin::Inline(_), "<inline>") => options.place(Some("inline")),
                _ => Place { file: found.file.clone(), line: found.line },
            };
            let message = match &*found.file {
                "<inline>" => format!("line {} of the inline template: {}", found.line, found.message),
                _ => found.message.clone(),
            };
            RecipeError::new(message).at(place).section(options.section())
        })
    }

    /// The templates that are there; one that is not is an error only where it is imported.
    fn read_imports(&self, options: &dyn Options) -> Result<BTreeMap<String, Source>, RecipeError> {
        let files = options.env().files();
        let mut sources = BTreeMap::new();
        for (alias, path) in &self.imports {
            match files.metadata(path) {
                Ok(metadata) if metadata.kind == FileKind::File => {}
                _ => continue,
            }
            let text = files.read_text(path, common::FILE_BYTES_MAX);
            let text = text.map_err(|error| common::failed(options, "read", path, &error))?;
            sources.insert(alias.clone(), Source { file: path.display().to_string(), text });
        }
        Ok(sources)
    }

    async fn make(&self, part: &Part<'_>) -> Result<Vec<PathBuf>, RecipeError> {
        let options: &dyn Options = &**part;
        if self.once.as_ref().is_some_and(|once| options.env().files().exists(once)) {
            return Ok(Vec::new());
        }
        let text = self.render(options).await?;
        self.target.write(options, &text)?;
        match &self.once {
            Some(once) => {
                let touched = options.env().files().append(once, b"", 0o666 & !options.umask());
                touched.map_err(|error| common::failed(options, "made", once, &error))?;
                Ok(Vec::new())
            }
            None => Ok(vec![self.target.output.clone()]),
        }
    }
}

impl Recipe for Jinja2 {
    fn install<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(self.make(part))
    }

    fn update<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move {
            if self.updates {
                self.make(part).await?;
            }
            Ok(Vec::new())
        })
    }
}
