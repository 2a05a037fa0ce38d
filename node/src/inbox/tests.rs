//! Claims about shares and budgets, in counted time.

use super::*;

fn peer(number: u16) -> PublicKey {
    PublicKey([number.to_le_bytes()[0]; 32])
}

/// Which one it is.
fn number(peer: &PublicKey) -> usize {
    usize::from(peer.0[0])
}

fn put(state: &mut State, from: u16, bytes: usize, now: Duration) {
    state.put(peer(from), vec![0; bytes], now);
}

fn take(state: &mut State, now: Duration) -> Vec<Letters> {
    match state.take(now) {
        Taken::Some(letters) => letters,
        Taken::NothingFor(_) => Vec::new(),
    }
}

#[test]
fn a_share_is_bounded_in_messages_and_in_bytes() {
    let mut state = State::default();
    let mut now = Duration::ZERO;
    for _ in 0..10 * PEER_MESSAGES_MAX {
        put(&mut state, 0, 1, now);
    }
    for _ in 0..100 {
        put(&mut state, 1, 1 << 20, now);
    }
    let mut messages = [0; 10];
    let mut bytes = [0; 10];
    for _ in 0..1000 {
        now += Duration::from_millis(10);
        for letters in take(&mut state, now) {
            messages[number(&letters.from)] += letters.messages.len();
            bytes[number(&letters.from)] += letters.messages.iter().map(Vec::len).sum::<usize>();
            state.done(letters.from, Cost::default(), now);
        }
    }
    assert_eq!(messages[0], PEER_MESSAGES_MAX);
    assert_eq!(bytes[1], PEER_BYTES_MAX);
}

#[test]
fn nothing_more_of_a_peer_is_taken_while_some_is_out_and_the_order_stays() {
    let mut state = State::default();
    let now = Duration::ZERO;
    for size in 1..=40 {
        put(&mut state, 0, size, now);
    }
    let mut sizes = Vec::new();
    while let [letters] = &take(&mut state, now)[..] {
        assert!(letters.messages.len() <= TAKEN_MESSAGES_MAX);
        sizes.extend(letters.messages.iter().map(Vec::len));
        assert!(take(&mut state, now).is_empty(), "the rest waits");
        put(&mut state, 1, 7, now);
        let other = take(&mut state, now);
        assert_eq!(other.len(), 1, "another peer does not");
        state.done(peer(1), Cost::default(), now);
        state.done(peer(0), Cost::default(), now);
    }
    assert_eq!(sizes, (1..=40).collect::<Vec<_>>());
}

#[test]
fn a_peer_that_spent_its_budget_waits_and_says_how_long() {
    let inbox = Inbox::new();
    inbox.put(peer(0), vec![1]);
    let Taken::Some(letters) = inbox.take() else {
        panic!("something waits")
    };
    assert_eq!(letters.len(), 1);
    assert_eq!(inbox.take(), Taken::NothingFor(None));
    inbox.put(peer(0), vec![2]);
    let begun = Instant::now();
    assert!(inbox.done(peer(0), Cost::bad_signature()), "more waits");
    let Taken::NothingFor(Some(patience)) = inbox.take() else {
        panic!("it pays first")
    };
    // What has passed since then was paid.
    let debt = patience + begun.elapsed();
    assert!(debt > Duration::from_millis(500), "{debt:?}");
}

#[test]
fn peers_come_and_go_and_their_shares_are_bounded_in_number() {
    let key = |number: usize| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        PublicKey(key)
    };
    let mut state = State::default();
    for number in 0..10 * PEERS_MAX {
        assert!(state.put(key(number), vec![1], Duration::ZERO));
        for letters in take(&mut state, Duration::ZERO) {
            state.done(letters.from, Cost::default(), Duration::ZERO);
        }
    }
    assert_eq!(state.shares.len(), PEERS_MAX);
    for number in 0..PEERS_MAX {
        state.put(key(number), vec![1], Duration::ZERO);
    }
    let stranger = key(usize::MAX);
    assert!(
        !state.put(stranger, vec![1], Duration::ZERO),
        "all are in use"
    );
}

