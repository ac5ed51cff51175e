//! The window without a node: what is painted and what keys do, whatever the
//! state. Tests with real peers are in `tests/`.

use egui::{Key, Modifiers, Role};
use egui_kittest::{
    Harness,
    kittest::{NodeT as _, Queryable as _},
};
use secure_chat_node::api::{Account, At, ChatRequest, ContactState, MessageState, RequestState};
use secure_chat_protocol::id::Timestamp;

use crate::app::Window;
use crate::ask::{Answer, Ask, desktop, files, groups, messages, security};
use crate::state::tests::{contact, row};
use crate::state::{Intent, Opened, Overlay, Reaction, Row, Session, Tab, Timeline, Tone};
use crate::text::Clock;
use crate::theme;

/// A window and what it asked of the node that isn't there.
pub(crate) struct Bench {
    pub(crate) window: Window,
    pub(crate) asks: Vec<Ask>,
}

fn account() -> Account {
    Account {
        username: "alice".into(),
        account_id: "me".into(),
        peer_id: "12D3KooWtest".into(),
        fingerprint: "0000 1111 2222 3333".into(),
    }
}

/// A window with an open account and a conversation with bob.
pub(crate) fn window(rows: Vec<Row>) -> Window {
    let mut window = Window::default();
    let state = &mut window.state;
    state.session = Session::Open(Box::new(Opened::new(account(), 0, false)));
    state.people.set_contacts(vec![contact("bob"), contact("carol")]);
    state.intend(Intent::OpenConversation("bob".into()), Clock::system(), &mut Vec::new());
    let mut timeline = Timeline::new("bob");
    timeline.replace(rows, false, false);
    state.chat.timeline = Some(timeline);
    window
}

pub(crate) fn harness(size: [f32; 2], window: Window) -> Harness<'static, Bench> {
    Harness::builder()
        .with_size(size)
        .with_max_steps(12)
        .allow_missing_glyphs()
        .with_context_setup(theme::install)
        .build_ui_state(
            |ui, bench: &mut Bench| {
                let Bench { window, asks } = bench;
                window.show(ui, Clock::system(), true, asks);
            },
            Bench { window, asks: Vec::new() },
        )
}

/// What people, and people with bad intentions, write.
fn odd_texts() -> Vec<String> {
    vec![
        String::new(),
        " ".into(),
        "👍".into(),
        "👨‍👩‍👧‍👦🏳️‍🌈🇩🇪".into(),
        "a\u{301}\u{302}\u{303}".repeat(400),
        "x".repeat(16 * 1024),
        "\u{5D0}".repeat(4 * 1024),
        "مرحبا بالعالم (2) https://example.org".into(),
        "photo\u{202E}gpj.exe \u{2066}\u{2067}\u{2069}".into(),
        "\u{0}\u{1}\u{7}\u{1b}[31m\r\n\t".into(),
        "\n".repeat(300),
        "https://example.org/".to_owned() + &"ü".repeat(3_000),
        "日本語のテスト、简体中文，한국어 हिन्दी ไทย".into(),
        "\u{10FFFF}\u{E000}\u{FFFE}\u{200B}\u{FEFF}".into(),
    ]
}

fn all_kinds_of_rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (i, text) in odd_texts().into_iter().enumerate() {
        for mine in [false, true] {
            let mut row = row(&format!("{i} {mine}"), 1_700_000_000_000 + i as u64 * 20_000_000, mine);
            row.text.clone_from(&text);
            row.from.clone_from(&text);
            row.edited = i % 2 == 0;
            row.deleted = i % 7 == 6;
            row.reply_to = (i > 0).then(|| format!("{} false", i - 1));
            row.reactions = vec![Reaction { emoji: text.chars().take(12).collect(), count: i, mine }];
            row.state = [MessageState::Queued, MessageState::Sent, MessageState::Delivered, MessageState::Read][i % 4];
            if mine && i % 5 == 0 {
                row.state = MessageState::Failed;
                row.reason = Some(text.clone());
            }
            rows.push(row);
        }
    }
    rows
}

