//! Public groups, who is let into them, and who leads them.

use egui::Role;
use egui_kittest::{
    Harness,
    kittest::{NodeT as _, Queryable as _},
};
use secure_chat_node::api::{AccountState, Event, JoinPolicy, NodeHandle, Role as Rank};
use secure_chat_window::app::App;

use crate::town::*;

/// Waits until the directory of the rendezvous node has the group; says its id.
fn listed(town: &Town, who: &NodeHandle, window: &mut Harness<'static, App>, name: &str) -> String {
    until(window, "the directory", |_| {
        let found = town.runtime.block_on(who.groups_search(name)).ok()?;
        found.groups.into_iter().find(|group| group.name == name).map(|group| group.group_id)
    })
}

#[test]
fn a_public_group_is_found_asked_for_and_joined() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    let made = bob.groups_create("Gardeners", Some("beans and roses".to_owned()), true, JoinPolicy::Approval);
    let group_id = town.runtime.block_on(made).unwrap().group_id;
    listed(&town, &bob, &mut alice, "Gardeners");
    let asks = town.wait(&bob, |event| match event {
        Event::GroupJoinRequested(request) => Some(request.username),
        _ => None,
    });
    tab(&mut alice, "Groups");
    button(&mut alice, "Find a group");
    type_into(&mut alice, Role::TextInput, "Search public groups", "roses");
    button(&mut alice, "Ask to join: Gardeners");
    until_label_contains(&mut alice, "a leader of the group decides");
    assert_eq!(asks(), "alice");
    let heard = town.wait(&bob, |event| match event {
        Event::GroupMessage(message) => Some(message.text),
        _ => None,
    });
    town.runtime.block_on(bob.groups_approve(group_id, "alice")).unwrap();
    until_label(&mut alice, "You are now in Gardeners");
    until(&mut alice, "the group", |alice| {
        alice.query_by_role_and_label(Role::ListBoxOption, "Gardeners").map(|row| row.click())
    });
    until_label_contains(&mut alice, "2 members");
    say(&mut alice, "what about tomatoes?");
    assert_eq!(heard(), "what about tomatoes?");
}

#[test]
fn who_asks_to_join_is_let_in_made_an_admin_and_becomes_the_owner() {
    let town = Town::new();
    let (mut alice, bob) = alice_and_bob(&town);
    tab(&mut alice, "Groups");
    button(&mut alice, "New group");
    type_into(&mut alice, Role::TextInput, "Name of the group", "Harbour");
    button(&mut alice, "After approval");
    until(&mut alice, "the switch", |alice| {
        alice.query_by_role_and_label(Role::Switch, "Can be found").map(|node| node.click_accesskit())
    });
    button(&mut alice, "Create group");
    until_label_contains(&mut alice, "1 member");
    let group_id = listed(&town, &bob, &mut alice, "Harbour");
    town.runtime.block_on(bob.groups_join(Some(group_id.clone()), None)).unwrap();
    // The list, the tab and the button say so, whatever else is looked at.
    until_label(&mut alice, "Harbour, 1 person wants to join");
    button(&mut alice, "Members, 1 person wants to join");
    button(&mut alice, "Approve: bob");
    until(&mut alice, "bob among the members", |alice| alice.query_by_label("More: bob").map(|_| ()));

    let choose = |alice: &mut Harness<'static, App>, what: &str| {
        press(alice, "More: bob");
        until(alice, what, |alice| {
            alice.query_by_role_and_label(Role::MenuItem, what).map(|item| item.click_accesskit())
        });
        alice.step();
    };
    choose(&mut alice, "Make admin");
    until_label(&mut alice, "Admin");
    choose(&mut alice, "Hand the group over…");
    until_label(&mut alice, "Hand the group over?");
    press(&mut alice, "Hand the group over…");
    until(&mut alice, "the new owner", |_| {
        let members = town.runtime.block_on(bob.groups_members(group_id.clone())).ok()?.members;
        members.iter().any(|member| member.username == "bob" && member.role == Rank::Owner).then_some(())
    });
    // bob stands below alice, whose rank is the lower one now.
    until(&mut alice, "the ranks", |alice| {
        let top = |rank| alice.query_all_by_label(rank).next().map(|label| label.rect().top());
        (top("Owner")? > top("Admin")?).then_some(())
    });
    press(&mut alice, "More: bob");
    until(&mut alice, "the menu", |alice| alice.query_by_role_and_label(Role::MenuItem, "Open chat").map(|_| ()));
    let offered = alice.query_by_role_and_label(Role::MenuItem, "Hand the group over…");
    assert!(offered.is_none(), "what only the owner may do is not offered any longer");
}

