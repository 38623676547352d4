//! Bytes and typed values: what SlapOS programs say to each other.

pub mod http;
pub mod marshal;
