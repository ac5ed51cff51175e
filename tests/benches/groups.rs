//! `cargo bench -p secure-chat-tests --bench groups`: groups of whole peers on
//! loopback TCP, each with its vault, sessions and swarm, all in this one process:
//! so they share its processor, and the figures are of a machine under that load.
//!
//! Names of sections as arguments run only those: `fifty half star rotation`.
//! `MEMBERS` in the environment sets the size of the group of `rotation` (200), `RATE`
//! the messages in a second of the others (50).

mod crowd;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use crowd::{Crowd, Shape, What};
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Members of the ordinary group.
const MEMBERS: usize = 50;
const MESSAGES: usize = 1_000;
/// Messages in a second, unless `RATE` in the environment says otherwise.
const RATE: u32 = 50;
/// The numbers of the messages before which some leave and come back.
const LEAVE: usize = MESSAGES / 4;
const RETURN: usize = MESSAGES * 3 / 5;
/// Members who are away for part of it.
const AWAY: usize = 5;
/// The parts of a run.
const PARTS: [&str; 3] = ["all there", "some away", "some back"];
/// An admin lets in 40 strangers in 10 s: joins are spaced so that none is put off.
const JOIN_EVERY: Duration = Duration::from_millis(270);
/// Only something that is broken takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let rate = std::env::var("RATE").ok().and_then(|text| text.parse().ok()).unwrap_or(RATE);
    if runs("fifty") {
        runtime.block_on(chat(Shape::Mesh, "50 members, any of whom connects to any", rate))?;
    }
    if runs("half") {
        // What of it is the machine's, which all 50 share.
        runtime.block_on(chat(Shape::Mesh, "the same at half the rate", rate / 2))?;
    }
    if runs("star") {
        let title = "50 members in a star: the others reach only the hub, and their mailboxes";
        runtime.block_on(chat(Shape::Star, title, rate))?;
    }
    if runs("rotation") {
        let members = std::env::var("MEMBERS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
        runtime.block_on(rotation(members))?;
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Of some times: the median, the 95th and 99th of a hundred, and the longest, in milliseconds.
fn percentiles(mut times: Vec<Duration>) -> [f64; 4] {
    times.sort_unstable();
    let at = |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1)));
    [50, 95, 99, 100].map(|share| at(share).copied().map(ms).unwrap_or(f64::NAN))
}

/// Lets everybody in, one after the other, each of whom says a word: every member
/// then has everybody's chain. Prints how long that took them.
async fn gather(crowd: &mut Crowd, members: usize) -> anyhow::Result<String> {
    let (group, link) = crowd.found_group().await?;
    let (mut joins, mut words) = (Vec::new(), Vec::new());
    let mut last = Instant::now();
    for who in 1..members {
        tokio::time::sleep_until((last + JOIN_EVERY).into()).await;
        last = Instant::now();
        joins.push(crowd.join(who, &group, &link).await.with_context(|| format!("member {who}"))?);
        let said = crowd.say(who, &group, &format!("word of {who}")).await?;
        let all: BTreeSet<usize> = (0..=who).filter(|other| *other != who).collect();
        let heard = crowd.heard_by(&format!("word of {who}"), &all, PATIENCE).await?;
        words.push(heard.duration_since(said));
    }
    let count = joins.len();
    let [p50, p95, _, most] = percentiles(joins);
    println!(
        "join, request to first message read ({count})    p50 {p50:>8.1}   p95 {p95:>8.1}   most {most:>8.1} ms   (p95 to reach: 1,000)"
    );
    let [p50, p95, _, most] = percentiles(words);
    println!("a newcomer's first word, to the last member  p50 {p50:>8.1}   p95 {p95:>8.1}   most {most:>8.1} ms");
    Ok(group)
}

/// What was said in a run, and who was to hear it at once.
struct Said {
    number: usize,
    at: Instant,
    from: usize,
    online: BTreeSet<usize>,
}

