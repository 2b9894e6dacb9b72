//! Sound: is the judge right? It listens to small kernels that know the truth, in every order of their steps.

pub mod deferral;
pub mod explore;
pub mod kernel;
mod moves;
pub mod promise;
pub mod report;
pub mod rows;
mod says;
pub mod setup;
mod told;
pub mod truth;
pub mod watch;
mod words;
pub mod worlds;
pub mod wrong;
