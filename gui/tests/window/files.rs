//! One file from the first bytes to its end, with the transfer in sight.

use egui::Role;
use egui_kittest::{
    Harness,
    kittest::{NodeT as _, Queryable as _},
};
use secure_chat_node::api::Event;
use secure_chat_node::engine::Node;
use secure_chat_window::app::App;

use crate::town::*;

/// Progress is told every 0.4 s: long enough on the way that several of them are seen.
const SIZE_MB: usize = 160;

/// How much of the transfer is shown, in percent.
fn percent(window: &Harness<'static, App>) -> Option<u32> {
    let bar = window.query_all_by_role(Role::ProgressIndicator).next()?;
    bar.accesskit_node().label()?.split_once(' ')?.0.parse().ok()
}

#[test]
fn a_file_is_fetched_with_its_progress_in_sight_paused_continued_and_deleted() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    let (theirs, saved) = (town.folders.path().join("atlas.pdf"), town.folders.path().join("saved atlas.pdf"));
    let content = (0..1_u32 << 18).flat_map(u32::to_le_bytes).collect::<Vec<u8>>().repeat(SIZE_MB);
    std::fs::write(&theirs, &content).unwrap();
    let path = theirs.display().to_string();
    town.runtime.block_on(bob.files_share(path, Some("alice".to_owned()), None, None, None, None)).unwrap();

    tab(&mut alice, "Files");
    button(&mut alice, "Save as…: atlas.pdf");
    retype(&mut alice, "Path of the file", &saved.display().to_string());
    button(&mut alice, "Save");

    let first = until(&mut alice, "some of it", |alice| percent(alice).filter(|percent| (1..100).contains(percent)));
    assert!(shown(&alice).contains(" of 160 MB"), "how much of how much: {}", shown(&alice));
    until_label_contains(&mut alice, "/s · ");
    until_label_contains(&mut alice, " left");
    button(&mut alice, "Pause: atlas.pdf");
    until_label_contains(&mut alice, "paused");
    let paused = percent(&alice).unwrap();
    assert!((first..100).contains(&paused), "it stopped on the way: {first} {paused}");
    assert!(!saved.exists(), "a file that is not whole has not its name yet");

    button(&mut alice, "Go on: atlas.pdf");
    until_label_contains(&mut alice, "here, whole and verified");
    assert!(percent(&alice).is_none(), "what is over has no bar");
    assert!(std::fs::read(&saved).unwrap() == content, "byte for byte");

    let deleted = town.wait(&bob, |event| matches!(event, Event::MessageReceived(_)).then_some(()));
    button(&mut alice, "Delete file: atlas.pdf");
    until_label(&mut alice, "Delete this file?");
    // The last of that name is the dialog's.
    press(&mut alice, "Delete file");
    until_label(&mut alice, "Nothing shared yet");
    tab(&mut alice, "Chat");
    say(&mut alice, "seen it");
    deleted();
}

/// Whether anything below a folder holds these bytes.
fn holds(folder: &std::path::Path, wanted: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, wanted);
        }
        std::fs::read(&path).unwrap().windows(wanted.len()).any(|bytes| bytes == wanted)
    })
}

#[test]
fn what_is_received_is_kept_encrypted_until_a_copy_is_saved() {
    const LETTER: &[u8] = b"%PDF-1.7 Dear Director, I resign.";
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    let (theirs, saved) = (town.folders.path().join("letter.pdf"), town.folders.path().join("copy of letter.pdf"));
    let content = LETTER.repeat(20_000);
    std::fs::write(&theirs, &content).unwrap();

    tab(&mut alice, "Profile");
    let switch = |alice: &Harness<'static, App>| {
        let node = alice.query_by_role_and_label(Role::Switch, "Keep received files encrypted")?;
        Some((node.accesskit_node().toggled(), node.click_accesskit()))
    };
    let (before, ()) = until(&mut alice, "the setting", switch);
    until(&mut alice, "the other setting", |alice| {
        let node = alice.query_by_role_and_label(Role::Switch, "Keep received files encrypted")?;
        (node.accesskit_node().toggled() != before).then_some(())
    });
    let path = theirs.display().to_string();
    town.runtime.block_on(bob.files_share(path, Some("alice".to_owned()), None, None, None, None)).unwrap();

    tab(&mut alice, "Chat");
    button(&mut alice, "Download: letter.pdf");
    button(&mut alice, "Keep it here, encrypted");
    until(&mut alice, "the way to a copy", |alice| alice.query_by_label("Save a copy…: letter.pdf").map(|_| ()));
    let alices = town.folders.path().join("alice");
    assert!(!holds(&alices, &LETTER[9..25]), "nobody else can read it");

    // A place where nothing can be written is said where the file is, and the copy can be tried again.
    tab(&mut alice, "Files");
    until_label_contains(&mut alice, "here, kept encrypted");
    button(&mut alice, "Save a copy…: letter.pdf");
    retype(&mut alice, "Path of the file", "/no/such/folder/letter.pdf");
    button(&mut alice, "Save");
    until_label_contains(&mut alice, "/no/such/folder");
    button(&mut alice, "Save a copy…: letter.pdf");
    retype(&mut alice, "Path of the file", &saved.display().to_string());
    button(&mut alice, "Save");
    until_label_contains(&mut alice, "Saved as");
    assert!(std::fs::read(&saved).unwrap() == content, "byte for byte");
    assert!(!holds(&alices, &LETTER[9..25]), "what is here stays sealed");
    tab(&mut alice, "Chat");
    until(&mut alice, "the way to the copy", |alice| alice.query_by_label("Open folder: letter.pdf").map(|_| ()));
}

