//! Hundreds of things that people do, between real peers over two rendezvous nodes: they chat, edit,
//! share files, talk in a group, restart, die, are away, and mistype a password. No rule may speak.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use secure_chat_node::api::{ErrorKind, Event, FileState, JoinPolicy, NodeHandle, Role, Status};
use secure_chat_rendezvous::RendezvousNode;
use secure_chat_tests::{PASSWORD, Persona, TestNet, become_contacts};

const NAMES: [&str; 4] = ["alice", "bob", "carol", "dave"];
/// Things that are done.
const ACTIONS: usize = 400;
/// Sessions that somebody starts anew by hand: a person does that when something is wrong.
const RESETS_MAX: u64 = 2;
const SEED: u64 = 20_261_124;
/// Only what never comes waits so long.
const PATIENCE: Duration = Duration::from_secs(90);

/// What was said, and how it reads now; nothing once it was taken back.
struct Said {
    by: usize,
    /// To one person, or to the group.
    to: Option<usize>,
    id: String,
    text: Option<String>,
}

struct Day {
    net: TestNet,
    _nodes: [RendezvousNode; 2],
    people: Vec<Persona>,
    /// Who is away, until which action.
    away: BTreeMap<usize, usize>,
    group: String,
    said: Vec<Said>,
    done: BTreeMap<&'static str, u64>,
    random: StdRng,
}

