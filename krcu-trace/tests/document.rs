//! The document of the trace's format is made from the schema. It lies outside this crate, and so this test is not in the
//! crate's package.

use std::{env, fs, path::Path};

use krcu_trace::dictionary;

#[test]
fn the_committed_description_is_that_of_the_schema() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/trace-format.md");
    let text = dictionary::markdown();
    if env::var_os("KRCU_BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "{} is not made from this schema", path.display());
}
