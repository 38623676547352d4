//! Jinja templates, as slapos.recipe.template:jinja2 renders them with Jinja2 3.1.
//!
//! minijinja reads the syntax. The values are Python's, not minijinja's: lists and dictionaries are shared and
//! mutable (`{% do list.append(x) %}` is how profiles are written), `%` formats strings, and everything is written
//! as Python writes it. So the evaluation is ours, over minijinja's syntax tree.
//! What Jinja2 or Python has and this renderer does not is refused by name, with file and line.
//! Size, depth and work are bounded by [`Limits`].
//!
//! * `interpreter`: statements, scopes, macros, imports; `expression`: names, calls, attributes, constants
//! * `value`, `iterate`, `operate`, `format`: Python's values, iteration, operators, string formatting
//! * `builtins`, `methods`, `methods_text`, `library`, `json`: Python's functions, methods and modules
//! * `filters`, `checks`: Jinja's filters and tests

mod builtins;
mod checks;
mod expression;
mod fault;
mod filters;
mod format;
mod interpreter;
mod iterate;
mod json;
mod library;
mod methods;
mod methods_text;
mod operate;
#[cfg(test)]
mod tests;
mod value;

pub use fault::TemplateError;

use super::literal::Literal;
use fault::{Fault, Outcome};
use interpreter::{Interpreter, Parsed, Scope, span};
use minijinja::{
    machinery::{ast::Stmt, parse},
    syntax::SyntaxConfig,
};
use std::{collections::BTreeMap, rc::Rc};
use value::Value;

/// What a template may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Statements, expressions and items.
    pub steps: u64,
    /// Nested statements, expressions and calls.
    pub depth: usize,
    /// Bytes of the result.
    pub output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { steps: 50_000_000, depth: 200, output_bytes: 16 << 20 }
    }
}

/// A template's text.
#[derive(Clone, Debug)]
pub struct Source {
    /// What errors call it: a path, a URL or `<inline>`.
    pub file: String,
    /// The text.
    pub text: String,
}

/// A variable of the context.
#[derive(Clone, Debug)]
pub enum Variable {
    /// A value.
    Literal(Literal),
    /// A dictionary of options, each read as [`Variable::option`] reads it.
    Section(Vec<(String, String)>),
    /// JSON text.
    Json(String),
    /// A Python module.
    Import(String),
}

/// A template, and all that it needs.
#[derive(Clone, Debug)]
pub struct Template {
    /// The template.
    pub source: Source,
    /// Templates that it may import or include, by alias.
    pub imports: BTreeMap<String, Source>,
    /// What stands between an alias and a name in it; the names are always empty here.
    pub import_delimiter: String,
    /// The context, without what is always there.
    pub variables: Vec<(String, Variable)>,
    /// Whether `{% do %}` is allowed (extension `jinja2.ext.do`).
    pub with_do: bool,
    /// Whether `{% break %}` and `{% continue %}` are allowed (extension `jinja2.ext.loopcontrols`).
    pub with_loop_controls: bool,
    /// What the template may use.
    pub limits: Limits,
}

impl Variable {
    /// An option's text: a typed one is read.
    ///
    /// # Errors
    /// When it begins with `!py!` and is no literal.
    pub fn option(text: &str) -> Result<Variable, super::literal::LiteralError> {
        Ok(Variable::Literal(super::literal::load(text)?.unwrap_or_else(|| Literal::text(text))))
    }

    fn value(&self) -> Outcome<Value> {
        match self {
            Variable::Literal(literal) => Value::from_literal(literal),
            Variable::Json(text) => json::loads(text),
            Variable::Import(name) => {
                library::module(name).ok_or_else(|| Fault::unsupported(format!("the Python module {name}")))
            }
            Variable::Section(options) => {
                let mut entries = Vec::new();
                for (name, text) in options {
                    let literal = super::literal::load(text)
                        .map_err(|error| Fault::new(format!("option {name}: {error}")))?;
                    entries.push((Literal::text(name), literal.unwrap_or_else(|| Literal::text(text))));
                }
                Value::from_literal(&Literal::Dict(entries))
            }
        }
    }
}

