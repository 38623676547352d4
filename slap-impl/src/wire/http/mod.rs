//! HTTP/1.1 through the door: a client and a hardened server loop.

pub mod client;
pub mod server;
mod url;
