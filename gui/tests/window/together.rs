//! Groups and files.

use egui::{Key, Modifiers, Role};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use secure_chat_node::api::{Event, FileSource, JoinPolicy};

use crate::deeds::choose;
use crate::town::*;

#[test]
fn a_group_is_made_joined_and_talked_in() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    let invited = town.wait(&bob, |event| match event {
        Event::GroupInvited { group_id, .. } => Some(group_id),
        _ => None,
    });
    tab(&mut alice, "Groups");
    until_label(&mut alice, "Talk with several people");
    button(&mut alice, "New group");
    type_into(&mut alice, Role::TextInput, "Name of the group", "Reading circle");
    button(&mut alice, "Create group");
    until_label_contains(&mut alice, "1 member");
    button(&mut alice, "Members");
    button(&mut alice, "Invite people");
    // The button of the dialog has the contact's name.
    button(&mut alice, "bob");
    let group_id = invited();
    alice.key_press(Key::Escape);
    alice.step();
    let message = town.wait(&bob, |event| match event {
        Event::GroupMessage(message) => Some(message.text.clone()),
        _ => None,
    });
    town.runtime.block_on(bob.groups_join(Some(group_id.clone()), None)).unwrap();
    until_label_contains(&mut alice, "2 members");
    until(&mut alice, "bob among the members", |alice| alice.query_by_label("More: bob").map(|_| ()));
    say(&mut alice, "hello circle");
    assert_eq!(message(), "hello circle");
    town.runtime.block_on(bob.messages_typing(group_id.clone())).unwrap();
    until_label(&mut alice, "bob is typing…");
    town.runtime.block_on(bob.groups_send(group_id, "hello alice", None)).unwrap();
    until_label(&mut alice, "hello alice");
}

#[test]
fn files_go_both_ways_and_are_saved_where_the_person_says() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    let (theirs, saved) = (town.folders.path().join("plan.pdf"), town.folders.path().join("saved plan.pdf"));
    let content: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&theirs, &content).unwrap();
    let path = theirs.display().to_string();
    let to = Some("alice".to_owned());
    town.runtime.block_on(bob.files_share(path, to, None, None, Some("for tuesday".to_owned()), None)).unwrap();
    tab(&mut alice, "Files");
    until_label(&mut alice, "plan.pdf");
    button(&mut alice, "Save as…: plan.pdf");
    until(&mut alice, "the path", |alice| {
        alice.query_by_role_and_label(Role::TextInput, "Path of the file").map(|node| node.focus())
    });
    alice.step();
    alice.key_press_modifiers(Modifiers::COMMAND, Key::A);
    alice.step();
    type_into(&mut alice, Role::TextInput, "Path of the file", &saved.display().to_string());
    button(&mut alice, "Save");
    until(&mut alice, "the file", |_| saved.exists().then_some(()));
    assert_eq!(std::fs::read(&saved).unwrap(), content);
    until_label_contains(&mut alice, "here, whole and verified");

    let shared = town.wait(&bob, |event| match event {
        Event::FileShared(file) => Some(file.name.clone()),
        _ => None,
    });
    tab(&mut alice, "Chat");
    button(&mut alice, "Share a file");
    type_into(&mut alice, Role::TextInput, "Path of the file", &saved.display().to_string());
    button(&mut alice, "Share");
    assert_eq!(shared(), "saved plan.pdf");
    until_label_contains(&mut alice, "saved plan.pdf");
}