#[test]
fn messages_wait_a_moment_for_those_of_peers_that_were_just_heard() {
    let mut state = State::default();
    let now = Duration::from_secs(1);
    put(&mut state, 0, 100, now);
    assert_eq!(state.gathers(now), None, "nobody else was ever heard");
    take(&mut state, now);
    state.done(peer(0), Cost::default(), now);
    put(&mut state, 1, 100, now);
    assert_eq!(state.gathers(now), Some(GATHER), "the other may follow");
    assert_eq!(state.gathers(now + GATHER), None, "not for long");
    put(&mut state, 0, 100, now);
    assert_eq!(state.gathers(now), None, "all are there");
    take(&mut state, now);
    put(&mut state, 1, 100, now + RECENT);
    assert_eq!(state.gathers(now + RECENT), None, "the other is silent");
    put(&mut state, 2, GATHER_BYTES_MAX, now);
    assert_eq!(state.gathers(now), None, "a batch by itself");
}

/// Between two messages of an honest node.
const HONEST_EVERY: Duration = Duration::from_micros(500);
/// Bytes of every message.
const LENGTH: usize = 600;
/// The flooders' bursts are over by then.
const BEGIN: Duration = Duration::from_secs(1);
const END: Duration = Duration::from_secs(6);

/// One thread checks what nodes 0 and 1 send, in counted time. In a flood,
/// node 2 sends messages that hold and node 3 bad signatures, as many as fit
/// into their shares. Returns how long each honest message took, sorted.
fn honest_delays(flood: bool) -> Vec<Duration> {
    let mut state = State::default();
    let mut now = Duration::ZERO;
    let mut next = [Duration::ZERO, HONEST_EVERY / 2];
    let mut sent = [VecDeque::new(), VecDeque::new()];
    let mut delays = Vec::new();
    while now < END {
        for (node, next) in (0_u16..).zip(&mut next) {
            while *next <= now {
                put(&mut state, node, LENGTH, *next);
                sent[usize::from(node)].push_back(*next);
                *next += HONEST_EVERY;
            }
        }
        let room = |state: &State| {
            let share = state.shares.get(&peer(3));
            share.is_none_or(|share| share.messages.len() < PEER_MESSAGES_MAX)
        };
        while flood && room(&state) {
            put(&mut state, 2, LENGTH, now);
            put(&mut state, 3, LENGTH, now);
        }
        let letters = take(&mut state, now);
        now += letters.iter().map(work).sum::<Duration>();
        for of in &letters {
            let mut cost = Cost::signatures(of.messages.len());
            if of.from == peer(3) {
                cost += Cost::bad_signature();
            }
            state.done(of.from, cost, now);
            if let Some(sent) = sent.get_mut(number(&of.from)) {
                delays.extend(sent.drain(..of.messages.len()).map(|at| (at, now - at)));
            }
        }
        if letters.is_empty() {
            now += Duration::from_micros(1);
        }
    }
    delays.retain(|(at, _)| *at >= BEGIN);
    let mut delays: Vec<Duration> = delays.into_iter().map(|(_, delay)| delay).collect();
    delays.sort_unstable();
    delays
}

/// How long a thread is busy with these: to find a bad signature takes some
/// halving.
fn work(letters: &Letters) -> Duration {
    let signatures = if letters.from == peer(3) { 3 } else { 1 };
    let mut each = Cost::reading(LENGTH);
    each += Cost::signatures(signatures);
    each.time() * u32::try_from(letters.messages.len()).unwrap_or(u32::MAX)
}

#[test]
fn peers_that_flood_with_junk_and_with_bad_signatures_delay_the_others_less_than_twice() {
    let p99 = |delays: &[Duration]| delays[delays.len() * 99 / 100];
    let (calm, flooded) = (honest_delays(false), honest_delays(true));
    assert!(calm.len() > 19_000, "{} messages", calm.len());
    assert!(calm.len().abs_diff(flooded.len()) < 10);
    assert!(
        p99(&flooded) < 2 * p99(&calm),
        "p99 {:?} against {:?}",
        p99(&flooded),
        p99(&calm)
    );
}
