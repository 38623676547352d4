//! Bytes and typed values: what SlapOS programs say to each other.
//!
//! * `http`: HTTP/1.1 both ways
//! * `marshal`: the documents of Python's xml_marshaller; `instance_xml`: parameters
//! * `objects` and `configuration`: what these documents mean

pub mod configuration;
mod fields;
pub mod http;
pub mod instance_xml;
pub mod marshal;
pub mod objects;
