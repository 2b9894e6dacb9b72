//! Finds the compiled probes that the agent embeds.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    println!("cargo::rerun-if-env-changed=KRCU_EBPF_OBJECT");
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let object =
        env::var_os("KRCU_EBPF_OBJECT").map_or_else(|| here.join("../target/krcu-ebpf.o"), PathBuf::from);
    println!("cargo::rerun-if-changed={}", object.display());
    match object.canonicalize() {
        Ok(object) => {
            println!("cargo::rustc-env=KRCU_EBPF_OBJECT={}", object.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!(
                "cargo::error=the compiled probes are not at {} ({error}): run `cargo xtask build-ebpf`",
                object.display()
            );
            ExitCode::FAILURE
        }
    }
}
