//! SQL: a question as the text that Spark, DuckDB and Trino take.

use super::question::{Question, Side, Source, Sum};

fn column(from: Source) -> String {
    let side = match from.0 {
        Side::Fact => "f",
        Side::Run => "r",
    };
    format!("{side}.{}", from.1)
}

fn sum(sum: Sum) -> String {
    match sum {
        Sum::Rows => "COUNT(*)".to_owned(),
        Sum::Different(from) => format!("COUNT(DISTINCT {})", column(from)),
        Sum::Total(from) => format!("COALESCE(SUM({}), 0)", column(from)),
        Sum::Least(from) => format!("MIN({})", column(from)),
        Sum::Most(from) => format!("MAX({})", column(from)),
    }
}

/// The text.
#[must_use]
pub fn text(question: &Question) -> String {
    let keys: Vec<String> = question.keys.iter().map(|key| column(*key)).collect();
    let key_columns = question.keys.iter().zip(&keys).map(|(key, text)| format!("{text} AS {}", key.1));
    let sums = question.sums.iter().map(|(name, of, _)| format!("{} AS {name}", sum(*of)));
    let columns: Vec<String> = key_columns.chain(sums).collect();
    let only = question.only.map(|column| format!("\nWHERE f.{column} = 1")).unwrap_or_default();
    format!(
        "SELECT {}\nFROM {} f JOIN runs r ON f.run = r.run{only}\nGROUP BY {}",
        columns.join(",\n       "),
        question.table,
        keys.join(", ")
    )
}
