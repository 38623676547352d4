//! One file a recipe.

use super::registry::Registry;

/// The recipes that profiles can name.
pub const REGISTRY: Registry = Registry(&[]);
