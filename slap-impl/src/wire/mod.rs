//! Bytes and typed values: what SlapOS programs say to each other.
//!
//! * `http`: HTTP/1.1 both ways
//! * `marshal`: the documents of Python's xml_marshaller; `instance_xml`: parameters
//! * `objects`, `configuration` and `status`: what these documents mean
//! * `hateoas`: the JSON documents that clients search; `uri_template`: the links in them
//! * `json_rpc`: the JSON documents of the methods that later clients call
//! * `config_parser`, `settings`: slapos.cfg

pub mod config_parser;
pub mod configuration;
mod fields;
pub mod hateoas;
pub mod http;
pub mod instance_xml;
pub mod json_rpc;
pub mod marshal;
pub mod objects;
pub mod settings;
pub mod status;
pub mod uri_template;
