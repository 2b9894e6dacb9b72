//! Dictionary: what each table and column means, as a page. The columns are those that rows are made of.

use std::fmt::Write as _;

use super::{
    row::Rows,
    words::{
        Barriers, Batches, Caches, Callbacks, Destroys, Gaps, Graces, Modules, Objects, Runs, Sites, Verdicts,
    },
};

/// The page.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "<!-- Written by `KRCU_BLESS=1 cargo test -p analysis --test golden`; the same test holds it to the \
         code. -->\n\n# The tables of `krcu analyze`\n\nA replay of a trace fills these tables, with the \
         same code as a live run. It writes a row each time that something is over. `krcu analyze export` \
         writes the tables as Parquet, Arrow or CSV, and `krcu analyze sql` asks them; there each begins with the column `run`. Times (`…_at_ns`) are nanoseconds of `CLOCK_MONOTONIC`, \
         counted from the moment at which the last probe was attached; earlier times are below 0. Spans \
         (`…_ns`) are nanoseconds.\n",
    );
    one::<Objects>(&mut page);
    one::<Callbacks>(&mut page);
    one::<Batches>(&mut page);
    one::<Barriers>(&mut page);
    one::<Destroys>(&mut page);
    one::<Verdicts>(&mut page);
    one::<Caches>(&mut page);
    one::<Graces>(&mut page);
    one::<Gaps>(&mut page);
    one::<Sites>(&mut page);
    one::<Runs>(&mut page);
    one::<Modules>(&mut page);
    one::<crate::whatif::words::WhatIfs>(&mut page);
    page
}

fn one<R: Rows>(page: &mut String) {
    let _ = writeln!(
        page,
        "\n## `{}`\n\n{}\n\n| column | type | meaning |\n| --- | --- | --- |",
        R::NAME,
        R::MEANING.trim()
    );
    for column in R::COLUMNS {
        let kind = column.kind.replace("Option < ", "").replace("Option<", "").replace([' ', '>'], "");
        let absent = if column.kind.starts_with("Option") { " or absent" } else { "" };
        let is_text = ["String", "&'staticstr"].contains(&kind.as_str());
        let kind = if is_text { "text".to_owned() } else { kind };
        let name = if column.name == "is_unsafe" { "unsafe" } else { column.name };
        let _ = writeln!(page, "| `{name}` | {kind}{absent} | {} |", column.meaning.trim());
    }
}
