//! Groups and files.

use egui::{Key, Modifiers, Role};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use secure_chat_node::api::Event;

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
