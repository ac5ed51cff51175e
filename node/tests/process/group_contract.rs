//! The rows of `interfaces.md` for groups: each method takes what its row says, and answers with
//! the fields that it names.

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
fn how_a_group_is_made_shown_and_joined() {
    let mut two = Two::new();
    let nameless = two.alice.call("groups.create", json!({"name": " ", "public": false, "join": "open"}));
    assert_eq!(kind(&nameless), (&json!("invalid_input"), &json!("name")));
    let row = two.row();
    has(&row, "group_id name description state role members join public unread mentions view requests");
    assert_eq!((&row["role"], &row["state"], &row["join"]), (&json!("owner"), &json!("joined"), &json!("approval")));
    assert_eq!(kind(&two.alice.call("groups.search", json!({"query": ""}))).0, "not_connected");

    // A contact is asked, and accepts.
    assert_eq!(two.alice("groups.invite", json!({"user": "bob"})), json!({}));
    has(&two.bob.event("group.invited"), "group_id name username account_id");
    assert_eq!(two.bob("groups.join", json!({}))["state"], "pending");
    has(&two.bob.event("group.joined"), "group_id name role members");
    assert_eq!(two.alice.event("group.member_joined")["username"], "bob");
    let again = two.about(json!({}));
    assert_eq!(kind(&two.bob.call("groups.join", again)).0, "conflict");

    let members = two.alice("groups.members", json!({}));
    has(&members, "members banned");
    has(&members["members"][1], "username account_id peer_id fingerprint role online me");
    assert_eq!((&members["members"][0]["role"], &members["members"][1]["role"]), (&json!("owner"), &json!("member")));

    // Links end when they are revoked.
    let link = two.alice("groups.invite", json!({"expires": "2100-01-01T00:00:00Z"}))["invite"].clone();
    assert!(link.as_str().unwrap().starts_with("secure-chat-group:"), "{link}");
    let open = two.alice("groups.invites", json!({}));
    has(&open["invites"][0], "invite_id invite by expires");
    // Shown again, it says where its maker listens by then.
    assert!(open["invites"][0]["invite"].as_str().unwrap().starts_with("secure-chat-group:"));
    two.alice("groups.revoke_invite", json!({"invite": open["invites"][0]["invite_id"]}));
    assert_eq!(two.alice("groups.invites", json!({})), json!({"invites": []}));

    assert_eq!(two.alice("groups.requests", json!({})), json!({"requests": []}));
    for method in ["groups.approve", "groups.reject"] {
        let nobody = two.about(json!({"user": "carol"}));
        assert_eq!(kind(&two.alice.call(method, nobody)).0, "not_found");
    }
    assert_eq!(kind(&two.alice.call("groups.members", json!({"group_id": "00"}))).0, "not_found");
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

#[test]
fn what_an_owner_may_do_and_how_it_ends() {
    let mut two = Two::new();
    two.bob_joins();
    two.alice("groups.update", json!({"name": "Climbers", "description": "Mondays", "join": "invite"}));
    let row = two.row();
    assert_eq!(
        (&row["name"], &row["description"], &row["join"]),
        (&json!("Climbers"), &json!("Mondays"), &json!("invite"))
    );
    for (method, params) in [
        ("groups.update", json!({"name": "Mine"})),
        ("groups.ban", json!({"user": "alice"})),
        ("groups.set_role", json!({"user": "bob", "role": "owner"})),
    ] {
        let params = two.about(params);
        assert_eq!(kind(&two.bob.call(method, params)).0, "not_allowed", "{method}");
    }
    two.alice("groups.set_role", json!({"user": "bob", "role": "admin"}));
    let changed = two.bob.event("group.role_changed");
    has(&changed, "group_id username account_id role");
    assert_eq!((&changed["username"], &changed["role"]), (&json!("bob"), &json!("admin")));

    two.alice("groups.ban", json!({"user": "bob"}));
    has(&two.bob.event("group.left"), "group_id reason");
    let members = two.alice("groups.members", json!({}));
    assert_eq!(members["members"].as_array().unwrap().len(), 1);
    has(&members["banned"][0], "username account_id");
    assert_eq!(members["banned"][0]["username"], "bob");
    // Whoever is banned is not let in by a link, and is once that is over.
    let link = two.alice("groups.invite", json!({}))["invite"].clone();
    two.bob.result("groups.join", json!({"invite": link}));
    assert_eq!(two.bob.event("group.left")["reason"], "You are banned from this group.");
    two.alice("groups.unban", json!({"user": "bob"}));
    let over = two.about(json!({"user": "bob"}));
    assert_eq!(kind(&two.alice.call("groups.unban", over)).0, "not_found");
    assert_eq!(two.alice("groups.members", json!({}))["banned"], json!([]));
    two.bob_joins();
    two.alice("groups.remove_member", json!({"user": "bob"}));
    assert_eq!(two.bob.event("group.left")["reason"], "You were removed.");
    two.bob_joins();

    // The last owner stays until somebody else is one.
    let last = two.about(json!({}));
    assert_eq!(kind(&two.alice.call("groups.leave", last)).0, "not_allowed");
    two.alice("groups.transfer", json!({"user": "bob"}));
    let there = two.about(json!({}));
    assert_eq!(kind(&two.alice.call("groups.delete_local", there)).0, "not_allowed");
    two.alice("groups.leave", json!({}));
    has(&two.bob.event("group.member_left"), "group_id username account_id");
    two.alice("groups.delete_local", json!({}));
    assert_eq!(two.alice.result("groups.list", json!({})), json!({"groups": []}));
}
