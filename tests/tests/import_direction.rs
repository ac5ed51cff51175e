//! Imports run one way: `gui → node → protocol ← rendezvous`. What is broken
//! here is broken in the design: read docs/architecture.md before changing this test.

// A test says what is wrong by failing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const CRYPTOGRAPHY: &[&str] = &[
    "argon2",
    "chacha20poly1305",
    "curve25519_dalek",
    "ed25519_dalek",
    "hkdf",
    "hmac",
    "ml_kem",
    "poly1305",
    "sha2",
    "subtle",
    "x25519_dalek",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The crates that each of our packages depends on, tests and benchmarks aside, as they are imported.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |package: &serde_json::Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let names = dependencies.filter(|d| d["kind"] != "dev").map(|d| d["name"].as_str().unwrap().replace('-', "_"));
        (package["name"].as_str().unwrap().to_owned(), names.collect())
    };
    metadata["packages"].as_array().unwrap().iter().map(of).collect()
}

/// Every source file under `folder`, by its path from the root, without comments and unit tests.
fn sources(folder: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
                files.insert(name, code_of(&std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!files.is_empty(), "{folder} has no sources");
    files
}

fn code_of(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_part_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether code names a path that begins with the crate `name`.
fn imports(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].trim_end_matches(' ');
        let after = &code[at + name.len()..];
        let begins = !before.ends_with("::") && !code[..at].ends_with(|c: char| is_part_of_name(c) || c == '.');
        let goes_on = after.starts_with("::")
            || (before.ends_with("use") && after.starts_with([';', ' ']))
            || before.ends_with("extern crate");
        begins && goes_on
    })
}

/// Fails if a file outside `allowed` (prefixes of paths) imports `name`.
fn assert_imported_only_by(folder: &str, name: &str, allowed: &[&str]) {
    for (path, code) in sources(folder) {
        let may = allowed.iter().any(|prefix| path.starts_with(prefix));
        assert!(may || !imports(&code, name), "{path} imports {name}, which only {allowed:?} may");
    }
}

#[test]
fn the_check_sees_an_import_and_nothing_else() {
    for code in
        ["use libp2p::Swarm;", "fn f(a: libp2p::PeerId) {}", "use libp2p as p;", "pub use libp2p;", "(&libp2p::X)"]
    {
        assert!(imports(code, "libp2p"), "{code}");
    }
    for code in
        ["use crate::libp2p::X;", "let libp2p = 3;", "use my_libp2p::X;", "self.libp2p::<u8>()", "use libp2p_x::X;"]
    {
        assert!(!imports(code, "libp2p"), "{code}");
    }
    assert!(!imports(
        &code_of("// use libp2p::Swarm;\nfn f() {}\n\n#[cfg(test)]\nmod tests {\nuse libp2p::X;}"),
        "libp2p"
    ));
}

#[test]
fn packages_depend_on_each_other_in_one_direction() {
    let all = dependencies();
    let ours = |package: &str| -> BTreeSet<&str> {
        all[package].iter().map(String::as_str).filter(|name| name.starts_with("secure_chat")).collect()
    };
    assert_eq!(ours("secure-chat-protocol"), BTreeSet::new());
    assert_eq!(ours("secure-chat-node"), BTreeSet::from(["secure_chat_protocol"]));
    assert_eq!(ours("secure-chat-rendezvous"), BTreeSet::from(["secure_chat_protocol"]));
    let window = BTreeSet::from(["secure_chat_node", "secure_chat_protocol", "secure_chat_rendezvous"]);
    assert!(ours("secure-chat").is_subset(&window));
}

#[test]
fn the_protocol_knows_no_input_and_output_no_clock_and_no_global_randomness() {
    let all = dependencies();
    for name in ["tokio", "futures", "libp2p", "redb", "async_trait", "time", "chrono", "getrandom", "tracing"] {
        assert!(!all["secure-chat-protocol"].contains(name), "protocol depends on {name}");
    }
    let forbidden = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant::now",
        "OsRng",
        "SysRng",
        "rand::rng(",
        "async fn",
    ];
    for (path, code) in sources("protocol/src") {
        for word in forbidden {
            assert!(!code.contains(word), "{path} has {word}");
        }
    }
}

#[test]
fn cryptography_is_imported_by_the_crypto_floor_alone() {
    let all = dependencies();
    for name in CRYPTOGRAPHY {
        assert_imported_only_by("protocol/src", name, &["protocol/src/crypto/"]);
        for package in ["secure-chat-node", "secure-chat-rendezvous", "secure-chat"] {
            assert!(!all[package].contains(*name), "{package} depends on {name}");
        }
    }
}

