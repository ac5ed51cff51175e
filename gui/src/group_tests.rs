//! Groups in the window, without a node: what warns, who waits, what the keyboard finds.

use egui::{Key, Modifiers, Role};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use secure_chat_node::api::{Event, Message};

use crate::app::Window;
use crate::app_tests::{full, harness};
use crate::ask::{Answer, groups};
use crate::state::tests::message;
use crate::state::{Intent, Tab};
use crate::text::Clock;

/// The group of [`full`], opened and at its end.
fn in_group() -> Window {
    let mut window = full();
    let state = &mut window.state;
    state.intend(Intent::OpenGroup("g".into()), Clock::system(), &mut Vec::new());
    let page = crate::ask::messages::Page::Latest;
    let history = crate::ask::messages::Answer::History { conversation: "g".into(), page, result: Ok((vec![], false)) };
    state.answer(groups::Answer::Message(history).into(), Clock::system(), &mut Vec::new());
    window
}

#[test]
fn a_message_of_which_others_were_told_something_else_says_so_until_it_is_gone() {
    let mut window = in_group();
    let said = Message { from: "mallory".into(), text: "we leave at nine".into(), ..message("m1", "g", 5, false) };
    let found_out = Message { reason: Some("Its author told others something else.".into()), ..said.clone() };
    window.state.event(Event::GroupMessage(Box::new(said)), Clock::system(), &mut Vec::new());
    let mut harness = harness([900.0, 640.0], window);
    harness.run();
    harness.get_by_label("we leave at nine");
    assert!(harness.query_by_role(Role::Alert).is_none());
    let state = &mut harness.state_mut().window.state;
    state.event(Event::MessageEdited(Box::new(found_out)), Clock::system(), &mut Vec::new());
    harness.run();
    let warning = harness.get_by_role_and_label(Role::Alert, "Its author told others something else.").rect();
    let bubble = harness.get_by_label_contains("Warning: Its author told others something else.").rect();
    assert!(warning.top() >= bubble.bottom() && warning.top() < bubble.bottom() + 12.0, "{bubble:?} {warning:?}");
    assert!(warning.right() < 900.0);
}

#[test]
fn whoever_leads_a_group_sees_that_somebody_waits_to_get_in() {
    let mut window = in_group();
    let group = serde_json::json!({"group_id": "g", "name": "Readers", "role": "admin", "members": 2, "requests": 2});
    let list = groups::Answer::List(Ok(vec![serde_json::from_value(group).unwrap()]));
    window.state.answer(Answer::from(list), Clock::system(), &mut Vec::new());
    let mut harness = harness([1280.0, 800.0], window);
    harness.run();
    harness.get_by_role_and_label(Role::ListBoxOption, "Readers, 2 people want to join");
    let tab = harness.get_by_role_and_label(Role::Tab, "Groups");
    assert_eq!(tab.accesskit_node().description().as_deref(), Some("2 new"));
    harness.get_by_role_and_label(Role::Button, "Members, 2 people want to join").click();
    harness.run();
    assert!(harness.state().window.state.groups.members_open);
}

#[test]
fn ctrl_f_finds_something_to_search_in_wherever_there_is_something() {
    let mut harness = harness([1280.0, 800.0], in_group());
    harness.run();
    for (tab, field) in [
        (Tab::Groups, "Search in this chat"),
        (Tab::Chat, "Search"),
        (Tab::Files, "Search files"),
        (Tab::Security, "Search the log"),
    ] {
        let state = &mut harness.state_mut().window.state;
        state.intend(Intent::Go(tab), Clock::system(), &mut Vec::new());
        harness.run();
        harness.key_press_modifiers(Modifiers::COMMAND, Key::F);
        harness.run();
        assert!(harness.get_by_role_and_label(Role::TextInput, field).is_focused(), "{tab:?}");
    }
    harness.state_mut().window.state.intend(Intent::CloseSelection, Clock::system(), &mut Vec::new());
    harness.state_mut().window.state.intend(Intent::Go(Tab::Groups), Clock::system(), &mut Vec::new());
    harness.state_mut().window.state.intend(Intent::CloseSelection, Clock::system(), &mut Vec::new());
    harness.run();
    harness.key_press_modifiers(Modifiers::COMMAND, Key::F);
    harness.run();
    assert!(harness.get_by_role_and_label(Role::TextInput, "Search groups").is_focused());
}