#[test]
fn somebody_is_mentioned_banned_and_let_in_again_and_a_link_is_revoked() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    let invited = town.wait(&bob, |event| match event {
        Event::GroupInvited { group_id, .. } => Some(group_id),
        _ => None,
    });
    tab(&mut alice, "Groups");
    button(&mut alice, "New group");
    type_into(&mut alice, Role::TextInput, "Name of the group", "Choir");
    button(&mut alice, "Create group");
    until_label_contains(&mut alice, "1 member");
    button(&mut alice, "Members");
    button(&mut alice, "Invite people");
    button(&mut alice, "Make an invite link");
    until_label(&mut alice, "OPEN LINKS");
    let revoke = until(&mut alice, "the way to end the link", |alice| {
        let node = alice.query_all_by_label_contains("Revoke link").next()?;
        node.accesskit_node().label()
    });
    press(&mut alice, &revoke);
    until_label(&mut alice, "The link lets nobody in any longer");
    until(&mut alice, "the end of the link", |alice| {
        alice.query_all_by_label_contains("Revoke link").next().is_none().then_some(())
    });
    button(&mut alice, "bob");
    let group_id = invited();
    alice.key_press(Key::Escape);
    alice.step();
    town.runtime.block_on(bob.groups_join(Some(group_id.clone()), None)).unwrap();
    until(&mut alice, "bob among the members", |alice| alice.query_by_label("More: bob").map(|_| ()));

    // "@b" and Enter write the whole name, and send nothing.
    let mentioned = town.wait(&bob, |event| match event {
        Event::GroupMessage(message) => Some(message.text),
        _ => None,
    });
    type_into(&mut alice, Role::MultilineTextInput, "Write a message", "hi @b");
    until(&mut alice, "the offer", |alice| alice.query_by_label("Mention bob").map(|_| ()));
    alice.key_press(Key::Enter);
    alice.step();
    alice.step();
    say(&mut alice, "see you");
    assert_eq!(mentioned(), "hi @bob see you");

    press(&mut alice, "More: bob");
    until(&mut alice, "the menu", |alice| {
        alice.query_by_role_and_label(Role::MenuItem, "Remove and ban").map(|item| item.click())
    });
    until_label(&mut alice, "Remove and ban this member?");
    press(&mut alice, "Remove and ban");
    until_label(&mut alice, "BANNED");
    press(&mut alice, "Lift the ban: bob");
    until(&mut alice, "the end of the ban", |alice| alice.query_all_by_label("BANNED").next().is_none().then_some(()));
}

#[test]
fn a_picture_is_seen_in_the_conversation_before_it_is_fetched() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    let path = town.folders.path().join("meadow.png");
    // A real picture: the node makes the small one of it.
    let pixels: Vec<u8> = (0..96_u8).flat_map(|y| (0..128_u8).flat_map(move |x| [x, y, 90])).collect();
    image::RgbImage::from_raw(128, 96, pixels).unwrap().save(&path).unwrap();
    let to = Some("alice".to_owned());
    town.runtime.block_on(bob.files_share(path.display().to_string(), to, None, None, None, None)).unwrap();
    let card =
        until(&mut alice, "the card", |alice| alice.query_by_label("Download: meadow.png").map(|node| node.rect()));
    // The picture stands above the card: the bubble is higher than a card alone.
    until(&mut alice, "the picture", |alice| {
        let bubble = alice
            .query_all_by_role(Role::ListItem)
            .find(|node| node.accesskit_node().label().is_some_and(|label| label.contains("File meadow.png")))?;
        (bubble.rect().height() > card.height() + 90.0).then_some(())
    });
    let saved = town.folders.path().join("saved.png");
    button(&mut alice, "Download: meadow.png");
    retype(&mut alice, "Path of the file", &saved.display().to_string());
    button(&mut alice, "Save");
    until(&mut alice, "the file", |_| saved.exists().then_some(()));
    assert_eq!(std::fs::read(&saved).unwrap(), std::fs::read(&path).unwrap());
    until(&mut alice, "the way to the file", |alice| alice.query_by_label("Open folder: meadow.png").map(|_| ()));
}

