//! One file a recipe.