async fn chat(shape: Shape, title: &str, rate: u32) -> anyhow::Result<()> {
    println!("\n{title}");
    let mut crowd = Crowd::start(shape, MEMBERS).await?;
    let group = gather(&mut crowd, MEMBERS).await?;
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    // The hub stays.
    let leaving: BTreeSet<usize> =
        rand::seq::index::sample(&mut rng, MEMBERS - 1, AWAY).iter().map(|n| n + 1).collect();
    let staying: Vec<usize> = (0..MEMBERS).filter(|who| !leaving.contains(who)).collect();
    let mut said: BTreeMap<String, Said> = BTreeMap::new();
    let every = Duration::from_secs(1) / rate;
    let began = Instant::now();
    let (mut sends, mut busy) = (Vec::new(), vec![crowd::processor()]);
    for number in 0..MESSAGES {
        tokio::time::sleep_until((began + every * u32::try_from(number)?).into()).await;
        if number == LEAVE {
            busy.push(crowd::processor());
            crowd.leave(&leaving);
        }
        if number == RETURN {
            busy.push(crowd::processor());
            crowd.come_back(&leaving);
        }
        let from = *staying.choose(&mut rng).context("nobody is there")?;
        let text = format!("{number} {}", "the river and the woods ".repeat(rng.random_range(1..11)));
        let online = staying.iter().copied().filter(|who| *who != from).collect();
        said.insert(text.clone(), Said { number, at: Instant::now(), from, online });
        sends.push(crowd.send(from, &group, text));
    }
    for send in sends {
        send.await??;
    }
    busy.push(crowd::processor());
    println!("{MESSAGES} messages sent in {:.1} s", began.elapsed().as_secs_f64());
    let cores = std::thread::available_parallelism()?;
    for ((part, count), cpu) in PARTS.iter().zip([LEAVE, RETURN - LEAVE, MESSAGES - RETURN]).zip(busy.windows(2)) {
        let [before, after] = cpu else { continue };
        let (spent, lasted) = (*after - *before, count as f64 / f64::from(rate));
        println!(
            "  processor while {part:<16} {:>6.2} of {cores} ({:.1} ms a message)",
            spent.as_secs_f64() / lasted,
            ms(spent) / count as f64
        );
    }
    // Everybody must have everything in the end, those who were away as well.
    let expected: usize = said.values().map(|_| MEMBERS - 1).sum();
    let heard = crowd.collect(expected, &said.keys().cloned().collect(), PATIENCE).await;
    report(&said, &heard, &leaving, expected);
    crowd.stop().await;
    Ok(())
}

fn report(
    said: &BTreeMap<String, Said>,
    heard: &BTreeMap<(String, usize), Instant>,
    leaving: &BTreeSet<usize>,
    expected: usize,
) {
    let (mut last, mut each, mut late) = (Vec::new(), Vec::new(), 0);
    let mut parts = [const { Vec::new() }; 3];
    for (text, message) in said {
        let times: Vec<Duration> = message
            .online
            .iter()
            .filter_map(|who| Some(heard.get(&(text.clone(), *who))?.duration_since(message.at)))
            .collect();
        late += usize::from(times.iter().any(|time| ms(*time) > 100.0));
        last.extend(times.iter().max());
        let part = usize::from(message.number >= LEAVE) + usize::from(message.number >= RETURN);
        parts[part].extend(times.iter().max());
        each.extend(times);
    }
    let [p50, p95, p99, most] = percentiles(last);
    println!(
        "to the last online member         p50 {p50:>8.1}   p95 {p95:>8.1}   p99 {p99:>8.1}   most {most:>8.1} ms   (p99 to reach: 100)"
    );
    for (part, times) in PARTS.into_iter().zip(parts) {
        let [p50, p95, p99, most] = percentiles(times);
        println!("  while {part:<26}  p50 {p50:>8.1}   p95 {p95:>8.1}   p99 {p99:>8.1}   most {most:>8.1} ms");
    }
    let [p50, p95, p99, most] = percentiles(each);
    println!(
        "to each online member             p50 {p50:>8.1}   p95 {p95:>8.1}   p99 {p99:>8.1}   most {most:>8.1} ms"
    );
    println!("messages that took the last member more than 100 ms: {late} of {}", said.len());
    let to = |away: bool| {
        let pairs = |count: fn(&Said) -> usize| said.values().map(count).sum::<usize>();
        let all = if away { pairs(|_| AWAY) } else { pairs(|message| message.online.len()) };
        let got = heard.keys().filter(|(_, who)| leaving.contains(who) == away).count();
        format!("{got} of {all} ({:.2} %)", 100.0 * got as f64 / all as f64)
    };
    println!(
        "delivered to those who stayed: {}; to the {AWAY} who were away for part: {}   (to reach: 100 %)",
        to(false),
        to(true)
    );
    println!(
        "delivered in all: {} of {expected}; authors: {}",
        heard.len(),
        said.values().map(|m| m.from).collect::<BTreeSet<_>>().len()
    );
}

