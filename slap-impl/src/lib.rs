//! SlapOS in one program: master, node and client, as a library and as the program `slap`.
//!
//! The floors, from the ground up; each uses only those below it (ARCHITECTURE.md says why):
//!
//! 1. [`vocabulary`]: typed ids and states; [`mod@env`]: the only door to the operating system
//! 2. [`wire`]: bytes and typed values; [`store`]: the database's schema and queries; `arguments`: command lines
//! 3. [`client`]: the typed SLAP client
//! 4. [`master`]: decisions, commit queue, router; [`profile`]: the Buildout language and its engine
//! 5. [`node`]: agent and supervisor; [`programs`]: what runs inside partitions
//! 6. [`cli`]: commands; [`lab`]: a master and nodes in one directory

#![forbid(unsafe_code)]

mod arguments;
pub mod cli;
pub mod client;
pub mod env;
pub mod lab;
pub mod master;
pub mod node;
pub mod profile;
pub mod programs;
pub mod store;
pub mod vocabulary;
pub mod wire;
