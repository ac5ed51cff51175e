//! mDNS, where this machine may use multicast.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use secure_chat_node::network::NetworkEvent;

use crate::testbed::{Peer, config, echoed, numbered};

/// Whether a datagram to the mDNS group comes back to a member of it.
fn multicast_works() -> bool {
    let group = Ipv4Addr::new(224, 0, 0, 251);
    let attempt = || -> std::io::Result<bool> {
        let member = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        member.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)?;
        member.set_read_timeout(Some(Duration::from_secs(1)))?;
        let port = member.local_addr()?.port();
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?.send_to(b"hello", (group, port))?;
        let mut buffer = [0; 16];
        Ok(member.recv_from(&mut buffer).is_ok())
    };
    attempt().unwrap_or(false)
}

#[tokio::test]
async fn two_peers_on_one_network_find_each_other() {
    if !multicast_works() {
        println!("skipped: multicast is not allowed on this machine");
        return;
    }
    let start = |seed| {
        let mut config = config(seed, "/ip4/0.0.0.0/tcp/0");
        config.mdns = true;
        Peer::start(config)
    };
    let (mut alice, bob) = (start(1), start(2));
    let to = bob.id;
    let _echo = bob.echo();
    let addresses = alice.until(|event| match event {
        NetworkEvent::Discovered { peer, addresses } if peer == to => Some(addresses),
        _ => None,
    });
    assert!(!addresses.await.is_empty());
    // What was discovered is remembered: no address is given.
    assert_eq!(alice.handle.request(to, Vec::new(), numbered(1)).await, Ok(echoed(1)));
}
