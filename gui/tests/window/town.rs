//! A rendezvous node, peers without a window, and windows that are driven by
//! the names that a screen reader says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, mpsc};
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
pub(crate) const PASSWORD: &str = "Violet-anchor-misty-7-quilt";

/// A rendezvous node, bob, and alice's window.
pub(crate) struct Town {
    pub(crate) runtime: Runtime,
    rendezvous: Option<RendezvousNode>,
    address: String,
    pub(crate) folders: TempDir,
    /// The peers behind the windows, by the names of their folders.
    behind: Arc<Mutex<HashMap<String, NodeHandle>>>,
}

impl Town {
    pub(crate) fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let folders = TempDir::new().unwrap();
        let config = RendezvousConfig::new(folders.path().join("rendezvous")).listening_on("/ip4/127.0.0.1/tcp/0");
        let rendezvous = runtime.block_on(RendezvousNode::start(config)).unwrap();
        let address = rendezvous.addresses().remove(0);
        Self { runtime, rendezvous: Some(rendezvous), address, folders, behind: Arc::default() }
    }

    /// Where the rendezvous node listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn config(&self, name: &str, rendezvous: bool) -> NodeConfig {
        let data_dir = self.folders.path().join(name);
        let host = Host::new(&data_dir);
        NodeConfig {
            listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
            rendezvous: rendezvous.then(|| self.address.clone()).into_iter().collect(),
            mdns: false,
            kdf: Argon2Params::LEAST,
            host: Some(Arc::new(host)),
            ..NodeConfig::new(data_dir)
        }
    }

    /// A peer without a window, registered at the rendezvous node.
    pub(crate) fn peer(&self, name: &str) -> NodeHandle {
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

    pub(crate) fn window(&self, name: &str, rendezvous: bool) -> Harness<'static, App> {
        let (config, handle) = (self.config(name, rendezvous), self.runtime.handle().clone());
        let (behind, name) = (self.behind.clone(), name.to_owned());
        Harness::builder()
            .with_size([1280.0, 800.0])
            .with_max_steps(16)
            .allow_missing_glyphs()
            .with_context_setup(theme::install)
            .build_eframe(move |cc| {
                App::new(Bridge::start(handle, cc.egui_ctx.clone(), async move {
                    let node = Node::start(config).map_err(|error| error.to_string())?;
                    behind.lock().unwrap().insert(name, node.clone());
                    Ok(node)
                }))
            })
    }

    /// The peer behind a window: what the window says is held against it.
    pub(crate) fn behind(&self, name: &str) -> NodeHandle {
        self.behind.lock().unwrap().get(name).unwrap().clone()
    }

    /// The next event of a peer that fits.
    pub(crate) fn wait<T: Send + 'static, W: FnMut(Event) -> Option<T> + Send + 'static>(
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
pub(crate) fn until<T>(
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

pub(crate) fn until_label(harness: &mut Harness<'static, App>, label: &str) {
    until(harness, label, |harness| harness.query_all_by_label(label).next().map(|_| ()));
}

pub(crate) fn until_label_contains(harness: &mut Harness<'static, App>, label: &str) {
    until(harness, label, |harness| harness.query_all_by_label_contains(label).next().map(|_| ()));
}

pub(crate) fn shown(harness: &Harness<'static, App>) -> String {
    let said = |node: egui_kittest::Node<'_>| {
        let disabled = if node.accesskit_node().is_disabled() { " (disabled)" } else { "" };
        node.accesskit_node().label().or(node.accesskit_node().value()).map(|label| label + disabled)
    };
    harness.get_all_by(|_| true).filter_map(said).collect::<Vec<_>>().join(" | ")
}

pub(crate) fn button(harness: &mut Harness<'static, App>, name: &str) {
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

pub(crate) fn tab(harness: &mut Harness<'static, App>, name: &str) {
    until(harness, name, |harness| harness.query_by_role_and_label(Role::Tab, name).map(|node| node.click()));
    harness.step();
    harness.step();
    harness.step();
}

pub(crate) fn type_into(harness: &mut Harness<'static, App>, role: Role, name: &str, text: &str) {
    until(harness, name, |harness| harness.query_by_role_and_label(role, name).map(|node| node.focus()));
    harness.step();
    harness.get_by_role_and_label(role, name).type_text(text);
    harness.step();
    harness.step();
}

pub(crate) fn say(harness: &mut Harness<'static, App>, text: &str) {
    type_into(harness, Role::MultilineTextInput, "Write a message", text);
    harness.key_press(Key::Enter);
    harness.step();
    harness.step();
}

pub(crate) fn register(harness: &mut Harness<'static, App>, name: &str) {
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

pub(crate) fn start_chatting(harness: &mut Harness<'static, App>) {
    let go = until(harness, "a way on", |harness| {
        ["Start chatting", "Go on without"]
            .into_iter()
            .find(|name| harness.query_by_role_and_label(Role::Button, name).is_some())
    });
    button(harness, go);
    until_label(harness, "Messages");
}

/// alice, registered and in a conversation with bob.
pub(crate) fn alice_and_bob(town: &Town) -> (Harness<'static, App>, NodeHandle) {
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

/// Opens the account again, behind the lock.
pub(crate) fn unlock(harness: &mut Harness<'static, App>, password: &str) {
    until_label(harness, "Welcome back");
    type_into(harness, Role::PasswordInput, "Password", password);
    button(harness, "Unlock");
    until_label(harness, "Messages");
}

/// Puts other words into a field.
pub(crate) fn retype(harness: &mut Harness<'static, App>, name: &str, text: &str) {
    until(harness, name, |harness| harness.query_by_role_and_label(Role::TextInput, name).map(|node| node.focus()));
    harness.step();
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.step();
    type_into(harness, Role::TextInput, name, text);
}

/// Presses a button wherever it is, also below the fold: as a screen reader does.
pub(crate) fn press(harness: &mut Harness<'static, App>, name: &str) {
    until(harness, name, |harness| {
        let node = harness.query_all_by_role_and_label(Role::Button, name).last()?;
        (!node.accesskit_node().is_disabled()).then(|| node.click_accesskit())
    });
    harness.step();
    harness.step();
}
