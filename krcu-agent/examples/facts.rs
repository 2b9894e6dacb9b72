//! Prints the facts of this kernel as JSON: how the fixtures under `tests/facts` are recorded.
//!
//! `cargo xtask vm run --kernel 6.1 --out DIR --file …/examples/facts -- '/files/facts >/out/facts.json'`,
//! with the example linked statically. Record all of them again when the catalog gains a function.

use std::path::Path;

use krcu_agent::kernel::Facts;

fn main() -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(&Facts::gather(Path::new("/")))?);
    Ok(())
}
