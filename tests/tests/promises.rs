//! `docs/promises.md` and `docs/threat-model.md` name tests: each of them exists. The threat
//! model has a line for each alert that the engine raises, and each of those is in a test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

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

fn code_of(folders: &[&str]) -> String {
    let mut code = String::new();
    for folder in folders {
        sources(&root().join(folder), &mut code);
    }
    code
}

fn all_code() -> String {
    let packages = ["protocol", "node", "rendezvous", "gui", "tests"];
    let folders: Vec<String> =
        packages.iter().flat_map(|package| [format!("{package}/src"), format!("{package}/tests")]).collect();
    code_of(&folders.iter().map(String::as_str).collect::<Vec<_>>())
}

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The lines of the tables under a heading.
fn tables<'a>(document: &'a str, heading: &str) -> Vec<&'a str> {
    let section = document.split("\n## ").find_map(|section| section.strip_prefix(heading)).expect(heading);
    section.lines().filter(|line| line.starts_with("| ")).collect()
}

/// The heads of the two tables that name tests.
const HEADS: [&str; 4] = ["| adversary | tests |", "| --- | --- |", "| alert | when | test |", "| --- | --- | --- |"];

fn last_cell(line: &str) -> &str {
    line.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default()
}

/// Whether a name is a test, a file of tests, a model, or a path that is there.
fn is_there(name: &str, code: &str) -> bool {
    let test = name.rsplit("::").next().unwrap_or(name);
    let places = [format!("tests/tests/{name}.rs"), format!("tests/tests/{name}/main.rs")];
    let models = [format!("protocol/model/{name}.vp"), name.to_owned(), format!("{name}.rs")];
    code.contains(&format!("fn {test}(")) || places.iter().chain(&models).any(|path| root().join(path).exists())
}

#[test]
fn every_test_that_the_promises_name_is_there() {
    let (code, document) = (all_code(), document("promises.md"));
    // A path is no test.
    let tests: BTreeSet<&str> =
        quoted(&document).filter(|name| name.contains('_') && !name.contains(['/', '.'])).collect();
    assert!(tests.len() > 100, "the document is read");
    let missing: Vec<&&str> = tests.iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_test_that_the_threat_model_names_is_there_and_every_adversary_has_one() {
    let (code, document) = (all_code(), document("threat-model.md"));
    let lines = tables(&document, "Which tests hold these lines");
    let rules = tables(&document, "Alert rules");
    let named: Vec<(&str, Vec<&str>)> =
        lines.iter().chain(&rules).map(|line| (*line, quoted(last_cell(line)).collect())).collect();
    let empty: Vec<&str> = named.iter().filter(|(_, tests)| tests.is_empty()).map(|(line, _)| *line).collect();
    assert_eq!(empty, HEADS, "only the head of a table names no test");
    let missing: Vec<&str> =
        named.iter().flat_map(|(_, tests)| tests).copied().filter(|name| !is_there(name, &code)).collect();
    assert!(missing.is_empty(), "{missing:?}");

    let adversaries = document.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| **"));
    let adversaries: Vec<&str> = adversaries.map(|line| line.split("**").nth(1).unwrap()).collect();
    assert!(adversaries.len() > 10, "the document is read");
    let held: Vec<String> = lines.iter().map(|line| line.split(" | ").next().unwrap().to_lowercase()).collect();
    let bare = |name: &str| {
        let name = name.to_lowercase();
        let name = name.strip_prefix("the ").or_else(|| name.strip_prefix("a ")).unwrap_or(&name);
        !held.iter().any(|line| line.contains(name))
    };
    let untested: Vec<&&str> = adversaries.iter().filter(|name| bare(name)).collect();
    assert!(untested.is_empty(), "no line says what holds {untested:?}");
}

/// The kinds of all alerts that the engine raises.
fn raised() -> BTreeSet<String> {
    let engine = code_of(&["node/src/engine"]);
    let mut kinds = BTreeSet::new();
    for call in engine.split(".alert(").skip(1) {
        // The first text of the call; the one call with a rule's kind has none before its end.
        let call = call.split(';').next().unwrap();
        kinds.extend(call.split('"').nth(1).filter(|kind| !kind.contains(' ')).map(str::to_owned));
    }
    let rules = code_of(&["node/src/security"]);
    let rules = rules.split("pub fn observe").nth(1).unwrap().split("#[cfg(test)]").next().unwrap();
    kinds.extend(rules.split('"').skip(1).step_by(2).filter(|text| !text.contains(' ')).map(str::to_owned));
    kinds
}

#[test]
fn every_alert_has_its_line_in_the_threat_model_and_is_in_a_test() {
    let kinds = raised();
    assert!(kinds.len() > 30 && kinds.contains("message.flood") && kinds.contains("group.flood"), "{kinds:?}");
    let document = document("threat-model.md");
    let told: BTreeSet<&str> = tables(&document, "Alert rules")
        .into_iter()
        .flat_map(|line| quoted(line.split(" | ").next().unwrap()))
        .collect();
    let known: BTreeSet<&str> = kinds.iter().map(String::as_str).collect();
    assert_eq!(known, told, "the table is of the alerts that are raised");
    let tests = code_of(&["tests/tests"]);
    let untested: Vec<&&str> = known.iter().filter(|kind| !tests.contains(&format!("\"{kind}\""))).collect();
    assert!(untested.is_empty(), "no test names {untested:?}");
}

/// Its session has to be gone, and with it the note that it came: `a_first_message_can_not_be_replayed` shows that.
const AUDITED_BELOW: &str = "message.replay_refused";

#[test]
fn every_kind_of_entry_of_the_audit_log_is_in_a_test() {
    let engine = code_of(&["node/src/engine"]);
    let calls = [".audit(", ".audit_about("].map(|call| engine.split(call).skip(1).collect::<Vec<_>>()).concat();
    let kinds: BTreeSet<&str> = calls
        .into_iter()
        .filter_map(|call| call.split(';').next().unwrap().split('"').nth(1))
        .filter(|kind| kind.contains('.') && !kind.contains(' ') && *kind != AUDITED_BELOW)
        .collect();
    assert!(kinds.len() > 30 && kinds.contains("account.unlocked"), "{kinds:?}");
    let tests = code_of(&["tests/tests"]);
    let untested: Vec<&&str> = kinds.iter().filter(|kind| !tests.contains(&format!("\"{kind}\""))).collect();
    assert!(untested.is_empty(), "no test names {untested:?}");
}
