//! What happens to the account as a whole: its log, its nodes, its password, its copies, its end.

use egui::{Key, Modifiers, Role};
use egui_kittest::{
    Harness,
    kittest::{NodeT as _, Queryable as _},
};
use secure_chat_node::api::Event;
use secure_chat_window::app::App;

use crate::town::*;

#[test]
fn the_log_is_shown_exported_and_cleared_after_a_question() {
    let town = Town::new();
    let (mut alice, _bob) = alice_and_bob(&town);
    tab(&mut alice, "Security");
    until_label_contains(&mut alice, "account.");
    until_label(&mut alice, "Nothing suspicious.");
    let exported = town.folders.path().join("log.html");
    until(&mut alice, "the path", |alice| {
        alice.query_by_role_and_label(Role::TextInput, "Path of the file").map(|node| node.focus())
    });
    alice.step();
    alice.key_press_modifiers(Modifiers::COMMAND, Key::A);
    alice.step();
    type_into(&mut alice, Role::TextInput, "Path of the file", &exported.display().to_string());
    until(&mut alice, "Export", |alice| {
        alice.query_by_role_and_label(Role::Button, "Export").map(|node| node.click_accesskit())
    });
    until_label_contains(&mut alice, "written to");
    assert!(std::fs::read_to_string(&exported).unwrap().contains("account."));
    until(&mut alice, "Clear log", |alice| {
        alice.query_by_role_and_label(Role::Button, "Clear log").map(|node| node.click_accesskit())
    });
    until_label(&mut alice, "Clear the audit log?");
    let question = |alice: &Harness<'static, App>| {
        alice.query_all_by_role_and_label(Role::Button, "Clear log").last().map(|node| node.click_accesskit())
    };
    until(&mut alice, "the answer", question);
    until_label_contains(&mut alice, "The log is cleared");
}

#[test]
fn a_node_hosted_here_registers_and_shows_in_the_network_tab() {
    let town = Town::new();
    let mut alice = town.window("alice", false);
    register(&mut alice, "alice");
    button(&mut alice, "Host one here");
    until_label(&mut alice, "You are connected");
    start_chatting(&mut alice);
    tab(&mut alice, "Network");
    until_label_contains(&mut alice, "hosted here");
    until_label_contains(&mut alice, "Registered");
    button(&mut alice, "Stop hosting");
    until_label(&mut alice, "Host one here");
}

#[test]
fn the_password_is_changed_a_backup_is_written_and_brought_back_after_the_wipe() {
    const NEW: &str = "Copper-lantern-quiet-3-harbor";
    const PASSPHRASE: &str = "Seven-lanterns-9-over-water";
    let town = Town::new();
    let (mut alice, _bob) = alice_and_bob(&town);
    let backup = town.folders.path().join("alice.scb");

    tab(&mut alice, "Profile");
    press(&mut alice, "Change password");
    type_into(&mut alice, Role::PasswordInput, "Current password", PASSWORD);
    type_into(&mut alice, Role::PasswordInput, "New password", NEW);
    type_into(&mut alice, Role::PasswordInput, "New password again", NEW);
    press(&mut alice, "Change password");
    until_label(&mut alice, "The password is changed");

    press(&mut alice, "Export a backup");
    retype(&mut alice, "Path of the file", &backup.display().to_string());
    type_into(&mut alice, Role::PasswordInput, "Passphrase of the backup", PASSPHRASE);
    type_into(&mut alice, Role::PasswordInput, "Passphrase again", PASSPHRASE);
    press(&mut alice, "Export a backup");
    until_label_contains(&mut alice, "Backup written to");
    assert!(backup.exists());

    // The old password opens nothing any more.
    alice.key_press_modifiers(Modifiers::COMMAND, Key::L);
    until_label(&mut alice, "Welcome back");
    type_into(&mut alice, Role::PasswordInput, "Password", PASSWORD);
    button(&mut alice, "Unlock");
    until_label_contains(&mut alice, "assword is wrong");
    unlock(&mut alice, NEW);

    tab(&mut alice, "Profile");
    press(&mut alice, "Wipe account");
    until_label(&mut alice, "Type alice to confirm");
    let refused = alice.get_by_role_and_label(Role::Button, "Wipe everything");
    assert!(refused.accesskit_node().is_disabled(), "not before the name was typed");
    type_into(&mut alice, Role::TextInput, "Type alice to confirm", "alice");
    type_into(&mut alice, Role::PasswordInput, "Password", NEW);
    press(&mut alice, "Wipe everything");
    until_label(&mut alice, "Create your account");

    button(&mut alice, "Import a backup");
    type_into(&mut alice, Role::TextInput, "Path of the file", &backup.display().to_string());
    type_into(&mut alice, Role::PasswordInput, "Passphrase of the backup", PASSPHRASE);
    type_into(&mut alice, Role::PasswordInput, "New password", PASSWORD);
    type_into(&mut alice, Role::PasswordInput, "New password again", PASSWORD);
    press(&mut alice, "Import a backup");
    // It opens where it was closed, on the profile, once its settings were read.
    until(&mut alice, "bob among the contacts", |alice| {
        let bob = alice.query_by_role_and_label(Role::ListBoxOption, "bob").map(|_| ());
        if bob.is_none() {
            alice.query_by_role_and_label(Role::Tab, "Chat")?.click();
        }
        bob
    });
}

