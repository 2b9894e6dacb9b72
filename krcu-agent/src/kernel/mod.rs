//! What the running kernel offers ([`facts`]), read partly from its type information ([`btf`],
//! [`layout`]), and what krcu makes of it ([`plan`], from the table in [`catalog`]).
//!
//! Nothing here touches the kernel beyond reading files, and nothing here knows aya.

pub mod btf;
pub mod catalog;
pub mod facts;
pub mod files;
pub mod layout;
pub mod plan;

pub use facts::Facts;
pub use plan::Plan;
