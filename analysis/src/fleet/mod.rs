//! Fleet: the facts of one trace of many, where every engine reads them.
//!
//! `krcu_ship` says where files lie and when a trace is whole, [`facts`] which rows it leaves, and [`ledger`] that it has been
//! replayed. Facts are written first and the ledger last, each by a rename; so a replay that is killed at any moment
//! leaves either no row of the ledger, and is done again, or a whole one.

pub mod class;
pub mod committed;
pub mod compact;
pub mod facts;
pub mod ledger;
mod tables;