#[test]
fn two_accounts_on_one_machine_are_opened_each_by_its_own_name() {
    let town = Town::new();
    let mut window = town.window("alice", false);
    register(&mut window, "alice");
    start_chatting(&mut window);
    button(&mut window, "Lock");
    until_label(&mut window, "Welcome back");
    button(&mut window, "Other accounts");
    button(&mut window, "Create another account");
    register(&mut window, "anna");
    start_chatting(&mut window);
    log_out(&mut window);
    for name in ["alice", "anna", "alice"] {
        until_label(&mut window, "Welcome back");
        until(&mut window, name, |window| {
            window.query_by_role_and_label(Role::RadioButton, name).map(|row| row.click())
        });
        window.step();
        unlock_tab(&mut window);
        tab(&mut window, "Profile");
        until_label(&mut window, name);
        let other = if name == "anna" { "alice" } else { "anna" };
        assert!(window.query_by_label(other).is_none(), "of the other nothing is shown");
        log_out(&mut window);
    }
}

#[test]
fn the_lock_leads_back_to_this_account_and_logging_out_to_the_choice_of_accounts() {
    let town = Town::new();
    let mut window = town.window("alice", false);
    register(&mut window, "alice");
    start_chatting(&mut window);
    log_out(&mut window);
    button(&mut window, "Create another account");
    register(&mut window, "zoe");
    start_chatting(&mut window);

    button(&mut window, "Lock");
    until_label_contains(&mut window, "This account is locked");
    until(&mut window, "her account", |window| window.query_by_role_and_label(Role::RadioButton, "zoe").map(|_| ()));
    assert!(!shown(&window).contains("alice"), "behind her lock stands nobody else: {}", shown(&window));
    // It is this account that the password is for, though the other comes first in the list.
    unlock(&mut window, PASSWORD);
    tab(&mut window, "Profile");
    until_label(&mut window, "zoe");

    press(&mut window, "Log out");
    until_label_contains(&mut window, "You are logged out");
    for name in ["alice", "zoe"] {
        until(&mut window, name, |window| window.query_by_role_and_label(Role::RadioButton, name).map(|_| ()));
    }
    let zoes = town.behind("alice");
    until(&mut window, "the lock of the peer", |_| {
        let status = town.runtime.block_on(zoes.account_status()).ok()?;
        (status.state == AccountState::Locked).then_some(())
    });
}

fn log_out(window: &mut Harness<'static, App>) {
    tab(window, "Profile");
    press(window, "Log out");
    until_label(window, "Welcome back");
}

/// Opens the chosen account, wherever it was left.
fn unlock_tab(window: &mut Harness<'static, App>) {
    type_into(window, Role::PasswordInput, "Password", PASSWORD);
    button(window, "Unlock");
    until(window, "the tabs", |window| window.query_by_role_and_label(Role::Tab, "Profile").map(|_| ()));
}

#[test]
fn who_is_online_is_asked_for_a_chat_out_of_the_list() {
    let town = Town::new();
    let (mut alice, _bob) = alice_and_bob(&town);
    let carol = town.peer("carol");
    let asked = town.wait(&carol, |event| match event {
        Event::ContactRequest(request) => Some((request.username, request.greeting)),
        _ => None,
    });
    button(&mut alice, "Who is online");
    button(&mut alice, "Chat with carol");
    until(&mut alice, "her name", |alice| {
        let field = alice.query_by_role_and_label(Role::TextInput, "Name or invite")?;
        field.accesskit_node().value().filter(|value| value == "carol")
    });
    type_into(&mut alice, Role::TextInput, "Greeting", "from the list");
    button(&mut alice, "Send request");
    assert_eq!(asked(), ("alice".to_owned(), "from the list".to_owned()));
    // From now on she stands in the list, and can't be written to before she answers.
    until(&mut alice, "carol", |alice| {
        alice.query_by_role_and_label(Role::ListBoxOption, "carol").map(|row| row.click())
    });
    until_label_contains(&mut alice, "as soon as your request is accepted");
}
