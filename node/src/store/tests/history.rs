//! Pages and searches against a list in memory.

use proptest::prelude::*;

use super::*;

fn entries_of(list: &[(u64, u64)], conversation: usize, conversations: &[usize]) -> Vec<(u64, u64)> {
    let mut of: Vec<_> =
        list.iter().zip(conversations).filter(|(_, of)| **of == conversation).map(|(at, _)| *at).collect();
    of.sort_unstable();
    of
}

fn places(page: &(Vec<Entry>, bool)) -> (Vec<(u64, u64)>, bool) {
    (page.0.iter().map(|entry| (entry.at, entry.arrival)).collect(), page.1)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_page_is_what_a_sorted_list_says(
        messages in proptest::collection::vec((0..20_u64, 0..2_usize), 0..60),
        limit in 0..9_usize,
        place in (0..20_u64, 0..60_u64),
    ) {
        let device = Device::without_password();
        let vault = device.open().unwrap();
        let mut txn = vault.begin();
        let (mut list, mut conversations) = (Vec::new(), Vec::new());
        for (number, (at, conversation)) in (0..).zip(&messages) {
            let arrival = txn.append(text_from([ALICE, BOB][*conversation], number, *at, "x").as_new()).unwrap();
            list.push((*at, arrival));
            conversations.push(*conversation);
        }
        vault.commit(txn).unwrap();
        let history = vault.history();
        for (number, conversation) in [ALICE, BOB].iter().enumerate() {
            let all = entries_of(&list, number, &conversations);
            let page = |page| places(&history.page(conversation, page, limit).unwrap());
            let before: Vec<_> = all.iter().copied().filter(|at| *at < place).collect();
            let from: Vec<_> = all.iter().copied().filter(|at| *at >= place).collect();
            let after: Vec<_> = all.iter().copied().filter(|at| *at > place).collect();
            let last = |list: &[(u64, u64)], limit: usize| (list[list.len().saturating_sub(limit)..].to_vec(), list.len() > limit);
            let first = |list: &[(u64, u64)], limit: usize| (list[..limit.min(list.len())].to_vec(), list.len() > limit);
            prop_assert_eq!(page(Page::Latest), last(&all, limit));
            prop_assert_eq!(page(Page::Before(place)), last(&before, limit));
            prop_assert_eq!(page(Page::After(place)), first(&after, limit));
            let (mut around, older) = last(&before, limit / 2);
            let (next, newer) = first(&from, limit - around.len());
            around.extend(next);
            prop_assert_eq!(page(Page::Around(place)), (around, older || newer));
            // Page after page, everything comes once.
            let (mut walked, mut more, limit) = (Vec::new(), true, limit.max(1));
            let mut next = Page::Latest;
            while more {
                let (mut got, rest) = places(&history.page(conversation, next, limit).unwrap());
                more = rest;
                next = Page::Before(got.first().copied().unwrap_or_default());
                got.extend(walked);
                walked = got;
            }
            prop_assert_eq!(walked, all);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<usize>, usize),
    Edit(usize, Vec<usize>),
    Remove(usize),
    Index,
    /// Something is written while the index is built on another thread: as if, by holding a transaction open.
    Hold(Vec<usize>),
    Lock,
}

const WORDS: [&str; 14] = [
    "apple",
    "apples",
    "Äpfel",
    "app",
    "banana",
    "東京都",
    "京都",
    "naïve",
    "naive",
    "internationalization",
    "internationalisation",
    "x",
    "Straße",
    "42",
];
const QUERIES: [&str; 16] = [
    "app",
    "apple",
    "apfel",
    "a",
    "banana x",
    "京",
    "京都",
    "東京都",
    "NAIVE",
    "internationali",
    "internationaliz",
    "internationalisat",
    "strass",
    "4",
    "nothing",
    "x apple 京",
];

fn words() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0..WORDS.len(), 0..5)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (words(), 0..2_usize).prop_map(|(words, conversation)| Step::Append(words, conversation)),
        3 => (0..200_usize, words()).prop_map(|(at, words)| Step::Edit(at, words)),
        1 => (0..200_usize).prop_map(Step::Remove),
        4 => Just(Step::Index),
        1 => words().prop_map(Step::Hold),
        1 => Just(Step::Lock),
    ]
}

fn text(words: &[usize]) -> String {
    words.iter().map(|word| WORDS[*word]).collect::<Vec<_>>().join(", ")
}

struct Chat {
    vault: Option<Vault>,
    device: Device,
    /// Arrival, conversation, text.
    naive: Vec<(u64, usize, String)>,
    number: u64,
}

impl Chat {
    fn vault(&self) -> &Vault {
        self.vault.as_ref().unwrap()
    }

