//! Changes configurations, and reads them: `fuzz_config config SECONDS [SEED]`.

#[path = "../../fuzz/guided.rs"]
mod guided;

use std::process::ExitCode;

use krcu_agent::agent::{config::Config, keys};

fn main() -> ExitCode {
    guided::main("config", vec![keys::example().into_bytes()], |bytes| {
        let Ok(text) = str::from_utf8(bytes) else { return };
        if let Err(error) = Config::of("agent.toml", text, &[]) {
            let said = error.to_string();
            assert_eq!(said.lines().count(), 1, "{said:?}");
        }
    })
}