#[test]
fn a_request_that_was_set_aside_is_shown_when_the_person_wants_it() {
    let town = Town::new();
    let mut alice = town.window("alice", true);
    register(&mut alice, "alice");
    until_label(&mut alice, "You are connected");
    start_chatting(&mut alice);
    let carol = town.peer("carol");
    until(&mut alice, "registration", |_| town.runtime.block_on(carol.users_find("alice")).ok());
    let greeting = Some("win a prize at https://example.org/prize now".to_owned());
    town.runtime.block_on(carol.contacts_request(Some("alice".to_owned()), None, greeting)).unwrap();
    tab(&mut alice, "Security");
    press(&mut alice, "Show request: carol");
    until_label(&mut alice, "Nothing was set aside.");
    tab(&mut alice, "Chat");
    until(&mut alice, "the request", |alice| alice.query_by_label("Chat request from carol").map(|_| ()));
}

#[test]
fn a_session_is_reset_after_a_question_and_both_can_talk_on() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    tab(&mut alice, "Security");
    press(&mut alice, "Reset session: bob");
    until_label(&mut alice, "Reset this session?");
    press(&mut alice, "Reset session");
    until_label_contains(&mut alice, "The session with bob starts anew");
    let received = town.wait(&bob, |event| match event {
        Event::MessageReceived(message) => Some(message.text),
        _ => None,
    });
    tab(&mut alice, "Chat");
    say(&mut alice, "over the new session");
    assert_eq!(received(), "over the new session");
}

#[test]
fn without_a_file_chooser_the_window_says_what_to_do_instead() {
    let town = Town::new();
    let (mut alice, _bob) = alice_and_bob(&town);
    button(&mut alice, "Share a file");
    press(&mut alice, "Choose a file…");
    // Where there is a portal, its own window has come up; here there is none.
    until_label_contains(&mut alice, "no file chooser");
    until(&mut alice, "a field to type into", |alice| {
        alice.query_by_role_and_label(Role::TextInput, "Path of the file").map(|_| ())
    });
}

