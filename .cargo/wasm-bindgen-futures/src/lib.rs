//! Empty on purpose: see Cargo.toml.
#![forbid(unsafe_code)]
#[cfg(target_family = "wasm")]
compile_error!("Secure Chat is not built for wasm: remove the patch in the workspace's Cargo.toml");
