//! The binary `krcu-analyze`.
fn main() {}