#[test]
fn where_received_files_go_and_how_long_a_file_is_left_for_somebody_is_chosen_on_the_profile() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    let behind = town.behind("alice");
    let setting = |key: &str| {
        let view = town.runtime.block_on(behind.settings_get(Some(key.to_owned()))).unwrap();
        view.settings.get(key).unwrap().clone()
    };
    let folder = town.folders.path().join("Received by alice");

    tab(&mut alice, "Profile");
    let limit = |alice: &Harness<'static, App>| {
        let named = |label: &String| label.starts_with("Files for people who are away: ");
        let found = alice
            .query_all_by_role(Role::ComboBox)
            .find(|node| node.accesskit_node().label().as_ref().is_some_and(named))?;
        found.click_accesskit();
        Some(())
    };
    until(&mut alice, "the limit", limit);
    until(&mut alice, "the choice", |alice| alice.query_by_label("up to 10 MB").map(|node| node.click_accesskit()));
    until(&mut alice, "the peer's limit", |_| (setting("upload_max_bytes") == 10_000_000).then_some(()));
    until(&mut alice, "the new limit", |alice| {
        let name = "Files for people who are away: up to 10 MB";
        alice.query_by_role_and_label(Role::ComboBox, name).map(|_| ())
    });

    // Half a path would lie somewhere else with each start.
    type_into(&mut alice, Role::TextInput, "Folder for received files", "Received");
    until_label_contains(&mut alice, "Give the whole path");
    let refused = alice.get_by_role_and_label(Role::Button, "Use this folder");
    assert!(refused.accesskit_node().is_disabled());
    retype(&mut alice, "Folder for received files", &folder.display().to_string());
    press(&mut alice, "Use this folder");
    until(&mut alice, "the peer's folder", |_| {
        (setting("download_folder") == folder.display().to_string()).then_some(())
    });

    // The question where to save begins there.
    let theirs = town.folders.path().join("map.pdf");
    std::fs::write(&theirs, b"%PDF-1.7 a map").unwrap();
    let path = theirs.display().to_string();
    town.runtime.block_on(bob.files_share(path, Some("alice".to_owned()), None, None, None, None)).unwrap();
    tab(&mut alice, "Files");
    button(&mut alice, "Save as…: map.pdf");
    let offered = until(&mut alice, "the path", |alice| {
        alice.query_by_role_and_label(Role::TextInput, "Path of the file").and_then(|node| node.value())
    });
    assert_eq!(std::path::Path::new(&offered), folder.join("map.pdf"));
    alice.key_press(Key::Escape);
    alice.step();

    // Nothing again: the person's own folder of downloads.
    tab(&mut alice, "Profile");
    until(&mut alice, "the folder", |alice| {
        alice.query_by_role_and_label(Role::TextInput, "Folder for received files").map(|node| node.focus())
    });
    alice.step();
    alice.key_press_modifiers(Modifiers::COMMAND, Key::A);
    alice.key_press(Key::Backspace);
    alice.step();
    press(&mut alice, "Use this folder");
    until(&mut alice, "no folder", |_| setting("download_folder").is_null().then_some(()));
}

#[test]
fn the_person_says_that_only_people_with_an_invite_may_ask() {
    let town = Town::new();
    let mut alice = town.window("alice", true);
    register(&mut alice, "alice");
    until_label(&mut alice, "You are connected");
    start_chatting(&mut alice);
    tab(&mut alice, "Profile");
    until(&mut alice, "the choice", |alice| {
        let choice = alice.query_by_role_and_label(Role::ComboBox, "Chat requests: from everybody");
        choice.map(|node| node.click_accesskit())
    });
    until(&mut alice, "the answer", |alice| {
        alice.query_by_label("with my invite only").map(|node| node.click_accesskit())
    });
    // What the peer keeps, and says back.
    until(&mut alice, "the new setting", |alice| {
        alice.query_by_role_and_label(Role::ComboBox, "Chat requests: with my invite only").map(|_| ())
    });
}

/// Exports the log in this format; says what the file holds, and how many entries the window told.
fn export_as(alice: &mut Harness<'static, App>, format: &str, path: &std::path::Path) -> (String, usize) {
    let suggested = format!("secure-chat-log.{}", format.to_lowercase());
    // While facts and sessions still come in above, what was chosen may be somewhere else a frame later.
    until(alice, "a name that fits the format", |alice| {
        let path = alice.query_by_role_and_label(Role::TextInput, "Path of the file")?.value()?;
        if !path.ends_with(&suggested) {
            alice.query_by_label(format)?.click_accesskit();
        }
        path.ends_with(&suggested).then_some(())
    });
    retype(alice, "Path of the file", &path.display().to_string());
    press(alice, "Export");
    let told = until(alice, "where it was written", |alice| {
        let ending = format!("written to {}", path.display());
        alice.query_all_by_label_contains(&ending).next()?.value()
    });
    let (entries, _) = told.split_once(' ').unwrap();
    (std::fs::read_to_string(path).unwrap(), entries.parse().unwrap())
}

/// The fields of one line of quoted values.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            letter => fields.last_mut().unwrap().push(letter),
        }
    }
    assert!(!quoted, "a quote that does not end: {line}");
    fields
}

