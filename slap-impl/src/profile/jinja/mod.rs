//! Jinja templates.
