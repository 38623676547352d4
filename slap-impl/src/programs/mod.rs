//! What runs inside partitions, and the shim through which everything starts.
//!
//! * `exec.rs`: `slap exec`, the shim between fork and a program
//! * `http_server.rs`: `slap http-server`, what slapos.cookbook:simplehttpserver runs

pub mod exec;
pub mod http_server;
