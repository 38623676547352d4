//! Python literals.
