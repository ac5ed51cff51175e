//! Requests, conversations, presence.

use egui::{Key, Modifiers, Role};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use secure_chat_node::api::Event;
use secure_chat_node::engine::Node;
use secure_chat_window::app::App;

use crate::town::*;

#[test]
fn a_conversation_from_the_first_start_to_the_lock() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);

    let received = town.wait(&bob, |event| match event {
        Event::MessageReceived(message) => Some(*message),
        _ => None,
    });
    say(&mut alice, "hello bob");
    let hello = received();
    assert_eq!(hello.text, "hello bob");
    until_label_contains(&mut alice, "delivered: hello bob");

    town.runtime.block_on(bob.messages_mark_read("alice", hello.message_id.clone())).unwrap();
    until_label_contains(&mut alice, "read: hello bob");

    let reply =
        town.runtime.block_on(bob.messages_send("alice", "hello alice", Some(hello.message_id.clone()))).unwrap();
    until_label(&mut alice, "hello alice");
    until_label(&mut alice, "Show the message this answers");

    town.runtime.block_on(bob.messages_react(hello.message_id.clone(), "🎉")).unwrap();
    until_label(&mut alice, "🎉 1");
    town.runtime.block_on(bob.messages_edit(reply.message_id.clone(), "hello, dear alice")).unwrap();
    until_label(&mut alice, "hello, dear alice");
    town.runtime.block_on(bob.messages_delete(reply.message_id, true)).unwrap();
    until_label(&mut alice, "This message was deleted");

    town.runtime.block_on(bob.messages_typing("alice")).unwrap();
    until_label_contains(&mut alice, "typing…");

    alice.key_press_modifiers(Modifiers::COMMAND, Key::L);
    until_label(&mut alice, "Welcome back");
    let shown = shown(&alice);
    assert!(!shown.contains("hello") && !shown.contains("bob"), "behind the lock: {shown}");
    type_into(&mut alice, Role::PasswordInput, "Password", "not the password");
    button(&mut alice, "Unlock");
    until_label_contains(&mut alice, "assword is wrong");
    type_into(&mut alice, Role::PasswordInput, "Password", PASSWORD);
    button(&mut alice, "Unlock");
    until_label(&mut alice, "Messages");
    until(&mut alice, "bob", |alice| alice.query_by_role_and_label(Role::ListBoxOption, "bob").map(|row| row.click()));
    until_label(&mut alice, "hello bob");
}

#[test]
fn a_request_of_another_is_accepted_and_the_draft_survives_the_lock() {
    let town = Town::new();
    let mut alice = town.window("alice", true);
    register(&mut alice, "alice");
    until_label(&mut alice, "You are connected");
    start_chatting(&mut alice);
    let carol = town.peer("carol");
    until(&mut alice, "registration", |_| town.runtime.block_on(carol.users_find("alice")).ok());
    town.runtime
        .block_on(carol.contacts_request(Some("alice".to_owned()), None, Some("from the conference".to_owned())))
        .unwrap();
    until(&mut alice, "the request", |alice| alice.query_by_label("Chat request from carol").map(|row| row.click()));
    until_label(&mut alice, "from the conference");
    button(&mut alice, "Accept");
    until(&mut alice, "the composer", |alice| alice.query_by_role(Role::MultilineTextInput).map(|_| ()));
    type_into(&mut alice, Role::MultilineTextInput, "Write a message", "a thought not finished");
    alice.key_press_modifiers(Modifiers::COMMAND, Key::L);
    until_label(&mut alice, "Welcome back");
    type_into(&mut alice, Role::PasswordInput, "Password", PASSWORD);
    button(&mut alice, "Unlock");
    until(&mut alice, "carol", |alice| {
        alice.query_by_role_and_label(Role::ListBoxOption, "carol").map(|row| row.click())
    });
    let draft = until(&mut alice, "the composer", |alice| {
        alice.query_by_role(Role::MultilineTextInput).and_then(|node| node.value()).filter(|text| !text.is_empty())
    });
    assert_eq!(draft, "a thought not finished");
}

#[test]
fn a_safety_number_is_the_same_on_both_sides_and_can_be_marked() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    let theirs = town.runtime.block_on(bob.contacts_safety_number("alice")).unwrap().number;
    button(&mut alice, "Safety number");
    until_label(&mut alice, "Safety number as a QR code");
    let first_line = theirs.split_whitespace().take(4).collect::<Vec<_>>().join("  ");
    until_label(&mut alice, &first_line);
    button(&mut alice, "Mark as verified");
    until_label(&mut alice, "Verified");
}

#[test]
fn words_are_found_in_a_conversation_and_the_list_jumps_to_them() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    town.runtime.block_on(async {
        bob.messages_send("alice", "the lighthouse keeper", None).await.unwrap();
        for i in 0..120 {
            bob.messages_send("alice", format!("number {i}"), None).await.unwrap();
        }
    });
    until_label(&mut alice, "number 119");
    assert!(alice.query_by_label("the lighthouse keeper").is_none(), "it is far above");
    alice.key_press_modifiers(Modifiers::COMMAND, Key::F);
    alice.step();
    type_into(&mut alice, Role::TextInput, "Search in this chat", "lightho");
    until_label(&mut alice, "the lighthouse keeper");
    until_label(&mut alice, "1 of 1");
}