    fn take(&mut self, step: &Step) {
        self.number += 1;
        let number = self.number;
        match step {
            Step::Append(words, conversation) => {
                let arrival = append(self.vault(), [ALICE, BOB][*conversation], number, number, &text(words));
                self.naive.push((arrival, *conversation, text(words)));
            }
            Step::Edit(at, words) if !self.naive.is_empty() => {
                let at = at % self.naive.len();
                let mut txn = self.vault().begin();
                txn.update(self.naive[at].0, text(words).as_bytes(), Some(&text(words))).unwrap();
                self.vault().commit(txn).unwrap();
                self.naive[at].2 = text(words);
            }
            Step::Remove(at) if !self.naive.is_empty() => {
                let (arrival, ..) = self.naive.remove(at % self.naive.len());
                let mut txn = self.vault().begin();
                txn.remove(arrival).unwrap();
                self.vault().commit(txn).unwrap();
            }
            Step::Index => while self.vault().index_step().unwrap() {},
            Step::Hold(words) => {
                let Self { vault, naive, .. } = self;
                let vault = vault.as_ref().unwrap();
                let mut held = vault.begin();
                let arrival = held.append(text_from(BOB, number, number, &text(words)).as_new()).unwrap();
                for more in 0..20 {
                    let words = [more % WORDS.len()];
                    let arrival = append(vault, ALICE, 1_000_000 + number * 100 + more as u64, number, &text(&words));
                    naive.push((arrival, 0, text(&words)));
                }
                while vault.index_step().unwrap() {}
                vault.commit(held).unwrap();
                naive.push((arrival, 1, text(words)));
                naive.sort_by_key(|entry| entry.0);
            }
            Step::Lock => {
                self.vault = None;
                self.vault = Some(self.device.open().unwrap());
            }
            _ => {}
        }
    }

    fn check(&self) {
        let history = self.vault().history();
        for query in QUERIES {
            let matches = crate::store::words::Query::new(query).unwrap();
            for conversation in [None, Some(0), Some(1_usize)] {
                let naive: Vec<u64> = self
                    .naive
                    .iter()
                    .rev()
                    .filter(|(_, of, text)| conversation.is_none_or(|this| this == *of) && matches.matches(text))
                    .map(|(arrival, ..)| *arrival)
                    .collect();
                for limit in [3, 1000] {
                    let of = conversation.map(|number| [&ALICE, &BOB][number]);
                    let found = history.search(query, of, limit).unwrap();
                    let found: Vec<u64> = found.iter().map(|entry| entry.arrival).collect();
                    assert_eq!(found, naive[..limit.min(naive.len())], "{query} in {conversation:?}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_what_looking_at_every_message_finds(steps in proptest::collection::vec(step(), 1..160)) {
        let device = Device::without_password();
        let vault = device.open().unwrap();
        let mut chat = Chat { vault: Some(vault), device, naive: Vec::new(), number: 0 };
        for (number, step) in steps.iter().enumerate() {
            chat.take(step);
            if number % 40 == 39 {
                chat.check();
            }
        }
        chat.check();
    }
}

#[test]
fn a_search_goes_on_while_messages_come_in_and_are_indexed() {
    let device = Device::without_password();
    let vault = device.open().unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let indexer = scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                vault.index_step().unwrap();
            }
        });
        for number in 0..200 {
            let arrival = append(&vault, BOB, number, number, "hello there");
            if number % 3 == 0 {
                let mut txn = vault.begin();
                txn.update(arrival, b"changed", Some("changed")).unwrap();
                vault.commit(txn).unwrap();
            }
            if number % 20 == 19 {
                let (hello, changed) =
                    (vault.history().search("hel", None, 999), vault.history().search("chang", None, 999));
                assert_eq!(changed.unwrap().len() as u64, number.div_ceil(3) + u64::from(number % 3 == 0));
                assert_eq!(hello.unwrap().len() as u64, number + 1 - number.div_ceil(3) - u64::from(number % 3 == 0));
            }
        }
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        indexer.join().unwrap();
    });
}

#[test]
fn the_index_keeps_up_by_itself_and_ends_with_the_vault() {
    let (device, vault) = Device::new();
    drop(vault);
    let options = StoreOptions { index_in_background: true, ..device.options() };
    let vault = Vault::unlock(data_dir(), &alice(), PASSWORD, options).unwrap();
    for number in 0..100 {
        append(&vault, BOB, number, number, "hello there");
    }
    while vault.store.writer().state.indexed_upto < 90 {
        std::thread::yield_now();
    }
    assert_eq!(vault.history().search("hel the", Some(&BOB), 999).unwrap().len(), 100);
    let store = Arc::downgrade(&vault.store);
    drop(vault);
    while store.strong_count() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(device.unlock().unwrap().history().total().unwrap(), 100);
}
