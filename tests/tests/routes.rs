//! Two people behind two routers with address translation, and a rendezvous
//! node outside: the message goes through the relay where no hole can be
//! punched, and directly where one can. And two people on one local network
//! with nothing else, who find each other by mDNS. Made of network namespaces,
//! which need Linux, root, `ip` and, for the routers, `nft`; skipped with a
//! clear line elsewhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use secure_chat_tests::PASSWORD;
use secure_chat_tests::process::{ProcessNode, ProcessPeer};
use serde_json::{Value, json};

/// The internet of the test, and the routers' networks behind it.
const NODE_ADDRESS: &str = "198.51.100.1";
/// Where the machines of the local network are.
const LOCAL_NETWORK: &str = "192.168.73.";
const LISTEN: [&str; 2] = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"];

/// How a router translates.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Translation {
    /// Keeps the port where it can: a hole can be punched.
    KeepsPorts,
    /// Another port for each destination: a hole can't be punched.
    RandomPorts,
}

fn run(line: &str) -> Result<(), String> {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap();
    let output = Command::new(program).args(words).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

/// Namespaces with the same beginning of their names, gone when dropped.
struct Internet {
    prefix: String,
}

impl Internet {
    /// Two machines (`a`, `b`) on one switch (`net`): no router, no other network.
    fn one_local_network(tag: &str) -> Result<Self, String> {
        let made = Self { prefix: format!("sc{}{tag}", std::process::id()) };
        let name = |part: &str| made.name(part);
        for part in ["net", "a", "b"] {
            run(&format!("ip netns add {}", name(part)))?;
            run(&format!("ip -n {} link set lo up", name(part)))?;
        }
        let net = name("net");
        run(&format!("ip -n {net} link add br0 type bridge"))?;
        run(&format!("ip -n {net} link set br0 up"))?;
        for (side, address) in [("a", "1"), ("b", "2")] {
            let host = name(side);
            run(&format!("ip -n {net} link add p{side} type veth peer name eth0 netns {host}"))?;
            run(&format!("ip -n {net} link set p{side} master br0 up"))?;
            run(&format!("ip -n {host} addr add {LOCAL_NETWORK}{address}/24 dev eth0"))?;
            run(&format!("ip -n {host} link set eth0 up"))?;
        }
        Ok(made)
    }

    /// Two private networks (`a`, `b`), each behind a router, and `net` between the routers.
    fn make(tag: &str, translation: Translation) -> Result<Self, String> {
        let made = Self { prefix: format!("sc{}{tag}", std::process::id()) };
        let name = |part: &str| made.name(part);
        for part in ["net", "ra", "rb", "a", "b"] {
            run(&format!("ip netns add {}", name(part)))?;
            run(&format!("ip -n {} link set lo up", name(part)))?;
        }
        let net = name("net");
        run(&format!("ip -n {net} link add br0 type bridge"))?;
        run(&format!("ip -n {net} addr add {NODE_ADDRESS}/24 dev br0"))?;
        run(&format!("ip -n {net} link set br0 up"))?;
        for (side, wan, lan) in [("a", "198.51.100.2", "192.168.71"), ("b", "198.51.100.3", "192.168.72")] {
            let (router, host) = (name(&format!("r{side}")), name(side));
            run(&format!("ip -n {net} link add w{side} type veth peer name wan netns {router}"))?;
            run(&format!("ip -n {net} link set w{side} master br0 up"))?;
            run(&format!("ip -n {router} addr add {wan}/24 dev wan"))?;
            run(&format!("ip -n {router} link set wan up"))?;
            run(&format!("ip -n {router} link add lan type veth peer name eth0 netns {host}"))?;
            run(&format!("ip -n {router} addr add {lan}.1/24 dev lan"))?;
            run(&format!("ip -n {router} link set lan up"))?;
            run(&format!("ip -n {host} addr add {lan}.2/24 dev eth0"))?;
            run(&format!("ip -n {host} link set eth0 up"))?;
            run(&format!("ip -n {host} route add default via {lan}.1"))?;
            run(&format!("ip netns exec {router} sysctl -qw net.ipv4.ip_forward=1"))?;
            let random = if translation == Translation::RandomPorts { "fully-random" } else { "" };
            for rule in [
                "add table ip nat".to_owned(),
                "add chain ip nat post { type nat hook postrouting priority 100 ; }".to_owned(),
                format!("add rule ip nat post oifname wan masquerade {random}"),
                "add table ip filter".to_owned(),
                "add chain ip filter forward { type filter hook forward priority 0 ; policy drop ; }".to_owned(),
                "add rule ip filter forward iifname lan accept".to_owned(),
                "add rule ip filter forward ct state established,related accept".to_owned(),
                // A packet that nobody waits for is not answered, as at most routers.
                "add chain ip filter input { type filter hook input priority 0 ; policy accept ; }".to_owned(),
                "add rule ip filter input iifname wan ct state new drop".to_owned(),
            ] {
                run(&format!("ip netns exec {router} nft {rule}"))?;
            }
        }
        Ok(made)
    }

    fn name(&self, part: &str) -> String {
        format!("{}-{part}", self.prefix)
    }

    fn command(&self, part: &str, program: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("ip");
        command.args(["netns", "exec", &self.name(part), program]);
        command
    }

    /// A peer that uses the rendezvous node `home`, or else only what it finds by mDNS.
    fn peer(&self, part: &str, dir: &Path, home: Option<&str>) -> ProcessPeer {
        let mut command = self.command(part, env!("CARGO_BIN_EXE_peer-process"));
        if let Some(home) = home {
            command.args(["--no-mdns", "--rendezvous", home]);
        }
        command.arg("--data-dir").arg(dir.join(part));
        command.args(LISTEN.iter().flat_map(|listen| ["--listen", listen]));
        ProcessPeer::start(command).unwrap()
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        for part in ["a", "b", "ra", "rb", "net"] {
            // One that was not made can't be taken away.
            let _ = run(&format!("ip netns del {}", self.name(part)));
        }
    }
}

async fn create(peer: &mut ProcessPeer, name: &str) {
    peer.call("account.create", json!({"username": name, "password": PASSWORD})).await.unwrap();
}

/// Alice asks Bob, who accepts.
async fn become_contacts(alice: &mut ProcessPeer, bob: &mut ProcessPeer) {
    alice.call("contacts.request", json!({"user": "bob"})).await.unwrap();
    let request = bob.event("contact.request").await.unwrap()["request_id"].clone();
    bob.call("contacts.accept", json!({"request_id": request})).await.unwrap();
    alice.event("contact.accepted").await.unwrap();
}

/// The connections between the two, as `peer` sees them.
async fn connections(peer: &mut ProcessPeer, other: &str) -> Vec<Value> {
    let mut all = peer.call("network.connections", json!({})).await.unwrap();
    let Value::Array(rows) = all["connections"].take() else { panic!("{all}") };
    rows.into_iter().filter(|row| row["username"] == other).collect()
}

/// The routes of all connections between the two, as `peer` sees them.
async fn routes(peer: &mut ProcessPeer, other: &str) -> Vec<String> {
    connections(peer, other).await.iter().map(|row| row["route"].as_str().unwrap().to_owned()).collect()
}

/// Waits until the two are connected over `route` and nothing else.
async fn connected_over(peer: &mut ProcessPeer, other: &str, route: &str) {
    let wait = async {
        loop {
            let routes = routes(peer, other).await;
            if !routes.is_empty() && routes.iter().all(|one| one == route) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(60), wait).await.is_err() {
        panic!("not connected over a {route} route: {:?}", peer.call("network.connections", json!({})).await);
    }
}

async fn says(from: &mut ProcessPeer, to: &mut ProcessPeer, name: &str, text: &str) -> Value {
    from.call("messages.send", json!({"to": name, "text": text})).await.unwrap();
    let heard = to.event("message.received").await.unwrap();
    assert_eq!(heard["text"], text);
    loop {
        let state = from.event("message.state").await.unwrap();
        if state["state"] == "delivered" {
            return heard;
        }
    }
}

async fn message_over(tag: &str, translation: Translation, route: &str) {
    let internet = match Internet::make(tag, translation) {
        Ok(internet) => internet,
        Err(error) => {
            println!("SKIPPED: routes need network namespaces and nft, as root on Linux: {error}");
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let mut command = internet.command("net", env!("CARGO_BIN_EXE_rendezvous-process"));
    command.arg(folder.path().join("node")).arg(format!("/ip4/{NODE_ADDRESS}/tcp/4001"));
    command.arg(format!("/ip4/{NODE_ADDRESS}/udp/4001/quic-v1"));
    let node = ProcessNode::start(command).await.unwrap();
    let mut alice = internet.peer("a", folder.path(), Some(&node.address));
    let mut bob = internet.peer("b", folder.path(), Some(&node.address));
    for (peer, name) in [(&mut alice, "alice"), (&mut bob, "bob")] {
        create(peer, name).await;
        peer.registered().await.unwrap();
    }
    become_contacts(&mut alice, &mut bob).await;
    says(&mut alice, &mut bob, "bob", "the first, over whatever there is").await;
    connected_over(&mut alice, "bob", route).await;
    connected_over(&mut bob, "alice", route).await;
    says(&mut alice, &mut bob, "bob", "there").await;
    says(&mut bob, &mut alice, "alice", "and back").await;
    // The route is what it was before: it carried them.
    assert!(routes(&mut alice, "bob").await.iter().all(|one| one == route));
}

/// Waits until `peer` has met somebody of this name by itself.
async fn meets(peer: &mut ProcessPeer, other: &str) {
    let wait = async {
        loop {
            let online = peer.call("users.online", json!({})).await.unwrap();
            if online["users"].as_array().unwrap().iter().any(|user| user["username"] == other) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(60), wait).await.is_err() {
        panic!("{other} was not found: {:?}", peer.call("network.status", json!({})).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_one_local_network_with_no_rendezvous_node_two_people_find_each_other_and_chat() {
    let network = match Internet::one_local_network("m") {
        Ok(network) => network,
        Err(error) => {
            println!("SKIPPED: mDNS between machines needs network namespaces, as root on Linux: {error}");
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let mut alice = network.peer("a", folder.path(), None);
    let mut bob = network.peer("b", folder.path(), None);
    create(&mut alice, "alice").await;
    create(&mut bob, "bob").await;
    meets(&mut alice, "bob").await;
    become_contacts(&mut alice, &mut bob).await;
    says(&mut alice, &mut bob, "bob", "nobody else is here").await;
    says(&mut bob, &mut alice, "alice", "so I see").await;
    for (peer, other, at) in [(&mut alice, "bob", "2"), (&mut bob, "alice", "1")] {
        let found = connections(peer, other).await;
        assert!(!found.is_empty(), "the messages went over a connection");
        for connection in found {
            assert_eq!(connection["route"], "direct");
            let address = connection["address"].as_str().unwrap();
            assert!(address.starts_with(&format!("/ip4/{LOCAL_NETWORK}{at}/")), "{address}");
        }
        let status = peer.call("network.status", json!({})).await.unwrap();
        assert_eq!(status["rendezvous"], json!([]), "there is no rendezvous node that could have helped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_hole_can_be_punched_the_relay_carries_the_message() {
    message_over("r", Translation::RandomPorts, "relayed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_two_routers_a_hole_is_punched_and_carries_the_message() {
    message_over("p", Translation::KeepsPorts, "direct").await;
}