/// One more is taken in: what that costs the others, who have all said something before or not.
async fn addition(crowd: &mut Crowd, group: &str, link: &str, members: usize) -> anyhow::Result<()> {
    let others: BTreeSet<usize> = (1..members).collect();
    let mut before = BTreeMap::new();
    for who in &others {
        before.insert(*who, crowd.traffic(*who).await?);
    }
    let start = Instant::now();
    crowd.join(members, group, link).await?;
    let known = crowd.came_to(members, &others, PATIENCE).await?;
    crowd.agree(group, members + 1, PATIENCE).await?;
    let (mut received, mut sent) = (Vec::new(), Vec::new());
    for (who, (bytes_in, bytes_out)) in before {
        let now = crowd.traffic(who).await?;
        received.push(now.0.saturating_sub(bytes_in));
        sent.push(now.1.saturating_sub(bytes_out));
    }
    println!("adding one to {members}: the last of the others knows after {:>8.0} ms", ms(known - start));
    for (what, mut bytes) in [("received", received), ("sent", sent)] {
        bytes.sort_unstable();
        let (median, most) = (bytes.get(bytes.len() / 2).copied(), bytes.last().copied());
        println!(
            "  bytes that each other member {what:<8}  median {:>7}   most {:>7}   (the greeting's gossip and all else included; one message of a session, by the test `adding_a_member_costs_each_other_member_one_small_message`)",
            median.unwrap_or(0),
            most.unwrap_or(0)
        );
    }
    Ok(())
}

/// One more comes into a group of many; and is removed while the others talk.
async fn rotation(members: usize) -> anyhow::Result<()> {
    println!("\n{members} members: one is added, and removed while others talk");
    let mut crowd = Crowd::start(Shape::Mesh, members + 1).await?;
    let began = Instant::now();
    let (group, link) = crowd.found_group().await?;
    let mut last = Instant::now();
    for who in 1..members {
        tokio::time::sleep_until((last + JOIN_EVERY).into()).await;
        last = Instant::now();
        crowd.join(who, &group, &link).await.with_context(|| format!("member {who}"))?;
    }
    println!("{members} members are in after {:.1} s, {:.0} MiB", began.elapsed().as_secs_f64(), crowd::memory_mib());
    let others: BTreeSet<usize> = (1..members).collect();
    let said = crowd.say(0, &group, "to all").await?;
    let heard = crowd.heard_by("to all", &others, PATIENCE).await?;
    println!("the owner's first word to the last: {:>8.0} ms (its chain goes to each)", ms(heard - said));
    // Some talk on all the while.
    let talkers: Vec<usize> = (1..members).step_by((members / 8).max(1)).collect();
    for who in &talkers {
        crowd.say(*who, &group, &format!("before {who}")).await?;
        let all: BTreeSet<usize> = (0..members).filter(|other| other != who).collect();
        crowd.heard_by(&format!("before {who}"), &all, PATIENCE).await?;
    }
    addition(&mut crowd, &group, &link, members).await?;
    let removed = members;
    let (bytes, start) = (crowd.bytes_sent(0).await?, Instant::now());
    crowd.remove(0, &group, removed).await?;
    let answered = start.elapsed();
    let mut said = BTreeMap::new();
    for who in &talkers {
        said.insert(*who, crowd.say(*who, &group, &format!("meanwhile {who}")).await?);
    }
    let after = crowd.say(0, &group, "without them").await?;
    let heard = crowd.heard_by("without them", &others, PATIENCE).await?;
    println!("removal answered after            {:>8.0} ms", ms(answered));
    println!("first word under the new chain    {:>8.0} ms to the last of {}", ms(heard - after), others.len());
    let mut slowest = Duration::ZERO;
    for (who, at) in said {
        let all: BTreeSet<usize> = (0..members).filter(|other| *other != who).collect();
        slowest = slowest.max(crowd.heard_by(&format!("meanwhile {who}"), &all, PATIENCE).await? - at);
    }
    println!(
        "slowest of {} who talked meanwhile, each with a chain of their own to renew: {:.0} ms",
        talkers.len(),
        ms(slowest)
    );
    crowd.agree(&group, members, PATIENCE).await?;
    println!("rotation: all {members} agree and talk after {:>8.0} ms", ms(start.elapsed()));
    let spent = crowd.bytes_sent(0).await?.saturating_sub(bytes);
    println!("bytes that the one who removed sent: {spent} ({} a member)", spent / members as u64);
    let leaked =
        crowd.heard(removed).iter().filter(|what| matches!(what, What::Text(text) if text == "without them")).count();
    println!("read by the one who was removed: {leaked}   (to reach: 0)");
    crowd.stop().await;
    Ok(())
}
