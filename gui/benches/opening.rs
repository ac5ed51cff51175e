//! How long a conversation takes to open whose vault holds a million messages,
//! and how much memory a hundred thousand of them take once they were scrolled
//! through. Run: `cargo bench -p secure-chat --bench opening` (`-- --messages N` for fewer).
//!
//! The vault is a real one, on the real disk, filled by a child process; the
//! window is the whole window over a real node, without a graphics card.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measurement: a failure ends it")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use egui::{Modifiers, Role};
use egui_kittest::{
    Harness,
    kittest::{NodeT as _, Queryable as _},
};
use secure_chat_node::api::Event;
use secure_chat_node::config::NodeConfig;
use secure_chat_node::engine::Node;
use secure_chat_node::store::{NewEntry, Page, StoreOptions, Vault, list_accounts};
use secure_chat_protocol::vault::Argon2Params;
use secure_chat_window::app::App;
use secure_chat_window::bridge::Bridge;
use secure_chat_window::theme;
use tokio::runtime::Runtime;

const PASSWORD: &str = "Violet-anchor-misty-7-quilt";
const MESSAGES: u64 = 1_000_000;
/// Messages scrolled through.
const SCROLLED: usize = 100_000;
/// Messages written into the vault at once.
const BATCH: u64 = 20_000;
/// Set for the child that fills the vault.
const FILL: &str = "SECURE_CHAT_BENCH_FILL";
/// Different messages, told over and over.
const TEMPLATES: usize = 12;
/// From the click to the frame with the messages, in milliseconds.
const OPEN_MS: f64 = 100.0;
/// Window and node together, in MB.
const MEMORY_MB: f64 = 200.0;
/// Only a failure takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

fn config(dir: &Path, name: &str) -> NodeConfig {
    NodeConfig {
        listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
        mdns: false,
        kdf: Argon2Params::LEAST,
        ..NodeConfig::new(dir.join(name))
    }
}

/// Alice and bob have talked: a contact, and messages as the engine keeps them.
async fn talk(dir: &Path) {
    let alice = Node::start(config(dir, "alice")).unwrap();
    let bob = Node::start(config(dir, "bob")).unwrap();
    let (mut to_alice, mut to_bob) = (alice.events(), bob.events());
    alice.account_create("alice", PASSWORD).await.unwrap();
    bob.account_create("bob", PASSWORD).await.unwrap();
    let invite = alice.account_invite().await.unwrap().invite;
    bob.contacts_request(None, Some(invite), None).await.unwrap();
    let request_id = loop {
        if let Event::ContactRequest(request) = to_alice.next().await.unwrap().event {
            break request.request_id;
        }
    };
    alice.contacts_accept(request_id).await.unwrap();
    while !matches!(to_bob.next().await.unwrap().event, Event::ContactAccepted(_)) {}
    for number in 0..TEMPLATES {
        let text = format!("{} a message as people write them", "word ".repeat(1 + number * number % 40));
        bob.messages_send("alice", text, None).await.unwrap();
    }
    for _ in 0..TEMPLATES {
        while !matches!(to_alice.next().await.unwrap().event, Event::MessageReceived(_)) {}
    }
    bob.shutdown().await;
    alice.shutdown().await;
}

/// Writes the same messages again and again, each with a name and a time of its own.
fn fill(dir: &Path, messages: u64) {
    Runtime::new().unwrap().block_on(talk(dir));
    let data_dir = dir.join("alice");
    let account = list_accounts(&data_dir).unwrap().remove(0);
    let vault = Vault::unlock(&data_dir, &account, PASSWORD, StoreOptions::default()).unwrap();
    let bob = list_accounts(&dir.join("bob")).unwrap().remove(0).account_id.0;
    let (told, _) = vault.history().page(&bob, Page::Latest, TEMPLATES).unwrap();
    let oldest = told.first().unwrap().at - messages - 1;
    for from in (0..messages).step_by(usize::try_from(BATCH).unwrap()) {
        let mut txn = vault.begin();
        for number in from..(from + BATCH).min(messages) {
            let template = &told[usize::try_from(number).unwrap() % told.len()];
            let mut message_id = [0; 16];
            message_id[..8].copy_from_slice(&(number + 1).to_be_bytes());
            let (conversation, author) = (template.conversation, template.author);
            let at = oldest + number;
            txn.append(NewEntry { conversation, author, message_id, at, body: &template.body, text: None }).unwrap();
        }
        vault.commit(txn).unwrap();
    }
}