async fn eventually(what: &str, check: impl AsyncFn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !check().await {
        assert!(Instant::now() < until, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn file_is_offered(to: &NodeHandle, file: &str) -> bool {
    let files = to.files_list(None, None::<String>).await.unwrap().files;
    files.iter().any(|row| row.file_id == file && row.state == FileState::Offered)
}

impl Day {
    async fn begin() -> Self {
        let mut net = TestNet::new().unwrap();
        let nodes = [net.rendezvous().await.unwrap(), net.rendezvous().await.unwrap()];
        let mut people = Vec::new();
        for name in NAMES {
            people.push(net.persona(name).await.unwrap());
        }
        for later in 1..people.len() {
            let (before, rest) = people.split_at_mut(later);
            for earlier in before {
                become_contacts(earlier, &mut rest[0]).await.unwrap();
            }
        }
        let owner = people[0].handle().unwrap().clone();
        let about = Some("Walks on Sundays".to_owned());
        let group = owner.groups_create("Hikers", about, true, JoinPolicy::Open).await.unwrap().group_id;
        for who in &mut people[1..] {
            owner.groups_invite(group.clone(), who.name.clone(), None).await.unwrap();
            who.until(|event| matches!(event, Event::GroupInvited { .. }).then_some(())).await.unwrap();
            who.handle().unwrap().groups_join(group.clone(), None::<String>).await.unwrap();
            who.until(|event| matches!(event, Event::GroupJoined(_)).then_some(())).await.unwrap();
        }
        let (away, said, done) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let random = StdRng::seed_from_u64(SEED);
        Self { net, _nodes: nodes, people, away, group, said, done, random }
    }

    fn count(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    fn handle(&self, who: usize) -> NodeHandle {
        self.people[who].handle().unwrap().clone()
    }

    /// Somebody who is there.
    fn somebody(&mut self) -> usize {
        let here: Vec<usize> = (0..NAMES.len()).filter(|who| !self.away.contains_key(who)).collect();
        here[self.random.random_range(0..here.len())]
    }

    /// Somebody else, there or not.
    fn another(&mut self, than: usize) -> usize {
        (than + self.random.random_range(1..NAMES.len())) % NAMES.len()
    }

    /// Something of somebody's that was not taken back.
    fn own(&mut self, by: usize) -> Option<usize> {
        let own: Vec<usize> =
            (0..self.said.len()).filter(|at| self.said[*at].by == by && self.said[*at].text.is_some()).collect();
        (!own.is_empty()).then(|| own[self.random.random_range(0..own.len())])
    }

    async fn acts(&mut self, number: usize) {
        let who = self.somebody();
        match self.random.random_range(0..100) {
            0..30 => self.says(who, number).await,
            30..44 => self.says_in_the_group(who, number).await,
            44..52 => self.edits(who, number).await,
            52..58 => self.reacts(who).await,
            58..61 => self.takes_back(who).await,
            61..66 => self.reads(who).await,
            66..70 => self.types(who).await,
            70..75 => self.shares(who, number).await,
            75..77 => self.shares_with_the_group(who, number).await,
            77..82 => self.restarts(who).await,
            82..85 => self.goes_away(who, number).await,
            85..89 => self.looks_around(who).await,
            89..93 => self.changes_something(who).await,
            93..96 => self.decides_about_the_group().await,
            96..98 => self.dies(who).await,
            _ => self.starts_a_session_anew(who).await,
        }
    }

    async fn says(&mut self, who: usize, number: usize) {
        let to = self.another(who);
        let text = format!("{} says {number} to {}", NAMES[who], NAMES[to]);
        let id = self.people[who].says(NAMES[to], &text).await.unwrap();
        self.said.push(Said { by: who, to: Some(to), id, text: Some(text) });
        self.count("messages");
    }

    async fn says_in_the_group(&mut self, who: usize, number: usize) {
        let text = format!("{} says {number} to all", NAMES[who]);
        let sent = self.handle(who).groups_send(self.group.clone(), text.clone(), None::<String>).await.unwrap();
        self.said.push(Said { by: who, to: None, id: sent.message_id, text: Some(text) });
        self.count("group messages");
    }

    async fn edits(&mut self, who: usize, number: usize) {
        let Some(at) = self.own(who) else { return };
        let text = format!("{} thinks better of it at {number}", NAMES[who]);
        self.handle(who).messages_edit(self.said[at].id.clone(), text.clone()).await.unwrap();
        self.said[at].text = Some(text);
        self.count("edits");
    }

    async fn takes_back(&mut self, who: usize) {
        let Some(at) = self.own(who) else { return };
        self.handle(who).messages_delete(self.said[at].id.clone(), true).await.unwrap();
        self.said[at].text = None;
        self.count("deletions");
    }

    async fn reacts(&mut self, who: usize) {
        let with = self.another(who);
        let none = || None::<String>;
        let page = self.handle(who).messages_history(NAMES[with], none(), none(), none(), Some(20_u32)).await.unwrap();
        let Some(message) = page.messages.into_iter().rfind(|message| !message.mine && !message.deleted) else {
            return;
        };
        self.handle(who).messages_react(message.message_id, "👍").await.unwrap();
        self.count("reactions");
    }

    async fn reads(&mut self, who: usize) {
        let with = self.another(who);
        let none = || None::<String>;
        let page = self.handle(who).messages_history(NAMES[with], none(), none(), none(), Some(20_u32)).await.unwrap();
        let Some(message) = page.messages.into_iter().rfind(|message| !message.mine) else { return };
        self.handle(who).messages_mark_read(NAMES[with], message.message_id).await.unwrap();
        self.count("conversations read");
    }

    async fn types(&mut self, who: usize) {
        let to = self.another(who);
        self.handle(who).messages_typing(NAMES[to]).await.unwrap();
        self.count("typing");
    }

    fn file(&mut self, number: usize) -> String {
        let path = self.net.folder().join(format!("notes-{number}.txt"));
        let line = format!("Line of the notes {number}. ");
        std::fs::write(&path, line.repeat(self.random.random_range(1..20_000))).unwrap();
        path.display().to_string()
    }

    async fn fetched(&self, by: usize, file: &str) {
        let handle = self.handle(by);
        eventually("a file is offered", async || file_is_offered(&handle, file).await).await;
        handle.files_download(file.to_owned(), None::<String>, None::<bool>).await.unwrap();
    }

    async fn shares(&mut self, who: usize, number: usize) {
        let (to, path, none) = (self.another(who), self.file(number), None::<String>);
        let handle = self.handle(who);
        let shared = handle.files_share(path, NAMES[to].to_owned(), none.clone(), None, none, None::<bool>);
        let file = shared.await.unwrap().file_id;
        if !self.away.contains_key(&to) {
            self.fetched(to, &file).await;
        }
        self.count("files");
    }

    async fn shares_with_the_group(&mut self, who: usize, number: usize) {
        let (path, group, none) = (self.file(number), Some(self.group.clone()), None::<String>);
        let handle = self.handle(who);
        let shared = handle.files_share(path, none.clone(), group, None, none, None::<bool>);
        let file = shared.await.unwrap().file_id;
        let others: Vec<usize> =
            (0..NAMES.len()).filter(|other| *other != who && !self.away.contains_key(other)).collect();
        for other in others {
            self.fetched(other, &file).await;
        }
        self.count("files in the group");
    }

    async fn restarts(&mut self, who: usize) {
        self.people[who].away().await;
        self.people[who].back().await.unwrap();
        self.count("restarts");
    }

    async fn dies(&mut self, who: usize) {
        self.people[who].killed().await;
        self.people[who].back().await.unwrap();
        self.count("deaths");
    }

    /// Two are there at any time.
    async fn goes_away(&mut self, who: usize, number: usize) {
        if self.away.len() + 2 < NAMES.len() {
            self.people[who].away().await;
            self.away.insert(who, number + self.random.random_range(5..40));
            self.count("absences");
        }
    }

    async fn come_back(&mut self, number: usize) {
        let due: Vec<usize> = self.away.iter().filter(|(_, at)| **at <= number).map(|(who, _)| *who).collect();
        for who in due {
            self.away.remove(&who);
            self.people[who].back().await.unwrap();
        }
    }

    async fn looks_around(&mut self, who: usize) {
        let (handle, other) = (self.handle(who), self.another(who));
        assert_eq!(handle.users_find(NAMES[other]).await.unwrap().username, NAMES[other]);
        handle.users_online().await.unwrap();
        handle.contacts_safety_number(NAMES[other]).await.unwrap();
        handle.groups_search("hik").await.unwrap();
        handle.messages_search("says", None, None).await.unwrap();
        self.count("looks around");
    }

    async fn changes_something(&mut self, who: usize) {
        let handle = self.handle(who);
        let status = [Status::Online, Status::Away, Status::Invisible][self.random.random_range(0..3)];
        handle.presence_set(status).await.unwrap();
        handle.settings_set("typing", self.random.random_bool(0.5)).await.unwrap();
        handle.presence_set(Status::Online).await.unwrap();
        self.count("changes of presence and settings");
    }

    async fn decides_about_the_group(&mut self) {
        if self.away.contains_key(&0) {
            return;
        }
        let (owner, whom) = (self.handle(0), self.random.random_range(1..NAMES.len()));
        if self.random.random_bool(0.5) {
            let role = if self.random.random_bool(0.5) { Role::Admin } else { Role::Member };
            owner.groups_set_role(self.group.clone(), NAMES[whom], role).await.unwrap();
        } else {
            let about = format!("Walks on every day but {}", self.random.random_range(0..7));
            owner.groups_update(self.group.clone(), None::<String>, about, None).await.unwrap();
        }
        self.count("decisions about the group");
    }

    async fn starts_a_session_anew(&mut self, who: usize) {
        if self.done.get("sessions started anew").copied().unwrap_or_default() >= RESETS_MAX {
            return;
        }
        let with = self.another(who);
        self.handle(who).security_reset_session(NAMES[with]).await.unwrap();
        self.count("sessions started anew");
    }

    /// Once, one of them mistypes the password.
    async fn mistypes(&mut self, who: usize) {
        let handle = self.handle(who);
        handle.account_lock().await.unwrap();
        let refused = handle.account_unlock("Correct-Horse-8-Battery", None).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::WrongPassword);
        handle.account_unlock(PASSWORD, None).await.unwrap();
        self.count("wrong passwords");
    }

    /// Everything that was said is where it should be, as it reads now.
    async fn all_is_said(&self) {
        for said in &self.said {
            let readers: Vec<usize> = match said.to {
                Some(to) => vec![to],
                None => (0..NAMES.len()).filter(|who| *who != said.by).collect(),
            };
            for reader in readers {
                let handle = self.handle(reader);
                let what = format!("{} reads {:?} of {}", NAMES[reader], said.text, NAMES[said.by]);
                eventually(&what, async || self.reads_as_it_is(&handle, said).await).await;
            }
        }
    }

    async fn reads_as_it_is(&self, reader: &NodeHandle, said: &Said) -> bool {
        let none = || None::<String>;
        let page = match said.to {
            Some(_) => reader.messages_history(NAMES[said.by], none(), none(), said.id.clone(), Some(3_u32)).await,
            None => reader.groups_history(self.group.clone(), none(), Some(500_u32)).await,
        };
        let Ok(page) = page else { return false };
        let found = page.messages.into_iter().find(|message| message.message_id == said.id);
        // What was taken back before it came may be nowhere.
        match &said.text {
            Some(text) => found.is_some_and(|message| message.text == *text),
            None => found.is_none_or(|message| message.deleted),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_people_who_mean_no_harm_raises_no_alert() {
    let mut day = Day::begin().await;
    for number in 0..ACTIONS {
        day.come_back(number).await;
        day.acts(number).await;
        if number == ACTIONS / 2 {
            let who = day.somebody();
            day.mistypes(who).await;
        }
    }
    day.come_back(usize::MAX).await;
    day.all_is_said().await;
    let done: u64 = day.done.values().sum();
    println!("{done} things that {} real peers did over two rendezvous nodes; seed {SEED}", NAMES.len());
    for (what, times) in &day.done {
        println!("{what:<34} {times:>5}");
    }
    let mut raised: BTreeMap<String, u64> = BTreeMap::new();
    for person in &day.people {
        for alert in person.handle().unwrap().security_alerts().await.unwrap().alerts {
            *raised.entry(format!("{}: {}: {}", person.name, alert.kind, alert.detail)).or_default() += alert.count;
        }
    }
    println!("false alerts of all rules: {} (bound: 0)", raised.values().sum::<u64>());
    assert!(raised.is_empty(), "{raised:#?}");
    assert!(done >= 300 && day.done.len() >= 15, "{done} things of {} kinds are no day", day.done.len());
}