#[test]
fn no_text_makes_the_window_panic_at_any_size() {
    for size in [[1280.0, 800.0], [720.0, 480.0], [300.0, 200.0]] {
        let mut window = window(all_kinds_of_rows());
        for text in odd_texts() {
            let name: String = format!("n{text}").chars().take(30).collect();
            let mut odd = contact(&name);
            odd.last_message = None;
            window.state.people.put(odd);
            window.state.notices.keep(Tone::Bad, text.clone(), None, 0);
            window.state.chat.draft_mut(&name).push_str(&text);
        }
        let mut harness = harness(size, window);
        harness.run_steps(3);
        let rows = all_kinds_of_rows();
        for row in &rows {
            let intent = Intent::Jump { conversation: "bob".into(), message_id: row.id.clone() };
            harness.state_mut().window.state.intend(intent, Clock::system(), &mut Vec::new());
            harness.run_steps(2);
        }
        for overlay in [
            Overlay::Palette,
            Overlay::Notices,
            Overlay::Link(odd_texts().concat()),
            Overlay::Diagnostics(odd_texts().concat()),
        ] {
            harness.state_mut().window.state.overlay = Some(overlay);
            harness.run_steps(2);
        }
        for tab in Tab::ALL {
            harness.state_mut().window.state.overlay = None;
            harness.state_mut().window.state.tab = tab;
            harness.run_steps(2);
        }
    }
}

#[test]
fn what_is_typed_is_sent_by_enter_and_broken_by_shift_enter() {
    let mut harness = harness([1000.0, 700.0], window(vec![row("m1", 1, false)]));
    harness.run();
    let composer = |harness: &Harness<'_, Bench>| {
        harness.get_by_role_and_label(Role::MultilineTextInput, "Write a message").rect()
    };
    let one_line = composer(&harness).height();
    harness.get_by_role_and_label(Role::MultilineTextInput, "Write a message").focus();
    harness.run();
    harness.get_by_role_and_label(Role::MultilineTextInput, "Write a message").type_text("two");
    harness.run();
    harness.key_press_modifiers(Modifiers::SHIFT, Key::Enter);
    harness.run();
    harness.get_by_role_and_label(Role::MultilineTextInput, "Write a message").type_text("lines");
    harness.run();
    let two_lines = composer(&harness).height();
    assert!(
        two_lines > one_line,
        "the composer grows: {:?}",
        (one_line, two_lines, harness.state().window.state.chat.draft("bob"))
    );
    harness.key_press(Key::Enter);
    harness.run();
    let sent: Vec<_> = harness
        .state()
        .asks
        .iter()
        .filter_map(|ask| match ask {
            Ask::Messages(messages::Ask::Send { text, .. }) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(sent, ["two\nlines"]);
    assert!(
        harness.get_by_role_and_label(Role::MultilineTextInput, "Write a message").is_focused(),
        "the keyboard stays"
    );
}

#[test]
fn the_keyboard_leads_everywhere() {
    let mut harness = harness([1000.0, 700.0], window(vec![row("m1", 1, false)]));
    harness.run();
    let keys = [Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5, Key::Num6];
    // From the last to the first: the window begins with the first.
    for (key, tab) in keys.into_iter().zip(Tab::shown()).collect::<Vec<_>>().into_iter().rev() {
        harness.key_press_modifiers(Modifiers::COMMAND, key);
        harness.run();
        assert_eq!(harness.state().window.state.tab, tab);
    }
    harness.key_press_modifiers(Modifiers::COMMAND, Key::K);
    harness.run();
    harness.get_by_role_and_label(Role::TextInput, "Find").type_text("car");
    harness.run();
    harness.key_press(Key::Enter);
    harness.run();
    assert_eq!(harness.state().window.state.chat.conversation(), Some("carol"));
    assert_eq!(harness.state().window.state.overlay, None);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::F);
    harness.run();
    assert!(harness.state().window.state.chat.search.open);
    harness.key_press(Key::Escape);
    harness.run();
    assert!(!harness.state().window.state.chat.search.open);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::L);
    harness.run();
    assert!(harness.state().window.state.opened().is_none());
}

