//! `docs/promises.md` names tests: each of them exists.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;

fn sources(folder: &Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            all.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_test_that_the_promises_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut code = String::new();
    for package in ["protocol", "node", "rendezvous", "gui", "tests"] {
        for folder in ["src", "tests"] {
            sources(&root.join(package).join(folder), &mut code);
        }
    }
    let document = std::fs::read_to_string(root.join("docs/promises.md")).unwrap();
    // Every other piece between backticks is quoted; a path is no test.
    let quoted = document.split('`').skip(1).step_by(2);
    let tests: BTreeSet<&str> = quoted.filter(|name| name.contains('_') && !name.contains(['/', '.'])).collect();
    assert!(tests.len() > 100, "the document is read");
    let missing: Vec<&&str> = tests.iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
