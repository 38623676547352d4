//! The profile engine: the Buildout language, its run, and the recipes.
//!
//! From text to files:
//!
//! 1. `syntax`, `condition`: the text of one profile to sections and options, each with its line
//! 2. `source`, `merge`: `extends` from paths and URLs, macros, `+=` and `-=`
//! 3. `evaluate`, `reference`, `context`: sections in the order of their references, `${}`, recipes constructed
//! 4. `signature`, `installed`, `journal`: what was installed last time, and what makes a part be installed anew
//! 5. `engine`: uninstall, update, install; `removal`: what a run may delete
//!
//! A recipe sees all this through `recipe`; the recipes are in `recipes` (listed in a `registry`), with the languages of templates and typed
//! values in `jinja` and `literal`.

pub mod condition;
pub mod context;
pub mod defaults;
mod durable;
pub mod engine;
pub mod evaluate;
pub mod installed;
pub mod jinja;
pub mod journal;
pub mod literal;
pub mod merge;
pub mod recipe;
pub mod recipes;
pub mod reference;
pub mod registry;
pub mod removal;
pub mod signature;
pub mod source;
pub mod syntax;
#[cfg(test)]
mod tests;
