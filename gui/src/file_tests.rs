//! Files in the window, without a node: very long ones are asked about once more.

use egui::Role;
use egui_kittest::kittest::Queryable as _;
use secure_chat_node::api::{ApiError, ErrorKind};

use crate::app_tests::{full, harness};
use crate::ask::{Answer, Ask, files};
use crate::state::{Overlay, Recipient};
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
