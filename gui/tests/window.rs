//! The window against a real node, a real rendezvous node and a second real
//! peer, driven by the names that a screen reader says.

// A test says what is wrong by failing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::mpsc;
use std::time::{Duration, Instant};

use egui::{Key, Modifiers, Role};
use egui_kittest::{
    Harness,
    kittest::{NodeT as _, Queryable as _},
};
use secure_chat_node::api::{Event, NodeHandle};
use secure_chat_node::config::NodeConfig;
use secure_chat_node::engine::Node;
use secure_chat_protocol::vault::Argon2Params;
use secure_chat_rendezvous::{RendezvousConfig, RendezvousNode};
use secure_chat_window::app::App;
use secure_chat_window::bridge::Bridge;
use secure_chat_window::hosting::Host;
use secure_chat_window::theme;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Longer than anything here takes on a busy machine.
const WITHIN: Duration = Duration::from_secs(60);
const PASSWORD: &str = "Violet-anchor-misty-7-quilt";

/// A rendezvous node, bob, and alice's window.
struct Town {
    runtime: Runtime,
    rendezvous: Option<RendezvousNode>,
    address: String,
    folders: TempDir,
}

impl Town {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let folders = TempDir::new().unwrap();
        let config = RendezvousConfig::new(folders.path().join("rendezvous")).listening_on("/ip4/127.0.0.1/tcp/0");
        let rendezvous = runtime.block_on(RendezvousNode::start(config)).unwrap();
        let address = rendezvous.addresses().remove(0);
        Self { runtime, rendezvous: Some(rendezvous), address, folders }
    }

    fn config(&self, name: &str, rendezvous: bool) -> NodeConfig {
        let data_dir = self.folders.path().join(name);
        let host = Host::new(&data_dir);
        NodeConfig {
            listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
            rendezvous: rendezvous.then(|| self.address.clone()).into_iter().collect(),
            mdns: false,
            kdf: Argon2Params::LEAST,
            host: Some(std::sync::Arc::new(host)),
            ..NodeConfig::new(data_dir)
        }
    }

    /// A peer without a window, registered at the rendezvous node.
    fn peer(&self, name: &str) -> NodeHandle {
        self.runtime.block_on(async {
            let node = Node::start(self.config(name, true)).unwrap();
            let mut events = node.events();
            node.account_create(name, PASSWORD).await.unwrap();
            let registered = async {
                while let Some(event) = events.next().await {
                    if matches!(event.event, Event::NetworkState { registered: 1.., .. }) {
                        break;
                    }
                }
            };
            tokio::time::timeout(WITHIN, registered).await.unwrap();
            node
        })
    }

    fn window(&self, name: &str, rendezvous: bool) -> Harness<'static, App> {
        let (config, handle) = (self.config(name, rendezvous), self.runtime.handle().clone());
        Harness::builder()
            .with_size([1280.0, 800.0])
            .with_max_steps(16)
            .allow_missing_glyphs()
            .with_context_setup(theme::install)
            .build_eframe(move |cc| {
                App::new(Bridge::start(handle, cc.egui_ctx.clone(), async {
                    Node::start(config).map_err(|error| error.to_string())
                }))
            })
    }

    /// The next event of a peer that fits.
    fn wait<T: Send + 'static, W: FnMut(Event) -> Option<T> + Send + 'static>(
        &self,
        node: &NodeHandle,
        mut wanted: W,
    ) -> impl FnOnce() -> T + use<T, W> {
        let mut events = node.events();
        let (found, answer) = mpsc::channel();
        self.runtime.spawn(async move {
            while let Some(event) = events.next().await {
                if let Some(value) = wanted(event.event) {
                    let _ = found.send(value);
                    break;
                }
            }
        });
        move || answer.recv_timeout(WITHIN).unwrap()
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        if let Some(node) = self.rendezvous.take() {
            self.runtime.block_on(node.stop());
        }
    }
}

