//! The decoders of the protocol under libFuzzer: the first byte of an input
//! says which. `.ci/fuzz --coverage` builds and runs it.
#![no_main]

#[path = "../../examples/fuzz/targets.rs"]
mod targets;

use std::sync::LazyLock;

use targets::{TARGETS, World};

static WORLD: LazyLock<World> = LazyLock::new(World::new);

libfuzzer_sys::fuzz_target!(init: write_seeds(), |input: &[u8]| {
    if let Some((first, rest)) = input.split_first() {
        let target = &TARGETS[usize::from(*first) % TARGETS.len()];
        (target.run)(&WORLD, rest);
    }
});

/// The valid messages that the search starts from, put where libFuzzer looks for them.
fn write_seeds() {
    let Some(folder) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')) else { return };
    for (at, target) in TARGETS.iter().enumerate() {
        for (number, seed) in (target.seeds)(&WORLD).iter().enumerate() {
            let first = u8::try_from(at).unwrap_or_default();
            let path = std::path::Path::new(&folder).join(format!("seed-{at}-{number}"));
            // A seed that can't be written is only a slower start.
            let _ = std::fs::write(path, [&[first], seed.as_slice()].concat());
        }
    }
}