/// Everything that the node can tell, so that no tab is empty.
pub(crate) fn full() -> Window {
    let mut window = window(vec![row("m1", 1, false), row("m2", 2, true)]);
    let answer = |window: &mut Window, answer: Answer| {
        window.state.answer(answer, Clock::system(), &mut Vec::new());
    };
    let value = serde_json::json!({
        "group_id": "g", "name": "Readers", "role": "owner", "members": 2, "unread": 3, "mentions": 1
    });
    answer(&mut window, groups::Answer::List(Ok(vec![serde_json::from_value(value).unwrap()])).into());
    let file = serde_json::json!({
        "file_id": "f", "name": "plan.pdf", "size": 5_000, "mime": "application/pdf", "from": "bob", "state": "offered"
    });
    answer(&mut window, files::Answer::List(Ok(vec![serde_json::from_value(file).unwrap()])).into());
    let entry = serde_json::json!({
        "seq": 1, "at": "2026-11-23T05:00:00Z", "kind": "account.unlocked", "severity": "info", "detail": "Opened."
    });
    let log = serde_json::from_value(serde_json::json!({"entries": [entry], "chain_ok": true})).unwrap();
    answer(&mut window, security::Answer::Log { before: None, serial: 0, result: Ok(log) }.into());
    let session = serde_json::json!({"username": "bob", "verified": true, "active": true});
    let facts = serde_json::json!({"sessions": [session], "prekeys_left": 40});
    answer(&mut window, security::Answer::Facts(Ok(facts.as_object().unwrap().clone())).into());
    let aside = serde_json::json!({"message_id": "q", "username": "mallory", "text": "hi", "reasons": ["link"]});
    answer(&mut window, security::Answer::SetAside(Ok(vec![serde_json::from_value(aside).unwrap()])).into());
    window
}

/// What can be pressed, typed into or turned.
pub(crate) fn is_control(role: Role) -> bool {
    matches!(
        role,
        Role::Button
            | Role::Tab
            | Role::TextInput
            | Role::MultilineTextInput
            | Role::PasswordInput
            | Role::ComboBox
            | Role::Switch
            | Role::CheckBox
            | Role::ListBoxOption
            | Role::MenuItem
    )
}

#[test]
fn every_control_of_every_tab_has_a_name_and_can_be_reached_with_tab() {
    for tab in Tab::ALL {
        let mut window = full();
        window.state.tab = tab;
        if tab == Tab::Groups {
            window.state.intend(Intent::OpenGroup("g".into()), Clock::system(), &mut Vec::new());
        }
        // High enough that nothing is outside of the view, where it would not be painted.
        let mut harness = harness([1280.0, 2400.0], window);
        harness.run();
        harness.run_steps(3);
        let mut wanted = std::collections::BTreeMap::new();
        for node in harness.get_all_by(|node| is_control(node.role()) && !node.is_disabled()) {
            let name = node.accesskit_node().label().unwrap_or_default();
            let role = node.accesskit_node().role();
            assert!(!name.trim().is_empty(), "{tab:?}: a {role:?} at {:?} has no name", node.rect());
            wanted.insert((format!("{role:?}"), name), false);
        }
        assert!(wanted.len() > 10, "{tab:?}: {wanted:?}");
        for _ in 0..wanted.len() * 2 + 20 {
            harness.key_press(Key::Tab);
            harness.run_steps(2);
            for node in harness.get_all_by(|node| node.is_focused()) {
                let node = node.accesskit_node();
                let key = (format!("{:?}", node.role()), node.label().unwrap_or_default());
                if let Some(reached) = wanted.get_mut(&key) {
                    *reached = true;
                }
            }
            if wanted.values().all(|reached| *reached) {
                break;
            }
        }
        let missed: Vec<_> = wanted.iter().filter(|(_, reached)| !**reached).map(|(key, _)| key).collect();
        assert!(missed.is_empty(), "{tab:?}: the keyboard does not lead to {missed:?}");
    }
}

#[test]
fn a_message_has_a_menu_that_replies_copies_edits_and_deletes() {
    let mut harness = harness([1000.0, 700.0], window(vec![row("m1", 1, false), row("m2", 2, true)]));
    harness.run();
    harness.get_by_label("text of m2").click_secondary();
    harness.run();
    harness.get_by_role_and_label(Role::MenuItem, "Edit").click();
    harness.run();
    assert_eq!(harness.state().window.state.chat.draft("bob"), "text of m2");
    harness.key_press(Key::Escape);
    harness.run();
    assert_eq!(harness.state().window.state.chat.draft("bob"), "");
    harness.get_by_label("text of m1").click_secondary();
    harness.run();
    assert!(harness.query_by_role_and_label(Role::MenuItem, "Edit").is_none(), "what another wrote can't be edited");
    harness.get_by_role_and_label(Role::MenuItem, "Delete…").click();
    harness.run();
    harness.get_by_role_and_label(Role::Button, "Delete here").click();
    harness.run();
    let asked = harness.state().asks.iter().any(|ask| {
        matches!(ask, Ask::Messages(messages::Ask::Delete { message_id, for_everyone: false }) if message_id == "m1")
    });
    assert!(asked);
}