#[test]
fn a_group_is_muted_given_a_file_left_and_deleted_here() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    let behind = town.behind("alice");
    let group_id = bob.groups_create("Reading circle", None::<String>, false, JoinPolicy::Invite);
    let group_id = town.runtime.block_on(group_id).unwrap().group_id;
    town.runtime.block_on(bob.groups_invite(group_id.clone(), Some("alice".to_owned()), None)).unwrap();
    tab(&mut alice, "Groups");
    until(&mut alice, "the invite", |alice| {
        alice.query_by_role_and_label(Role::ListBoxOption, "Reading circle").map(|row| row.click())
    });
    button(&mut alice, "Join");
    until_label_contains(&mut alice, "2 members");

    // Muted: what comes is in the list, and counts nowhere.
    let waits = |alice: &egui_kittest::Harness<'static, secure_chat_window::app::App>| {
        alice.get_by_role_and_label(Role::Tab, "Groups").accesskit_node().description()
    };
    let says = |text: &str| {
        let told = town.wait(&behind, |event| matches!(event, Event::GroupMessage(_)).then_some(()));
        town.runtime.block_on(bob.groups_send(group_id.clone(), text, None)).unwrap();
        told();
    };
    choose(&mut alice, "More", "Mute");
    until_label(&mut alice, "Reading circle, muted");
    tab(&mut alice, "Chat");
    says("chapter one");
    says("chapter two");
    let muted = town.runtime.block_on(behind.groups_list()).unwrap().groups.remove(0);
    assert!(muted.muted_until.is_some() && muted.unread > 0, "{} unread", muted.unread);
    tab(&mut alice, "Files");
    alice.run_steps(5);
    assert!(!waits(&alice).is_some_and(|words| words.ends_with("new")), "a muted group calls nobody");
    tab(&mut alice, "Groups");
    until(&mut alice, "the group", |alice| {
        alice
            .query_all_by_label_contains("Reading circle")
            .find(|row| row.accesskit_node().role() == Role::ListBoxOption)?
            .click();
        Some(())
    });
    until_label_contains(&mut alice, "chapter two");
    choose(&mut alice, "More", "Unmute");
    until_label(&mut alice, "Reading circle");
    tab(&mut alice, "Chat");
    says("chapter three");
    until(&mut alice, "the count", |alice| waits(alice).filter(|words| words == "1 new"));

    // A file for everybody in the group.
    let path = town.folders.path().join("plan.pdf");
    std::fs::write(&path, b"%PDF-1.7 the plan").unwrap();
    let shared = town.wait(&bob, |event| match event {
        Event::FileShared(file) if !file.mine => Some(*file),
        _ => None,
    });
    tab(&mut alice, "Groups");
    until_label_contains(&mut alice, "chapter three");
    button(&mut alice, "Share a file");
    until(&mut alice, "the group in the dialog", |alice| {
        alice.query_by_role_and_label(Role::ComboBox, "Share with: Reading circle").map(|_| ())
    });
    type_into(&mut alice, Role::TextInput, "Path of the file", &path.display().to_string());
    type_into(&mut alice, Role::TextInput, "Caption", "for tuesday");
    button(&mut alice, "Share");
    let shared = shared();
    assert_eq!((shared.name.as_str(), shared.group_id.as_ref()), ("plan.pdf", Some(&group_id)));
    until_label_contains(&mut alice, "File plan.pdf");
    let in_group = bob.files_list(Some(FileSource::Group), Some(group_id.clone()));
    assert_eq!(town.runtime.block_on(in_group).unwrap().files.len(), 1);
    let saved = town.folders.path().join("bob's plan.pdf");
    let fetched = bob.files_download(shared.file_id.clone(), Some(saved.display().to_string()), None);
    town.runtime.block_on(fetched).unwrap();
    assert_eq!(std::fs::read(&saved).unwrap(), std::fs::read(&path).unwrap());
    tab(&mut alice, "Files");
    until_label_contains(&mut alice, "to Reading circle");
    until_label_contains(&mut alice, "fetched once");
    until(&mut alice, "personal files", |alice| {
        alice.query_by_label("Personal").map(|choice| choice.click_accesskit())
    });
    until(&mut alice, "none of them", |alice| alice.query_by_label("plan.pdf").is_none().then_some(()));
    until(&mut alice, "those of groups", |alice| {
        let mut choices = alice.query_all_by_label("Groups");
        choices.find(|choice| choice.accesskit_node().role() != Role::Tab).map(|choice| choice.click_accesskit())
    });
    until_label(&mut alice, "plan.pdf");

    // Out of it, for everybody to see, and then off this machine.
    let left = town.wait(&bob, |event| match event {
        Event::GroupMemberLeft { username, .. } => Some(username),
        _ => None,
    });
    tab(&mut alice, "Groups");
    choose(&mut alice, "More", "Leave group");
    until_label(&mut alice, "Leave this group?");
    press(&mut alice, "Leave group");
    assert_eq!(left(), "alice");
    until(&mut alice, "what is left of it", |alice| {
        alice.query_by_role_and_label(Role::ListBoxOption, "Reading circle").map(|row| row.click())
    });
    until_label_contains(&mut alice, "You are not in this group.");
    assert!(alice.query_by_role(Role::MultilineTextInput).is_none(), "nobody writes to a group they left");
    until_label_contains(&mut alice, "chapter three");
    choose(&mut alice, "More", "Delete here");
    until_label(&mut alice, "Talk with several people");
    assert!(town.runtime.block_on(behind.groups_list()).unwrap().groups.is_empty());
}
