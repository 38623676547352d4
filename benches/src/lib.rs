//! Benchmarks, with the floors that the project gave itself. Run them with `cargo xtask bench`.

#![forbid(unsafe_code)]