impl Template {
    /// A template without context, imports and extensions.
    pub fn new(file: &str, text: &str) -> Template {
        Template {
            source: Source { file: file.to_owned(), text: text.to_owned() },
            imports: BTreeMap::new(),
            import_delimiter: "/".to_owned(),
            variables: Vec::new(),
            with_do: false,
            with_loop_controls: false,
            limits: Limits::default(),
        }
    }

    /// The text that the template becomes.
    ///
    /// # Errors
    /// [`TemplateError`] with file and line.
    pub fn render(&self) -> Result<String, TemplateError> {
        let sources: Vec<(String, String)> = std::iter::once(&self.source)
            .chain(self.imports.values())
            .map(|source| (source.file.clone(), source.text.replace("\r\n", "\n").replace('\r', "\n")))
            .collect();
        let templates: Vec<Parsed<'_>> = sources
            .iter()
            .map(|(file, text)| {
                let file: Rc<str> = file.as_str().into();
                let root = self.parse(&file, text);
                Parsed { file, source: text, root }
            })
            .collect();
        let aliases =
            self.imports.keys().enumerate().map(|(index, alias)| (alias.clone(), index + 1)).collect();
        let globals = Rc::new(Scope { names: Default::default(), parent: None });
        let context = Scope::inside(&globals);
        builtins::install(&globals, &context);
        for (name, variable) in &self.variables {
            let value = variable.value().map_err(|fault| {
                Fault::new(format!("context entry {name:?}: {}", fault.message)).at(&templates[0].file, 1)
            })?;
            context.set(name, value);
        }
        let mut interpreter =
            Interpreter::new(&templates, aliases, self.import_delimiter.clone(), globals, self.limits);
        let result = interpreter.render(0, &context);
        interpreter.finish();
        result.map_err(|fault| fault.at(&templates[0].file, 1).into())
    }

    /// Names that every context has; a profile may not give them again.
    pub fn is_reserved(name: &str) -> bool {
        let scope = Rc::new(Scope { names: Default::default(), parent: None });
        builtins::install(&Scope { names: Default::default(), parent: None }, &scope);
        scope.get(name).is_some()
    }

    fn parse<'t>(&self, file: &Rc<str>, text: &'t str) -> Outcome<Stmt<'t>> {
        let root = parse(text, "", SyntaxConfig::default()).map_err(|error| {
            let line = error.line().and_then(|line| u32::try_from(line).ok()).unwrap_or(1);
            let detail = error.detail().map_or_else(|| error.to_string(), str::to_owned);
            Fault::new(format!("cannot be read: {detail}")).at(file, line)
        })?;
        self.allowed(file, std::slice::from_ref(&root))?;
        Ok(root)
    }

    /// Refuses tags of extensions that are not on, wherever they stand, as Jinja2 does.
    fn allowed(&self, file: &Rc<str>, body: &[Stmt<'_>]) -> Outcome<()> {
        for statement in body {
            let unknown = match statement {
                Stmt::Do(_) if !self.with_do => Some("do"),
                Stmt::Break(_) if !self.with_loop_controls => Some("break"),
                Stmt::Continue(_) if !self.with_loop_controls => Some("continue"),
                _ => None,
            };
            if let Some(tag) = unknown {
                let extension = if tag == "do" { "jinja2.ext.do" } else { "jinja2.ext.loopcontrols" };
                return Err(Fault::new(format!(
                    "Encountered unknown tag '{tag}' (it needs `extensions = {extension}`)"
                ))
                .at(file, span(statement).start_line.into()));
            }
            match statement {
                Stmt::Template(node) => self.allowed(file, &node.children)?,
                Stmt::ForLoop(node) => {
                    self.allowed(file, &node.body)?;
                    self.allowed(file, &node.else_body)?;
                }
                Stmt::IfCond(node) => {
                    self.allowed(file, &node.true_body)?;
                    self.allowed(file, &node.false_body)?;
                }
                Stmt::WithBlock(node) => self.allowed(file, &node.body)?,
                Stmt::SetBlock(node) => self.allowed(file, &node.body)?,
                Stmt::FilterBlock(node) => self.allowed(file, &node.body)?,
                Stmt::Macro(node) => self.allowed(file, &node.body)?,
                Stmt::CallBlock(node) => self.allowed(file, &node.macro_decl.body)?,
                _ => {}
            }
        }
        Ok(())
    }
}
