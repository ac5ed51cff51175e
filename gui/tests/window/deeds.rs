//! What is done now and then: about people, nodes, alerts and looks.

use egui::{Key, Modifiers, Role};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use secure_chat_node::api::{ContactState, Event, Status};
use secure_chat_window::app::App;

use crate::town::*;

/// Opens the menu behind this button and chooses from it.
pub(crate) fn choose(window: &mut Harness<'static, App>, menu: &str, item: &str) {
    press(window, menu);
    until(window, item, |window| {
        window.query_by_role_and_label(Role::MenuItem, item).map(|item| item.click_accesskit())
    });
    window.step();
    window.step();
}

/// Waits until the peer behind the window says so.
fn known(window: &mut Harness<'static, App>, what: &str, mut is_so: impl FnMut() -> bool) {
    until(window, what, |_| is_so().then_some(()));
}

#[test]
fn a_contact_is_muted_blocked_let_in_again_and_removed() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    let behind = town.behind("alice");
    let contacts = || town.runtime.block_on(behind.contacts_list()).unwrap().contacts;
    choose(&mut alice, "More", "Mute");
    until_label(&mut alice, "bob is muted");
    known(&mut alice, "the mute", || contacts()[0].muted_until.is_some());
    choose(&mut alice, "More", "Unmute");
    until_label(&mut alice, "bob is no longer muted");

    choose(&mut alice, "More", "Block");
    until_label(&mut alice, "Block this person?");
    press(&mut alice, "Block");
    until_label(&mut alice, "You blocked bob");
    known(&mut alice, "the block", || contacts()[0].state == ContactState::Blocked);
    assert!(alice.query_by_role(Role::MultilineTextInput).is_none(), "nobody writes to whom they blocked");
    press(&mut alice, "Unblock");
    until_label(&mut alice, "bob is no longer blocked");
    until(&mut alice, "the composer", |alice| alice.query_by_role(Role::MultilineTextInput).map(|_| ()));
    let heard = town.wait(&bob, |event| match event {
        Event::MessageReceived(message) => Some(message.text),
        _ => None,
    });
    say(&mut alice, "we talk again");
    assert_eq!(heard(), "we talk again");

    choose(&mut alice, "More", "Remove contact");
    until_label(&mut alice, "Remove this contact?");
    press(&mut alice, "Remove contact");
    until_label(&mut alice, "bob was removed");
    known(&mut alice, "the end", || contacts().is_empty());
    until(&mut alice, "an empty list", |alice| {
        alice.query_by_role_and_label(Role::ListBoxOption, "bob").is_none().then_some(())
    });
}

#[test]
fn one_request_is_declined_and_who_sent_another_is_blocked() {
    let town = Town::new();
    let mut alice = town.window("alice", true);
    register(&mut alice, "alice");
    until_label(&mut alice, "You are connected");
    start_chatting(&mut alice);
    let behind = town.behind("alice");
    let asks = |name: &str, alice: &mut Harness<'static, App>| {
        let peer = town.peer(name);
        until(alice, "registration", |_| town.runtime.block_on(peer.users_find("alice")).ok());
        let greeting = Some("we met at the lake".to_owned());
        town.runtime.block_on(peer.contacts_request(Some("alice".to_owned()), None, greeting)).unwrap();
        let row = format!("Chat request from {name}");
        until(alice, &row, |alice| alice.query_by_label(&row).map(|row| row.click()));
        until_label(alice, "we met at the lake");
        peer
    };
    let carol = asks("carol", &mut alice);
    let declined = town.wait(&carol, |event| match event {
        Event::ContactDeclined { username, .. } => Some(username),
        _ => None,
    });
    button(&mut alice, "Decline");
    assert_eq!(declined(), "alice");
    until(&mut alice, "no request", |alice| alice.query_by_label("Chat request from carol").is_none().then_some(()));

    let mallory = asks("mallory", &mut alice);
    button(&mut alice, "Block");
    until(&mut alice, "no request", |alice| alice.query_by_label("Chat request from mallory").is_none().then_some(()));
    let own = town.runtime.block_on(mallory.account_status()).unwrap().username;
    assert_eq!(own.as_deref(), Some("mallory"));
    known(&mut alice, "the block", || {
        let contacts = town.runtime.block_on(behind.contacts_list()).unwrap().contacts;
        contacts.iter().any(|contact| contact.username == "mallory" && contact.state == ContactState::Blocked)
    });
}

#[test]
fn a_rendezvous_node_is_added_and_left_a_peer_is_dialled_and_the_report_names_nobody() {
    let town = Town::new();
    let (mut alice, _bob) = alice_and_bob(&town);
    let behind = town.behind("alice");
    let nodes = || town.runtime.block_on(behind.network_status()).unwrap().rendezvous.len();
    let other = Town::new();
    tab(&mut alice, "Network");
    type_into(&mut alice, Role::TextInput, "Address of a rendezvous node", other.address());
    press(&mut alice, "Add");
    until(&mut alice, "its row", |alice| alice.query_by_label(other.address()).map(|_| ()));
    known(&mut alice, "two nodes", || nodes() == 2);
    press(&mut alice, "Leave rendezvous node");
    until_label(&mut alice, "Leave this rendezvous node?");
    press(&mut alice, "Leave rendezvous node");
    known(&mut alice, "one node", || nodes() == 1);

    let carol = other.peer("carol");
    let status = town.runtime.block_on(carol.network_status()).unwrap();
    let (address, peer_id) = (status.listen[0].clone(), status.peer_id);
    let address = if address.contains("/p2p/") { address } else { format!("{address}/p2p/{peer_id}") };
    type_into(&mut alice, Role::TextInput, "Address to connect to", &address);
    press(&mut alice, "Connect");
    known(&mut alice, "the connection", || {
        let connections = town.runtime.block_on(behind.network_connections()).unwrap().connections;
        connections.iter().any(|connection| connection.peer_id == peer_id)
    });

    press(&mut alice, "Diagnostics");
    until(&mut alice, "the report", |alice| {
        alice.query_by_role_and_label(Role::Button, "Copy diagnostics").map(|_| ())
    });
    let report = town.runtime.block_on(behind.network_diagnostics()).unwrap().text;
    let first = report.lines().find(|line| !line.trim().is_empty()).unwrap();
    assert!(shown(&alice).contains(first), "the report is shown: {first}");
    for name in ["bob", "carol", peer_id.as_str()] {
        assert!(!report.contains(name), "{name} is in the report");
    }
}