#[test]
fn a_very_long_file_is_asked_about_before_it_is_shared() {
    let town = Town::new();
    let (mut alice, _bob) = alice_and_bob(&town);
    // More than four gibibytes that take no room on the disk.
    let path = town.folders.path().join("all the films.zip");
    std::fs::File::create(&path).unwrap().set_len((4 << 30) + 1).unwrap();
    button(&mut alice, "Share a file");
    type_into(&mut alice, Role::TextInput, "Path of the file", &path.display().to_string());
    button(&mut alice, "Share");
    until_label_contains(&mut alice, "This file is very long");
    // Another file is another question.
    retype(&mut alice, "Path of the file", "/no/such/film.zip");
    until(&mut alice, "the first answer", |alice| alice.query_by_role_and_label(Role::Button, "Share").map(|_| ()));
}

/// Asks for a file, to be saved there.
fn save_as(alice: &mut Harness<'static, App>, name: &str, saved: &std::path::Path) {
    button(alice, &format!("Save as…: {name}"));
    retype(alice, "Path of the file", &saved.display().to_string());
    button(alice, "Save");
}

#[test]
fn a_download_waits_for_who_is_away_and_one_that_failed_is_tried_again() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    let folder = town.folders.path();
    let share = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        let to = Some("alice".to_owned());
        town.runtime.block_on(bob.files_share(path.display().to_string(), to, None, None, None, None)).unwrap();
        path
    };
    let content: Vec<u8> = (0..400_000_u32).flat_map(u32::to_le_bytes).collect();
    let (map, _atlas) = (share("map.pdf", &content), share("atlas.pdf", &content[4..]));
    tab(&mut alice, "Files");
    until_label(&mut alice, "atlas.pdf");

    // The source is not where it was: what is wrong stands beside the file, with the way to try again.
    let elsewhere = folder.join("moved.pdf");
    std::fs::rename(&map, &elsewhere).unwrap();
    let saved = folder.join("alice's map.pdf");
    save_as(&mut alice, "map.pdf", &saved);
    until(&mut alice, "the way to try again", |alice| alice.query_by_label("Retry: map.pdf").map(|_| ()));
    until_label_contains(&mut alice, "The sender");
    assert!(!saved.exists());
    std::fs::rename(&elsewhere, &map).unwrap();
    button(&mut alice, "Retry: map.pdf");
    until_label_contains(&mut alice, "here, whole and verified");
    assert!(std::fs::read(&saved).unwrap() == content, "byte for byte");
    assert!(alice.query_by_label("Retry: map.pdf").is_none(), "nothing is left to try");
    assert!(alice.query_all_by_label_contains("The sender").next().is_none(), "what was wrong is wrong no more");

    // Who has it is away: it waits, and goes on by itself when they are back.
    town.runtime.block_on(bob.shutdown());
    let saved = folder.join("alice's atlas.pdf");
    save_as(&mut alice, "atlas.pdf", &saved);
    until_label_contains(&mut alice, "waits until somebody who has it is there");
    let bob = town.runtime.block_on(async { Node::start(town.config("bob", true)) }).unwrap();
    town.runtime.block_on(bob.account_unlock(PASSWORD, None)).unwrap();
    until(&mut alice, "the file", |_| saved.exists().then_some(()));
    assert!(std::fs::read(&saved).unwrap() == content[4..], "byte for byte");
}
