//! slapos.cookbook:promise.plugin: a file in `etc/plugin` that says which promise class runs with which parameters.
//!
//! The file is the Python module that upstream writes (slapos/recipe/promise_plugin.py): `sys.path`, `extra_config_dict`,
//! the modules of slapos forgotten so that they are found in the new path, the import of `RunPromise`. Here it is read,
//! not run, where the promise is native. Native differences: there are no eggs, so `sys.path` gets an empty tuple, and
//! the options `eggs-directory` and `develop-eggs-directory` are not set; the comments are our own. `eggs` must be there,
//! as upstream demands.

use super::{
    common::{self, Constructed, Done},
    pretty::pretty,
};
use crate::profile::{
    literal::{Literal, text_repr},
    recipe::{Options, Part, Recipe, RecipeError},
};

/// Words that are no names in Python.
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def",
    "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is",
    "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

struct Plugin {
    import: String,
}

/// Makes the recipe.
pub(super) fn construct(options: &dyn Options) -> Constructed<'_> {
    Box::pin(async move {
        let class = common::given(options, "class").filter(|class| class != "RunPromise");
        if let Some(class) = &class
            && !is_name(class)
        {
            return Err(options.error(Some("class"), format!("{class:?} is not a valid class name")));
        }
        let import = match (common::given(options, "module"), common::given(options, "file")) {
            (Some(module), None) => {
                if !module.split('.').all(is_name) {
                    return Err(
                        options.error(Some("module"), format!("{module:?} is not a valid module name"))
                    );
                }
                match class {
                    Some(class) => format!("from {module} import {class} as RunPromise"),
                    None => format!("from {module} import RunPromise"),
                }
            }
            (None, Some(file)) => {
                let file = text_repr(&file);
                let run =
                    format!("with open({file}) as source:\n  exec(compile(source.read(), {file}, 'exec'))");
                run + &class.map(|class| format!("\n\nRunPromise = {class}")).unwrap_or_default()
            }
            _ => return Err(options.error(None, "Either 'module' or 'file' is required but not both")),
        };
        Ok(Box::new(Plugin { import }) as Box<dyn Recipe>)
    })
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !KEYWORDS.contains(&name)
}

impl Plugin {
    fn text(&self, options: &dyn Options) -> Result<String, RecipeError> {
        let mut parameters = Vec::new();
        for (option, text) in options.all() {
            if let Some(name) = option.strip_prefix("config-") {
                let value = common::typed(options, &option, &text)?.unwrap_or(Literal::Text(text));
                parameters.push((Literal::text(name), value));
            }
        }
        Ok(format!(
            "# Written by slap for the promises of this instance: changes here are lost.\n\
             import sys\n\
             sys.path[0:0] = ()\n\
             \n\
             extra_config_dict = {}\n\
             \n\
             # What was imported from other paths is forgotten, so that it is found in the path above.\n\
             for module in list(sys.modules):\n\
             \x20 if 'slapos' in module or 'pkg_resources' in module:\n\
             \x20   del sys.modules[module]\n\
             \n\
             {}\n",
            pretty(&Literal::Dict(parameters), 2),
            self.import
        ))
    }
}

impl Recipe for Plugin {
    fn install<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move {
            let options: &dyn Options = &**part;
            options.required("eggs")?;
            let output = options.absolute(options.required("output")?);
            let mode = common::mode(options, "mode")?.unwrap_or(0o644);
            common::put(options, &output, self.text(options)?.as_bytes(), mode)?;
            Ok(vec![output])
        })
    }

    fn update<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        self.install(part)
    }
}