#[test]
fn only_the_codec_knows_the_encoding() {
    assert_imported_only_by("protocol/src", "bincode", &["protocol/src/wire/codec"]);
    for (package, dependencies) in dependencies() {
        assert!(package == "secure-chat-protocol" || !dependencies.contains("bincode"), "{package} depends on bincode");
    }
}

#[test]
fn libp2p_and_the_database_stop_on_their_floor() {
    assert_imported_only_by("node/src", "libp2p", &["node/src/network/"]);
    assert_imported_only_by("node/src", "redb", &["node/src/store/"]);
    assert_imported_only_by("rendezvous/src", "redb", &["rendezvous/src/store"]);
    let all = dependencies();
    for name in ["libp2p", "redb"] {
        assert!(!all["secure-chat"].contains(name), "the window depends on {name}");
    }
}

#[test]
fn the_window_touches_the_rendezvous_crate_only_to_host_one() {
    let importers = sources("gui/src").into_iter().filter(|(_, code)| imports(code, "secure_chat_rendezvous"));
    let importers: Vec<String> = importers.map(|(path, _)| path).collect();
    assert!(importers.len() <= 1, "{importers:?}");
}

#[test]
fn doors_are_opened_by_programs_alone() {
    for name in ["crate::rpc", "crate::shell"] {
        for (path, code) in sources("node/src") {
            let inside = path.starts_with(&format!("node/src/{}", &name["crate::".len()..]));
            assert!(inside || !code.contains(name), "{path} imports the door {name}");
        }
    }
    for folder in ["node/src", "rendezvous/src"] {
        let all = sources(folder);
        let library = &all[&format!("{folder}/lib.rs")];
        for (path, code) in &all {
            let module = path[folder.len() + 1..].split(['/', '.']).next().unwrap();
            let in_library = module == "lib" || library.contains(&format!("mod {module};"));
            assert!(!in_library || !imports(code, "anyhow"), "{path}: a library's errors are typed");
        }
    }
}

/// The encoding stands far below what travels in it: a floor of its own inside `wire`.
const CODEC: &str = "wire/codec";

/// The top-level modules that each top-level module of a crate imports.
fn floors(folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let files = sources(folder);
    let module_of = |path: &str| {
        let path = &path[folder.len() + 1..];
        if path.starts_with(CODEC) { CODEC.to_owned() } else { path.split(['/', '.']).next().unwrap().to_owned() }
    };
    let modules: BTreeSet<String> =
        files.keys().map(|path| module_of(path)).filter(|name| !["lib", "main"].contains(&name.as_str())).collect();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, code) in &files {
        let from = module_of(path);
        for (at, _) in code.match_indices("crate::") {
            let rest = &code[at + "crate::".len()..];
            let name: String = rest.chars().take_while(|c| is_part_of_name(*c)).collect();
            let name = if rest.starts_with("wire::codec") { CODEC.to_owned() } else { name };
            if name != from && modules.contains(&name) {
                edges.entry(from.clone()).or_default().insert(name);
            }
        }
    }
    edges
}

/// A way from a module back to itself.
fn circle(edges: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk(edges: &BTreeMap<String, BTreeSet<String>>, way: &mut Vec<String>, done: &mut BTreeSet<String>) -> bool {
        let here = way.last().unwrap().clone();
        for next in edges.get(&here).into_iter().flatten() {
            if let Some(at) = way.iter().position(|module| module == next) {
                way.drain(..at);
                way.push(next.clone());
                return true;
            }
            way.push(next.clone());
            if !done.contains(next) && walk(edges, way, done) {
                return true;
            }
            way.pop();
        }
        done.insert(here);
        false
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|start| {
        let mut way = vec![start.clone()];
        walk(edges, &mut way, &mut done).then_some(way)
    })
}

#[test]
fn a_circle_is_found() {
    let edges = |list: &[(&str, &str)]| {
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in list {
            edges.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        edges
    };
    assert_eq!(circle(&edges(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    assert_eq!(circle(&edges(&[("a", "b"), ("b", "c"), ("c", "b")])).unwrap(), ["b", "c", "b"]);
}

#[test]
fn no_two_floors_of_a_crate_import_each_other() {
    for folder in ["protocol/src", "node/src", "rendezvous/src", "gui/src"] {
        assert_eq!(circle(&floors(folder)), None, "in {folder}");
    }
}
