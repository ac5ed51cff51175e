# All chores in one place: `just` lists them. CI runs `bash .ci/run`, which needs no just.

# Lists the recipes.
default:
    @just --list

# Format, lints and documentation: what a change must pass before it is tested.
check:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# All tests, or those of one package: `just test -p secure-chat-node`.
test *ARGS="--workspace":
    cargo test --locked {{ARGS}}

# The lines of the README's walk-throughs, typed into the real programs.
walkthrough:
    cargo build --workspace --bins --locked
    tests/walkthrough "${CARGO_TARGET_DIR:-target}/debug"

# The benchmarks, each figure beside what it is compared with.
bench *ARGS:
    bash .ci/bench {{ARGS}}

# Many peers and rendezvous nodes in one process: `just sim --peers 20 --seed 7`.
sim *ARGS:
    cargo run --release --locked --example simulation -- {{ARGS}}

# Fuzzes every decoder for this many seconds each; `just fuzz 600` is the long run.
fuzz SECONDS="20":
    .ci/fuzz {{SECONDS}}

# The documentation of all crates, in target/doc.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# The models of the handshake and of sender keys, with their expected verdicts; needs verifpal.
model:
    protocol/model/check

# Precision and recall of the alert rules, over scripted attacks and hours of ordinary traffic.
alerts:
    cargo test --locked -p secure-chat-tests --test alerts -- --nocapture
    cargo test --locked -p secure-chat-tests --test lying_node each_lie -- --nocapture

# Licences, advisories and sources of what we build on; needs cargo-deny.
deny:
    cargo deny check

# Everything that CI runs, as it runs it.
ci:
    bash .ci/run