#[test]
fn the_log_is_exported_for_other_programs_and_the_window_says_where_it_lies() {
    let town = Town::new();
    let (mut alice, _bob) = alice_and_bob(&town);
    let behind = town.behind("alice");
    tab(&mut alice, "Security");
    let (json, told) = export_as(&mut alice, "JSON", &town.folders.path().join("log.json"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let entries = json["entries"].as_array().unwrap();
    assert_eq!((entries.len(), json["count"].as_u64()), (told, Some(told as u64)));
    let kinds: Vec<&str> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"account.created") && kinds.contains(&"audit.exported"), "{kinds:?}");

    let (csv, told) = export_as(&mut alice, "CSV", &town.folders.path().join("log.csv"));
    let rows: Vec<Vec<String>> = csv.lines().map(fields).collect();
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "every line has the same columns");
    let numbered: Vec<&Vec<String>> = rows.iter().filter(|row| row[0].parse::<u64>().is_ok()).collect();
    assert_eq!(numbered.len(), told);
    let none = || None::<String>;
    let log = behind.security_audit_log(None, Some(500), none(), none(), None, None, none());
    let log = town.runtime.block_on(log).unwrap().entries;
    for entry in entries {
        let seq = entry["seq"].as_u64().unwrap();
        let kept = log.iter().find(|kept| kept.seq == seq).unwrap();
        assert_eq!(entry["detail"].as_str().unwrap(), kept.detail);
        assert!(numbered.iter().any(|row| row[0] == seq.to_string() && row.contains(&kept.kind)), "{seq}");
    }

    // What is there is not written over, and the reason stands where the path is.
    press(&mut alice, "Export");
    until_label_contains(&mut alice, "There is a file of this name already");
}

#[test]
fn the_vault_gets_new_keys_and_to_the_other_side_one_is_who_one_was() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    say(&mut alice, "before the new keys");
    let number = || town.runtime.block_on(bob.contacts_safety_number("alice")).unwrap().number;
    let before = number();
    // Nothing but what is said from here on: neither other keys nor another session.
    let heard = town.wait(&bob, |event| match &event {
        Event::MessageReceived(message) => (message.text == "after the new keys").then(|| message.text.clone()),
        Event::ContactKeyChanged { .. } | Event::SecurityAlert { .. } => Some(format!("{event:?}")),
        _ => None,
    });
    let key_file = |folder: &std::path::Path| {
        let mut accounts = std::fs::read_dir(folder.join("alice").join("accounts")).unwrap();
        std::fs::read(accounts.next().unwrap().unwrap().path().join("vault.key")).unwrap()
    };
    let sealed = key_file(town.folders.path());

    tab(&mut alice, "Profile");
    press(&mut alice, "New vault keys");
    until_label_contains(&mut alice, "sealed anew under fresh keys");
    assert!(is_held_back(&alice, "New vault keys"), "not before the password was typed");
    type_into(&mut alice, Role::PasswordInput, "Password", "Not-the-password-1-at-all");
    press(&mut alice, "New vault keys");
    until_label_contains(&mut alice, "assword is wrong");
    assert_eq!(key_file(town.folders.path()), sealed, "a wrong password changes nothing");
    until(&mut alice, "the password", |alice| {
        alice.query_by_role_and_label(Role::PasswordInput, "Password").map(|node| node.focus())
    });
    alice.step();
    alice.key_press_modifiers(Modifiers::COMMAND, Key::A);
    alice.step();
    type_into(&mut alice, Role::PasswordInput, "Password", PASSWORD);
    press(&mut alice, "New vault keys");
    until_label(&mut alice, "The vault has new keys");
    assert_ne!(key_file(town.folders.path()), sealed);

    // The dialog goes first: what is below it can't be pressed before.
    until(&mut alice, "the end of the dialog", |alice| {
        alice.query_by_role(Role::PasswordInput).is_none().then_some(())
    });
    tab(&mut alice, "Chat");
    // The vault was closed for it, and nothing of it was on the screen.
    until(&mut alice, "bob", |alice| alice.query_by_role_and_label(Role::ListBoxOption, "bob").map(|row| row.click()));
    until_label_contains(&mut alice, "before the new keys");
    say(&mut alice, "after the new keys");
    assert_eq!(heard(), "after the new keys");
    assert_eq!(number(), before, "the safety number is what it was");
    // The password still opens it.
    alice.key_press_modifiers(Modifiers::COMMAND, Key::L);
    unlock(&mut alice, PASSWORD);
}

/// Whether the last button of this name can't be pressed yet.
fn is_held_back(window: &Harness<'static, App>, name: &str) -> bool {
    let button = window.query_all_by_role_and_label(Role::Button, name).last();
    button.is_some_and(|button| button.accesskit_node().is_disabled())
}