#[test]
fn a_changed_key_blocks_writing_until_the_person_decides() {
    let mut window = window(vec![row("m1", 1, false)]);
    window.state.people.key_changed("bob", "9999 8888");
    let mut harness = harness([1000.0, 700.0], window);
    harness.run();
    assert!(harness.query_by_role(Role::MultilineTextInput).is_none(), "nothing can be written");
    harness.get_by_role_and_label(Role::Button, "Accept new keys").click();
    harness.run();
    assert!(matches!(harness.state().window.state.overlay, Some(Overlay::Confirm(_))), "not without a question");
    assert!(harness.query_all_by_label_contains("9999 8888").count() > 0);
}

#[test]
fn a_request_shows_who_asks_and_waits_for_an_answer() {
    let mut window = window(vec![]);
    window.state.people.asked(ChatRequest {
        request_id: "r".into(),
        username: "dan".into(),
        account_id: "d".into(),
        fingerprint: "dddd eeee".into(),
        greeting: "hello from the conference".into(),
        at: At(Timestamp(1)),
        state: RequestState::Pending,
    });
    let mut harness = harness([1000.0, 700.0], window);
    harness.run();
    harness.get_by_label("Chat request from dan").click();
    harness.run();
    harness.get_by_label("hello from the conference");
    harness.get_by_label("dddd eeee");
    harness.get_by_role_and_label(Role::Button, "Accept").click();
    harness.step();
    harness.step();
    assert!(harness.state().asks.iter().any(|ask| matches!(ask, Ask::Contacts(_))));
}

#[test]
fn a_link_is_never_opened_without_a_question() {
    let mut linked = row("m1", 1, false);
    linked.text = "https://example.org/a".into();
    let mut harness = harness([1000.0, 700.0], window(vec![linked]));
    harness.run();
    harness.get_by_label("https://example.org/a").click();
    harness.run();
    assert_eq!(harness.state().window.state.overlay, Some(Overlay::Link("https://example.org/a".into())));
    let opened = harness
        .output()
        .platform_output
        .commands
        .iter()
        .any(|command| matches!(command, egui::OutputCommand::OpenUrl(_)));
    assert!(!opened);
}

#[test]
fn files_and_pictures_that_are_pasted_are_shared_after_a_question_and_text_is_text() {
    let mut harness = harness([1000.0, 700.0], window(vec![row("m1", 1, false)]));
    harness.run();
    harness.get_by_role_and_label(Role::MultilineTextInput, "Write a message").focus();
    harness.run();
    harness.event(egui::Event::Paste("plain words".into()));
    harness.run();
    assert_eq!(harness.state().window.state.chat.draft("bob"), "plain words");
    harness.event(egui::Event::PasteImage(std::sync::Arc::new(egui::ColorImage::filled([3, 2], egui::Color32::RED))));
    harness.run();
    let kept = harness.state().asks.iter().any(|ask| {
        matches!(ask, Ask::Desktop(desktop::Ask::KeepPicture { width: 3, height: 2, rgba, .. }) if rgba.len() == 24)
    });
    assert!(kept);
    harness.event(egui::Event::Paste("file:///home/alice/My%20plan.pdf".into()));
    harness.run();
    let overlay = harness.state().window.state.overlay.clone();
    assert!(matches!(overlay, Some(Overlay::Share { path, .. }) if path == "/home/alice/My plan.pdf"));
    assert_eq!(harness.state().window.state.chat.draft("bob"), "plain words");
}

#[test]
fn a_window_in_which_nothing_happens_draws_no_frame() {
    let mut harness = harness([1000.0, 700.0], window(vec![row("m1", 1, false)]));
    harness.run();
    harness.run_steps(2);
    let delay = harness.output().viewport_output.get(&egui::ViewportId::ROOT).map(|viewport| viewport.repaint_delay);
    assert!(delay.is_some_and(|delay| delay > std::time::Duration::from_secs(1)), "{delay:?}");
}

#[test]
fn blocked_and_unanswered_contacts_can_not_be_written_to() {
    for state in [ContactState::Blocked, ContactState::Requested] {
        let mut window = window(vec![]);
        if let Some(bob) = window.state.people.contact_mut("bob") {
            bob.state = state;
        }
        let mut harness = harness([1000.0, 700.0], window);
        harness.run();
        assert!(harness.query_by_role(Role::MultilineTextInput).is_none());
    }
}