#[test]
fn an_alert_is_shown_and_gone_once_it_was_seen() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    let behind = town.behind("alice");
    for round in 0..8 {
        let received = town.wait(&behind, move |event| match event {
            Event::MessageReceived(message) => (message.text == format!("round {round}")).then_some(()),
            _ => None,
        });
        town.runtime.block_on(bob.security_reset_session("alice")).unwrap();
        town.runtime.block_on(bob.messages_send("alice", format!("round {round}"), None)).unwrap();
        received();
    }
    tab(&mut alice, "Security");
    let alerts = || town.runtime.block_on(behind.security_alerts()).unwrap().alerts;
    known(&mut alice, "the alert", || alerts().iter().any(|alert| alert.kind == "session.churn"));
    let detail = alerts().remove(0).detail;
    until_label_contains(&mut alice, &detail);
    press(&mut alice, "I have seen this");
    until_label(&mut alice, "Nothing suspicious.");
    assert!(alerts().is_empty());
}

#[test]
fn the_theme_is_chosen_in_the_settings_and_kept_for_the_next_time() {
    let town = Town::new();
    let (mut alice, _bob) = alice_and_bob(&town);
    tab(&mut alice, "Profile");
    until(&mut alice, "the theme", |alice| {
        alice.query_by_role_and_label(Role::ComboBox, "Theme: Dark").map(|node| node.click_accesskit())
    });
    until(&mut alice, "light", |alice| alice.query_by_label("Light").map(|node| node.click_accesskit()));
    until(&mut alice, "the new setting", |alice| {
        alice.query_by_role_and_label(Role::ComboBox, "Theme: Light").map(|_| ())
    });
    assert_eq!(alice.ctx.theme(), egui::Theme::Light);
    alice.key_press_modifiers(Modifiers::COMMAND, Key::L);
    until_label(&mut alice, "Welcome back");
    assert_eq!(alice.ctx.theme(), egui::Theme::Dark, "behind the lock nothing tells of the account");
    type_into(&mut alice, Role::PasswordInput, "Password", PASSWORD);
    button(&mut alice, "Unlock");
    until(&mut alice, "the theme", |alice| (alice.ctx.theme() == egui::Theme::Light).then_some(()));
}

/// Chooses what others see, from the button on the rail.
fn show_as(window: &mut Harness<'static, App>, status: &str) {
    until(window, "the presence", |window| {
        window.query_all_by_label_contains("Presence: ").next().map(|button| button.click_accesskit())
    });
    until(window, status, |window| {
        window.query_by_role_and_label(Role::MenuItem, status).map(|item| item.click_accesskit())
    });
    window.step();
    window.step();
}

#[test]
fn who_chooses_to_be_invisible_is_seen_by_nobody_also_after_the_lock_until_they_choose_otherwise() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    let seen = |wanted: Status| {
        town.wait(&bob, move |event| match event {
            Event::PresenceChanged { username, status, .. } => (username == "alice" && status == wanted).then_some(()),
            _ => None,
        })
    };
    let status = || town.runtime.block_on(bob.contacts_list()).unwrap().contacts[0].status;
    let mut last = status();
    for (choice, wanted) in [("Away", Status::Away), ("Invisible", Status::Offline)] {
        let change = seen(wanted);
        show_as(&mut alice, choice);
        change();
        until_label(&mut alice, &format!("Presence: {choice}"));
        assert_ne!(std::mem::replace(&mut last, status()), last);
        assert_eq!(last, wanted);
    }

    // Behind the lock and out again: the choice stands, and what is said arrives with nobody seen.
    let heard = town.wait(&bob, |event| match event {
        Event::PresenceChanged { username, status, .. } if username == "alice" && status != Status::Offline => {
            Some(format!("seen as {status:?}"))
        }
        Event::MessageReceived(message) => Some(message.text),
        _ => None,
    });
    alice.key_press_modifiers(Modifiers::COMMAND, Key::L);
    unlock(&mut alice, PASSWORD);
    until_label(&mut alice, "Presence: Invisible");
    until(&mut alice, "bob", |alice| alice.query_by_role_and_label(Role::ListBoxOption, "bob").map(|row| row.click()));
    say(&mut alice, "nobody sees me");
    assert_eq!(heard(), "nobody sees me");
    assert_eq!(status(), Status::Offline);

    let change = seen(Status::Online);
    show_as(&mut alice, "Online");
    change();
    assert_eq!(status(), Status::Online);
}
