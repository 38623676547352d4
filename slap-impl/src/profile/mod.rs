//! The profile engine: the Buildout language, its run, and the recipes.

pub mod jinja;
pub mod literal;
pub mod recipe;
pub mod recipes;
