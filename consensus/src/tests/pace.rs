//! When events are made, and how many message delays pass until they are
//! ordered.

use super::world::{DELAY, World};
use crate::emit::{Busy, Decision, Emit, View};
use crate::id::Timestamp;
use crate::limits::Pace;
use crate::ordering::{OrderRule, Ordering, Profile};

fn layered(order: OrderRule, unanimity: bool) -> Ordering {
    Ordering {
        profile: Profile::Layered,
        order,
        unanimity,
        ..Ordering::STANDARD
    }
}

fn saturated(members: usize, down: usize, delay: (u64, u64), ordering: &Ordering) -> (u64, u64) {
    let mut world = World::new(members, down, delay, ordering);
    world.saturated = true;
    world.run(200);
    world.delays()
}

const EVEN: (u64, u64) = (DELAY, DELAY);

#[test]
fn received_order_takes_four_message_delays_and_three_with_all_nodes_up() {
    for members in [4, 7, 10] {
        let plain = saturated(members, 0, EVEN, &layered(OrderRule::Received, false));
        let short = saturated(members, 0, EVEN, &layered(OrderRule::Received, true));
        assert_eq!((plain, short), ((400, 400), (300, 300)), "{members} nodes");
    }
}

#[test]
fn direct_order_takes_three_message_delays_and_two_with_all_nodes_up() {
    for members in [4, 7, 10] {
        let plain = saturated(members, 0, EVEN, &layered(OrderRule::Direct, false));
        let short = saturated(members, 0, EVEN, &layered(OrderRule::Direct, true));
        assert_eq!((plain, short), ((300, 300), (200, 200)), "{members} nodes");
    }
}

#[test]
fn a_node_that_is_down_costs_the_shortcut_and_no_more() {
    for (members, down) in [(4, 1), (7, 2)] {
        let received = saturated(members, down, EVEN, &layered(OrderRule::Received, true));
        let direct = saturated(members, down, EVEN, &layered(OrderRule::Direct, true));
        assert_eq!(
            (received.0, direct.0),
            (400, 300),
            "{down} of {members} down"
        );
    }
}

#[test]
fn links_that_vary_by_half_cost_what_the_slowest_of_them_takes() {
    let uneven = (DELAY / 2, DELAY * 3 / 2);
    let mean = |members, down, order, unanimity| {
        saturated(members, down, uneven, &layered(order, unanimity)).0
    };
    assert!(mean(4, 0, OrderRule::Received, false) <= 540);
    assert!(mean(4, 0, OrderRule::Received, true) <= 410);
    assert!(mean(4, 0, OrderRule::Direct, false) <= 410);
    assert!(mean(4, 0, OrderRule::Direct, true) <= 275);
    assert!(mean(4, 1, OrderRule::Received, true) <= 510);
    assert!(mean(7, 0, OrderRule::Received, true) <= 435);
}

#[test]
fn a_transaction_wakes_an_idle_federation_which_then_rests_again() {
    let mut world = World::new(4, 0, EVEN, &layered(OrderRule::Received, true));
    for turn in 1..=3 {
        world.submit(turn);
        world.run(5);
        let ordered: Vec<u64> = world
            .nodes
            .iter()
            .map(|n| n.engine.order.last_index())
            .collect();
        assert_eq!(ordered, [turn as u64; 4], "in five message delays");
        let made = |world: &World| world.nodes.iter().map(|node| node.made).sum::<usize>();
        world.run(10);
        let before = made(&world);
        assert!(
            before <= 4 * 6 * turn,
            "{before} events for {turn} transactions"
        );
        world.run(10_000);
        assert_eq!(made(&world), before, "at rest nobody makes events");
    }
}

#[test]
fn without_a_quorum_nothing_grows() {
    let mut world = World::new(4, 2, EVEN, &layered(OrderRule::Received, true));
    for _ in 0..50 {
        world.submit(0);
        world.submit(1);
        world.run(100);
    }
    let made: Vec<usize> = world.nodes.iter().map(|node| node.made).collect();
    assert!(made.iter().all(|&made| made <= 2), "{made:?} events");
}

#[test]
fn a_node_that_falls_silent_is_waited_for_a_few_times_only() {
    let mut world = World::new(4, 0, EVEN, &layered(OrderRule::Received, true));
    world.saturated = true;
    world.run(50);
    world.down = 1;
    let layer = |world: &World| world.nodes[0].engine.election.first_open();
    let before = layer(&world);
    world.run(30);
    let after = layer(&world);
    assert!(
        after - before >= 20,
        "{} layers in 30 delays",
        after - before
    );
}

const NOTHING: Busy = Busy {
    pool: false,
    unordered: false,
    pending: false,
    uncertified: false,
};

#[test]
fn whoever_has_a_block_that_is_not_final_goes_on_slowly_but_not_without_a_quorum() {
    let pace = Pace::default();
    let mut emit = Emit::new(pace, 4);
    let at = |nanos: u64| Timestamp(1_000_000_000 + nanos);
    emit.created(at(0), None);
    let insisting = View {
        own_layer: Some(3),
        next_layer: 4,
        busy: Busy {
            uncertified: true,
            ..NOTHING
        },
        live_all_here: false,
    };
    let slowly = Decision::WaitUntil(at(pace.busy_summary_interval));
    assert_eq!(emit.decide(&insisting, at(0)), slowly);
    let without_quorum = View {
        next_layer: 3,
        ..insisting
    };
    assert_eq!(emit.decide(&without_quorum, at(0)), Decision::Rest);
}

#[test]
fn whoever_is_behind_jumps_and_whoever_is_ahead_waits_a_little() {
    let pace = Pace::default();
    let mut emit = Emit::new(pace, 4);
    let view = View {
        own_layer: Some(3),
        next_layer: 4,
        busy: Busy {
            pool: true,
            unordered: true,
            pending: true,
            uncertified: false,
        },
        live_all_here: false,
    };
    let at = |nanos: u64| Timestamp(1_000_000_000 + nanos);
    emit.created(at(0), None);
    let due = |view: &View| emit.decide(view, at(0));
    let Decision::WaitUntil(held) = due(&view) else {
        panic!("a live node is waited for")
    };
    let soon = Decision::WaitUntil(at(pace.min_event_interval));
    assert!(held > at(pace.min_event_interval) && held <= at(pace.hold_max));
    let [complete, behind, woken] = [
        View {
            live_all_here: true,
            ..view
        },
        View {
            next_layer: 5,
            ..view
        },
        View {
            next_layer: 3,
            busy: Busy {
                pending: false,
                ..view.busy
            },
            ..view
        },
    ];
    assert_eq!([due(&complete), due(&behind), due(&woken)], [soon; 3]);
    let [idle, quorum_missing] = [
        View {
            busy: NOTHING,
            ..view
        },
        View {
            next_layer: 3,
            ..view
        },
    ];
    assert_eq!([due(&idle), due(&quorum_missing)], [Decision::Rest; 2]);
}

#[test]
fn of_many_tips_those_are_named_that_bring_a_candidate() {
    // In lock step every event of the layer before is a candidate of its own;
    // `look` checks that each event has the layer which all tips give it.
    let mut world = World::new(40, 0, EVEN, &layered(OrderRule::Received, true));
    world.saturated = true;
    world.run(12);
    let engine = &world.nodes[0].engine;
    let parents = |slot: u32| engine.dag.vertex(slot).other_parents.len();
    let last = u32::try_from(engine.dag.len() - 1).unwrap();
    assert_eq!(parents(last), 39);
    assert!(engine.election.first_open() >= 8);
}