/// Paints until the window shows what is waited for.
fn until<T>(
    harness: &mut Harness<'static, App>,
    what: &str,
    mut seen: impl FnMut(&Harness<'static, App>) -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        harness.step();
        if let Some(value) = seen(harness) {
            return value;
        }
        assert!(start.elapsed() < WITHIN, "{what} did not come; there is: {}", shown(harness));
        // Gives the node's threads the processor; the condition above decides, not the time.
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn until_label(harness: &mut Harness<'static, App>, label: &str) {
    until(harness, label, |harness| harness.query_all_by_label(label).next().map(|_| ()));
}

fn until_label_contains(harness: &mut Harness<'static, App>, label: &str) {
    until(harness, label, |harness| harness.query_all_by_label_contains(label).next().map(|_| ()));
}

fn shown(harness: &Harness<'static, App>) -> String {
    let said = |node: egui_kittest::Node<'_>| {
        let disabled = if node.accesskit_node().is_disabled() { " (disabled)" } else { "" };
        node.accesskit_node().label().or(node.accesskit_node().value()).map(|label| label + disabled)
    };
    harness.get_all_by(|_| true).filter_map(said).collect::<Vec<_>>().join(" | ")
}

fn button(harness: &mut Harness<'static, App>, name: &str) {
    // As a person would: not while it moves, nor while it can't be pressed.
    let mut before = None;
    until(harness, name, |harness| {
        let node = harness.query_all_by_role_and_label(Role::Button, name).next()?;
        let rect = (!node.accesskit_node().is_disabled()).then(|| node.rect());
        if rect.is_none() || std::mem::replace(&mut before, rect) != rect {
            return None;
        }
        node.click();
        Some(())
    });
    harness.step();
    harness.step();
}

fn tab(harness: &mut Harness<'static, App>, name: &str) {
    until(harness, name, |harness| harness.query_by_role_and_label(Role::Tab, name).map(|node| node.click()));
    harness.step();
    harness.step();
    harness.step();
}

fn type_into(harness: &mut Harness<'static, App>, role: Role, name: &str, text: &str) {
    until(harness, name, |harness| harness.query_by_role_and_label(role, name).map(|node| node.focus()));
    harness.step();
    harness.get_by_role_and_label(role, name).type_text(text);
    harness.step();
    harness.step();
}

fn say(harness: &mut Harness<'static, App>, text: &str) {
    type_into(harness, Role::MultilineTextInput, "Write a message", text);
    harness.key_press(Key::Enter);
    harness.step();
    harness.step();
}

fn register(harness: &mut Harness<'static, App>, name: &str) {
    type_into(harness, Role::TextInput, "Name", name);
    type_into(harness, Role::PasswordInput, "Password", PASSWORD);
    until_label_contains(harness, "Password strength");
    type_into(harness, Role::PasswordInput, "Password again", PASSWORD);
    button(harness, "Create account");
    until_label_contains(harness, "Step 2 of 3");
    until_label(harness, "Your invite as a QR code");
    button(harness, "Next");
    until_label_contains(harness, "Step 3 of 3");
}

fn start_chatting(harness: &mut Harness<'static, App>) {
    let go = until(harness, "a way on", |harness| {
        ["Start chatting", "Go on without"]
            .into_iter()
            .find(|name| harness.query_by_role_and_label(Role::Button, name).is_some())
    });
    button(harness, go);
    until_label(harness, "Messages");
}

/// alice, registered and in a conversation with bob.
fn alice_and_bob(town: &Town) -> (Harness<'static, App>, NodeHandle) {
    let bob = town.peer("bob");
    let mut alice = town.window("alice", true);
    register(&mut alice, "alice");
    until_label(&mut alice, "You are connected");
    start_chatting(&mut alice);
    let request_id = town.wait(&bob, |event| match event {
        Event::ContactRequest(request) => Some(request.request_id),
        _ => None,
    });
    button(&mut alice, "New chat");
    type_into(&mut alice, Role::TextInput, "Name or invite", "bob");
    type_into(&mut alice, Role::TextInput, "Greeting", "it's me");
    button(&mut alice, "Send request");
    until_label_contains(&mut alice, "Request sent");
    let request_id = request_id();
    town.runtime.block_on(bob.contacts_accept(request_id)).unwrap();
    until_label_contains(&mut alice, "You can now chat with bob");
    until(&mut alice, "bob in the list", |alice| {
        alice.query_by_role_and_label(Role::ListBoxOption, "bob").map(|row| row.click())
    });
    until(&mut alice, "the composer", |alice| alice.query_by_role(Role::MultilineTextInput).map(|_| ()));
    (alice, bob)
}

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