#[test]
fn a_message_to_somebody_who_is_away_says_so_and_arrives_later() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    town.runtime.block_on(bob.shutdown());
    say(&mut alice, "for when you are back");
    until_label_contains(&mut alice, "sent: for when you are back");
    let bob = town.runtime.block_on(async { Node::start(town.config("bob", true)) }).unwrap();
    let received = town.wait(&bob, |event| match event {
        Event::MessageReceived(message) => Some(message.text),
        _ => None,
    });
    town.runtime.block_on(bob.account_unlock(PASSWORD, None)).unwrap();
    assert_eq!(received(), "for when you are back");
    until_label_contains(&mut alice, "delivered: for when you are back");
}

#[test]
fn what_was_written_is_changed_answered_given_an_emoji_and_taken_back() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    let menu = |alice: &mut Harness<'static, App>, text: &str, item: &str| {
        until(alice, text, |alice| alice.query_by_label(text).map(|words| words.click_secondary()));
        alice.step();
        until(alice, item, |alice| {
            let offered = alice.query_by_role_and_label(Role::MenuItem, item);
            offered.or_else(|| alice.query_by_role_and_label(Role::Button, item)).map(|node| node.click_accesskit())
        });
        alice.step();
        alice.step();
    };
    say(&mut alice, "at nien");
    until_label_contains(&mut alice, "delivered: at nien");
    let edited = town.wait(&bob, |event| match event {
        Event::MessageEdited(message) => Some(message.text),
        _ => None,
    });
    // The arrow upwards takes what was written last.
    until(&mut alice, "the composer", |alice| alice.query_by_role(Role::MultilineTextInput).map(|node| node.focus()));
    alice.step();
    alice.key_press(Key::ArrowUp);
    until(&mut alice, "the text", |alice| {
        alice.query_by_role(Role::MultilineTextInput).and_then(|node| node.value()).filter(|text| text == "at nien")
    });
    alice.key_press_modifiers(Modifiers::COMMAND, Key::A);
    alice.step();
    say(&mut alice, "at nine");
    assert_eq!(edited(), "at nine");
    until_label(&mut alice, "at nine");

    let question = town.runtime.block_on(bob.messages_send("alice", "in the morning?", None)).unwrap().message_id;
    let answered = town.wait(&bob, |event| match event {
        Event::MessageReceived(message) => Some((message.text, message.reply_to)),
        _ => None,
    });
    menu(&mut alice, "in the morning?", "Reply");
    say(&mut alice, "of course");
    assert_eq!(answered(), ("of course".to_owned(), Some(question)));

    let chosen = town.wait(&bob, |event| match event {
        Event::MessageReaction(message) => Some(message.reactions),
        _ => None,
    });
    menu(&mut alice, "in the morning?", "React with thumbs up");
    assert!(chosen().contains_key("👍"));

    let gone = town.wait(&bob, |event| matches!(event, Event::MessageDeleted { .. }).then_some(()));
    menu(&mut alice, "of course", "Delete…");
    button(&mut alice, "Delete for everyone");
    gone();
    until_label(&mut alice, "This message was deleted");
}

#[test]
fn an_emoji_is_found_by_name_without_a_mouse_and_any_of_them_is_a_reaction() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    let received = town.wait(&bob, |event| match event {
        Event::MessageReceived(message) => Some(message.text),
        _ => None,
    });
    type_into(&mut alice, Role::MultilineTextInput, "Write a message", "we fly ");
    until(&mut alice, "the picker's button", |alice| {
        alice.query_by_role_and_label(Role::Button, "Emoji").map(|button| button.focus())
    });
    alice.step();
    let typed = |alice: &mut Harness<'static, App>, name: &str| {
        // The search has the keyboard at once.
        until(alice, "the search", |alice| {
            let field = alice.query_by_role_and_label(Role::TextInput, "Search emoji")?;
            field.accesskit_node().is_focused().then_some(())
        });
        alice.event(egui::Event::Text(name.to_owned()));
        alice.step();
        alice.step();
        alice.key_press(Key::Enter);
        until(alice, "the end of the search", |alice| {
            alice.query_by_role_and_label(Role::TextInput, "Search emoji").is_none().then_some(())
        });
    };
    alice.key_press(Key::Enter);
    alice.step();
    typed(&mut alice, "rocket");
    // The keyboard is where one writes again, and what was searched was not sent.
    until(&mut alice, "the composer", |alice| {
        let composer = alice.query_by_role(Role::MultilineTextInput)?;
        (composer.accesskit_node().is_focused() && composer.value().as_deref() == Some("we fly 🚀")).then_some(())
    });
    alice.key_press(Key::Enter);
    alice.step();
    assert_eq!(received(), "we fly 🚀");

    let reacted = town.wait(&bob, |event| match event {
        Event::MessageReaction(message) => Some(message.reactions.into_keys().collect()),
        _ => None,
    });
    let message = town.runtime.block_on(bob.messages_send("alice", "who feeds the animals?", None)).unwrap();
    until(&mut alice, "the message", |alice| {
        let row = |label: &String| label.ends_with("who feeds the animals?");
        let mut rows = alice.query_all_by_role(Role::ListItem);
        let bubble = rows.find(|node| node.accesskit_node().label().as_ref().is_some_and(row))?;
        bubble.focus();
        Some(())
    });
    alice.step();
    alice.key_press(Key::Enter);
    alice.step();
    press(&mut alice, "React with another emoji");
    typed(&mut alice, "cat");
    let reacted: Vec<String> = reacted();
    assert_eq!(reacted, ["🐱"]);
    until_label(&mut alice, "🐱 1");
    let page = bob.messages_history("alice", None::<String>, None::<String>, None::<String>, None::<u32>);
    let page = town.runtime.block_on(page).unwrap();
    let kept = page.messages.into_iter().find(|kept| kept.message_id == message.message_id).unwrap();
    assert_eq!(kept.reactions.len(), 1);
}
