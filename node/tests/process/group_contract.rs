//! The rows of `interfaces.md` for what is said in groups: each method takes what its row says, and
//! answers with the fields that it names.

use serde_json::{Value, json};

use crate::contract::{has, in_utc, kind};
use crate::peer::Peer;
use crate::two_peers::acquainted;

/// Alice and Bob, who chat, and a group of Alice's.
struct Two {
    _folders: [tempfile::TempDir; 2],
    alice: Peer,
    bob: Peer,
    group: Value,
}

impl Two {
    fn new() -> Self {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [mut alice, mut bob] = ["alice", "bob"].map({
            let mut paths = folders.iter();
            move |name| Peer::with_account(paths.next().unwrap().path(), name)
        });
        acquainted(&mut alice, &mut bob);
        let asked = json!({"name": "Hikers", "description": "Sundays", "public": false, "join": "approval"});
        let made = alice.result("groups.create", asked);
        has(&made, "group_id");
        Self { _folders: folders, alice, bob, group: made["group_id"].clone() }
    }

    /// Parameters about the group.
    fn about(&self, mut params: Value) -> Value {
        params["group_id"] = self.group.clone();
        params
    }

    fn alice(&mut self, method: &str, params: Value) -> Value {
        let params = self.about(params);
        self.alice.result(method, params)
    }

    fn bob(&mut self, method: &str, params: Value) -> Value {
        let params = self.about(params);
        self.bob.result(method, params)
    }

    /// How the group stands for Alice.
    fn row(&mut self) -> Value {
        self.alice.result("groups.list", json!({}))["groups"][0].clone()
    }

    /// Bob asks by a link, which lets him in at once.
    fn bob_joins(&mut self) {
        let link = self.alice("groups.invite", json!({}))["invite"].clone();
        let joining = self.bob.result("groups.join", json!({"invite": link}));
        assert_eq!(joining, json!({"group_id": self.group, "state": "pending"}));
        has(&self.bob.event("group.joined"), "group_id name role members");
        has(&self.alice.event("group.member_joined"), "group_id username account_id");
    }
}

#[test]
fn what_is_said_in_a_group() {
    let mut two = Two::new();
    two.bob_joins();
    let first = two.alice("groups.send", json!({"text": "to the lake @bob"}))["message_id"].clone();
    let heard = two.bob.event("group.message");
    has(&heard, "message_id conversation from text at state account_id");
    in_utc(&heard["at"]);
    assert_eq!((&heard["message_id"], &heard["conversation"], &heard["from"]), (&first, &two.group, &json!("alice")));
    let second = two.bob("groups.send", json!({"text": "and back", "reply_to": first}))["message_id"].clone();
    assert_eq!(two.alice.event("group.message")["reply_to"], first);
    let unknown = two.about(json!({"text": "what?", "reply_to": "x"}));
    assert_eq!(kind(&two.bob.call("groups.send", unknown)), (&json!("invalid_input"), &json!("reply_to")));

    two.alice.result("messages.edit", json!({"message_id": first, "text": "to the hut"}));
    assert_eq!(two.bob.event("message.edited")["text"], "to the hut");
    two.bob.result("messages.react", json!({"message_id": first, "emoji": "👍"}));
    has(&two.alice.event("message.reaction")["reactions"], "👍");

    let page = two.alice("groups.history", json!({"limit": 1}));
    has(&page, "messages more");
    assert_eq!((&page["messages"][0]["message_id"], &page["more"]), (&second, &json!(true)));
    let before = two.alice("groups.history", json!({"before": second}));
    assert_eq!((&before["messages"][0]["text"], &before["more"]), (&json!("to the hut"), &json!(false)));
    // What was edited away is not found any more.
    for (word, found) in [("hut", 1), ("lake", 0), ("back", 1)] {
        let found_here =
            two.alice.result("messages.search", json!({"query": word, "conversation": two.group, "limit": 5}));
        assert_eq!(found_here["messages"].as_array().unwrap().len(), found, "{word}");
    }
    let elsewhere = two.alice.result("messages.search", json!({"query": "hut", "conversation": "bob"}));
    assert_eq!(elsewhere["messages"], json!([]));

    assert_eq!(two.row()["unread"], 1);
    two.alice("groups.mark_read", json!({"up_to": second}));
    assert_eq!((&two.row()["unread"], &two.row()["mentions"]), (&json!(0), &json!(0)));
    two.alice("groups.mute", json!({"until": "2100-01-01T00:00:00Z"}));
    assert_eq!(two.row()["muted_until"], json!("2100-01-01T00:00:00Z"));
    two.alice("groups.mute", json!({"until": "2020-01-01T00:00:00Z"}));
    assert!(two.row().get("muted_until").is_none());
    two.alice("groups.mute", json!({}));
    in_utc(&two.row()["muted_until"]);
    two.alice.result("messages.delete", json!({"message_id": first, "for_everyone": true}));
    assert_eq!(two.bob.event("message.deleted")["message_id"], first);
}
