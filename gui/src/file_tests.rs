//! Files in the window, without a node: very long ones are asked about once more, and
//! own ones that are left at rendezvous nodes can be stopped and tried again.

use egui::Role;
use egui_kittest::{Harness, kittest::Queryable as _};
use secure_chat_node::api::{ApiError, ErrorKind};

use crate::app_tests::{Bench, full, harness};
use crate::ask::files::Deed;
use crate::ask::{Answer, Ask, files, messages};
use crate::state::{Overlay, Recipient, Tab};
use crate::text::Clock;

#[test]
fn a_very_long_file_is_shared_when_the_person_says_so_once_more() {
    let mut window = full();
    let to = Recipient::Person("bob".into());
    window.state.overlay = Some(Overlay::Share { path: "/films/all.mkv".into(), to });
    let mut harness = harness([1000.0, 700.0], window);
    harness.run();
    harness.get_by_role_and_label(Role::Button, "Share").click();
    harness.step();
    harness.step();
    let error = ApiError::new(ErrorKind::ConfirmationRequired, "The file is very long: 5 GiB.");
    let answer = Answer::from(files::Answer::Shared(Err(error)));
    harness.state_mut().window.state.answer(answer, Clock::system(), &mut Vec::new());
    harness.run();
    assert!(harness.query_all_by_label_contains("sending it takes hours").count() > 0);
    harness.run_steps(4);
    harness.get_by_role_and_label(Role::Button, "Share it anyway").click();
    harness.run_steps(4);
    let confirmed: Vec<bool> = harness
        .state()
        .asks
        .iter()
        .filter_map(|ask| match ask {
            Ask::Files(files::Ask::Share(share)) => Some(share.confirm),
            _ => None,
        })
        .collect();
    assert_eq!(confirmed, [false, true]);
}

#[test]
fn a_very_long_file_is_fetched_by_whoever_was_told_how_long_it_is() {
    let mut window = full();
    let file = serde_json::json!({"file_id": "f", "name": "all.mkv", "size": 5_u64 << 30, "state": "offered"});
    let list = files::Answer::List(Ok(vec![serde_json::from_value(file).unwrap()]));
    window.state.answer(Answer::from(list), Clock::system(), &mut Vec::new());
    let save = Overlay::SaveFile { file_id: "f".into(), name: "all.mkv".into(), risky: false };
    window.state.overlay = Some(save);
    let mut harness = harness([1000.0, 700.0], window);
    harness.run();
    assert!(harness.query_all_by_label_contains("very long (5.0 GB)").count() > 0);
    harness.get_by_role_and_label(Role::Button, "Save").click();
    harness.step();
    harness.step();
    let asked =
        harness.state().asks.iter().any(|ask| matches!(ask, Ask::Files(files::Ask::Download { confirm: true, .. })));
    assert!(asked);
}

/// An own file, as the list shows it.
fn own(state: &str, reason: Option<&str>) -> Answer {
    let file = serde_json::json!({
        "file_id": "f", "name": "plan.pdf", "size": 1_000, "state": state, "reason": reason, "mine": true, "to": "bob",
    });
    Answer::from(files::Answer::List(Ok(vec![serde_json::from_value(file).unwrap()])))
}

/// Presses the button and says what was asked of the peer.
fn pressed(shown: &mut Harness<'static, Bench>, name: &str) -> Option<Deed> {
    shown.get_by_role_and_label(Role::Button, name).click();
    shown.step();
    shown.step();
    shown.state_mut().asks.drain(..).find_map(|ask| match ask {
        Ask::Files(files::Ask::Do { file_id, deed }) if file_id == "f" => Some(deed),
        _ => None,
    })
}

#[test]
fn an_own_file_on_its_way_to_a_rendezvous_node_is_stopped_and_one_that_was_refused_tried_again() {
    const STOP: &str = "Stop leaving it at rendezvous nodes: plan.pdf";
    const AGAIN: &str = "Try again: plan.pdf";
    let (clock, mut asks) = (Clock::system(), Vec::new());
    let mut window = full();
    window.state.tab = Tab::Files;
    window.state.answer(own("shared", None), clock, &mut asks);
    let mut shown = harness([1000.0, 700.0], window);
    shown.run();
    for name in [STOP, AGAIN] {
        assert!(shown.query_by_label(name).is_none(), "nothing runs and nothing failed: {name}");
    }

    let event = |kind: &str, more: serde_json::Value| {
        let mut event = serde_json::json!({"type": kind, "file_id": "f", "direction": "upload"});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let running = event("file.progress", serde_json::json!({"bytes_done": 400, "bytes_total": 1_000}));
    shown.state_mut().window.state.file_event("file.progress", &running, clock, &mut asks);
    // The list that is read meanwhile doesn't take the bar away.
    shown.state_mut().window.state.answer(own("shared", None), clock, &mut asks);
    shown.run();
    assert_eq!(pressed(&mut shown, STOP), Some(Deed::Cancel));
    let stopped = own("cancelled", Some("It is left at no rendezvous node."));
    shown.state_mut().window.state.answer(stopped, clock, &mut asks);
    shown.run();
    assert!(shown.query_by_label(STOP).is_none() && shown.query_all_by_role(Role::ProgressIndicator).count() == 0);
    assert!(shown.query_all_by_label_contains("left at no rendezvous node").count() > 0);
    assert_eq!(pressed(&mut shown, AGAIN), Some(Deed::Retry));

    shown.state_mut().window.state.answer(own("shared", None), clock, &mut asks);
    let refused = event("file.failed", serde_json::json!({"reason": "The node is full."}));
    shown.state_mut().window.state.file_event("file.failed", &refused, clock, &mut asks);
    shown.run();
    assert!(shown.query_all_by_label_contains("The node is full.").count() > 0);
    assert_eq!(pressed(&mut shown, AGAIN), Some(Deed::Retry));

    let done = files::Answer::Done { file_id: "f".into(), deed: Deed::Retry, result: Ok(()) };
    shown.state_mut().window.state.answer(Answer::from(done), clock, &mut asks);
    shown.run();
    assert!(shown.query_by_label(AGAIN).is_none(), "it is being tried");
}

#[test]
fn what_is_shared_stands_in_the_open_conversation_at_once() {
    let (mut window, mut asks) = (full(), Vec::new());
    assert!(window.state.chat.conversation().is_some());
    let shared = Answer::from(files::Answer::Shared(Ok(())));
    window.state.answer(shared, Clock::system(), &mut asks);
    let read = |ask: &Ask| matches!(ask, Ask::Messages(messages::Ask::History { page: messages::Page::Latest, .. }));
    assert!(asks.iter().any(read), "its end is read");
}