fn until(harness: &mut Harness<'static, App>, what: &str, mut seen: impl FnMut(&Harness<'static, App>) -> bool) {
    let start = Instant::now();
    loop {
        harness.step();
        if seen(harness) {
            return;
        }
        let labels = || harness.get_all_by(|_| true).filter_map(|node| node.accesskit_node().label());
        assert!(start.elapsed() < PATIENCE, "{what} did not come: {:?}", labels().collect::<Vec<_>>());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn window(runtime: &Runtime, dir: &Path) -> Harness<'static, App> {
    let (config, handle) = (config(dir, "alice"), runtime.handle().clone());
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

fn unlock(harness: &mut Harness<'static, App>) {
    // Until the accounts are listed, it is the form for a new one that is shown.
    until(harness, "the welcome", |harness| harness.query_all_by_label("Welcome back").next().is_some());
    harness.get_by_role_and_label(Role::PasswordInput, "Password").focus();
    harness.step();
    harness.get_by_role_and_label(Role::PasswordInput, "Password").type_text(PASSWORD);
    harness.step();
    until(harness, "the way in", |harness| {
        let button = harness.query_by_role_and_label(Role::Button, "Unlock");
        button.is_some_and(|button| !button.accesskit_node().is_disabled())
    });
    harness.get_by_role_and_label(Role::Button, "Unlock").click();
    until(harness, "bob in the list", |harness| harness.query_all_by_role(Role::ListBoxOption).next().is_some());
}

/// From the click on bob to the frame in which his messages stand.
fn open(harness: &mut Harness<'static, App>) -> Duration {
    for _ in 0..8 {
        harness.step();
    }
    let start = Instant::now();
    harness.query_all_by_role(Role::ListBoxOption).next().unwrap().click();
    loop {
        harness.step();
        if harness.query_all_by_role(Role::ListItem).next().is_some() {
            return start.elapsed();
        }
        assert!(start.elapsed() < PATIENCE, "the conversation did not open");
    }
}

/// Reads upwards until so many messages are loaded; says how many are.
fn scroll(harness: &mut Harness<'static, App>, messages: usize) -> usize {
    harness.hover_at(egui::pos2(800.0, 400.0));
    harness.step();
    let start = Instant::now();
    while harness.state().loaded_messages() < messages && start.elapsed() < PATIENCE {
        harness.event(egui::Event::MouseWheel {
            unit: egui::MouseWheelUnit::Point,
            delta: egui::vec2(0.0, 40_000.0),
            phase: egui::TouchPhase::Move,
            source: egui::MouseWheelSource::Wheel,
            modifiers: Modifiers::NONE,
        });
        harness.step();
    }
    harness.state().loaded_messages()
}

fn memory_mb(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(f64::NAN) * 1024.0 / 1e6
}

fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "MISSED" }
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let mut arguments = std::env::args().skip_while(|argument| argument != "--messages").skip(1);
    let messages: u64 = arguments.next().and_then(|number| number.parse().ok()).unwrap_or(MESSAGES);
    if let Some(dir) = std::env::var_os(FILL) {
        return fill(Path::new(&dir), messages);
    }
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.env(FILL, folder.path()).args(["--messages", &messages.to_string()]);
    assert!(child.status().unwrap().success());
    println!("a vault with {messages} messages, written in {:.1} s", started.elapsed().as_secs_f64());
    let runtime = Runtime::new().unwrap();
    let mut took = Vec::new();
    for _ in 0..5 {
        let mut harness = window(&runtime, folder.path());
        unlock(&mut harness);
        took.push(open(&mut harness).as_secs_f64() * 1e3);
        harness.state_mut().stop();
    }
    took.sort_by(f64::total_cmp);
    let (median, slowest) = (took[2], took[4]);
    println!(
        "a click opens the conversation: median {median:.1} ms, slowest {slowest:.1} ms   limit {OPEN_MS} ms: {}",
        met(slowest < OPEN_MS)
    );
    let mut harness = window(&runtime, folder.path());
    unlock(&mut harness);
    open(&mut harness);
    let held = memory_mb("VmRSS:");
    println!(
        "memory of window and node, conversation open: {held:.0} MB   limit {MEMORY_MB} MB: {}",
        met(held < MEMORY_MB)
    );
    let loaded = scroll(&mut harness, SCROLLED);
    let (held, most) = (memory_mb("VmRSS:"), memory_mb("VmHWM:"));
    println!(
        "with {loaded} messages scrolled through: {held:.0} MB, at most {most:.0} MB   limit {MEMORY_MB} MB: {}",
        met(most < MEMORY_MB)
    );
    harness.state_mut().stop();
}
