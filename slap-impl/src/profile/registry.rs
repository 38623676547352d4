//! The recipes that exist, by name.

use super::recipe::{Construct, RecipeError};

/// Recipes by name, such as `slapos.recipe.template:jinja2`; a name without `:` is the recipe `default` of its package.
#[derive(Clone, Copy)]
pub struct Registry(pub &'static [(&'static str, Construct)]);

impl Registry {
    /// The recipe of that name.
    ///
    /// # Errors
    /// When there is none: it is refused by name.
    pub fn find(&self, recipe: &str) -> Result<Construct, RecipeError> {
        let name = recipe.strip_suffix(":default").unwrap_or(recipe);
        if let Some((_, construct)) = self.0.iter().find(|(known, _)| *known == name) {
            return Ok(*construct);
        }
        let error = RecipeError::new(format!("the recipe {recipe:?} is not supported"));
        Err(match crate::vocabulary::nearest(name, self.0.iter().map(|(known, _)| *known)) {
            Some(near) => error.hint(format!("the nearest one is {near:?}")),
            None => {
                let names: Vec<&str> = self.0.iter().map(|(known, _)| *known).collect();
                error.hint(format!("these are: {}", names.join(", ")))
            }
        })
    }
}
