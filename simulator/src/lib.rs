//! The real master, agents, supervisors and engines in a world in memory, in one process.
//!
//! * [`swarm`]: users and faults against the whole cloud, from a seed
//! * [`world`]: the second `Env`: paused clock, streams in memory, files in memory, programs as groups of tasks
//! * [`canaries`]: planted bugs, and whether the tiers see them
//! * [`cluster`]: a master and nodes on machines of their own
//! * [`command`]: the program `simulator`
//! * [`contract`]: what any `Env` must do; the same suite runs on the world and on the real system
//! * [`coverage`]: which lines and functions of slap-impl fifty seeds reach
//! * [`crash`]: the real master on a disk that fails, and what it must have kept
//! * [`differential`]: the model and the real master, event by event
//! * [`histories`]: many clients against a real master, and whether what they saw can be
//! * [`explore`]: the worlds of slap-model, explored: every state, every rule, every order of steps
//! * [`lab`]: a master and nodes in a world, until all promises are green

pub mod canaries;
pub mod cluster;
pub mod command;
pub mod contract;
pub mod coverage;
pub mod crash;
pub mod differential;
pub mod explore;
pub mod histories;
pub mod lab;
pub mod swarm;
pub mod world;
