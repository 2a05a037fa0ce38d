//! Damaged files of a node, its effects and an agent: each damage is detected and healed,
//! or provably changes nothing, and none is ever taken for good.
//!
//! `cargo xtask campaign corruption --cases N --seed S` runs the long form.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop the test")]

#[allow(dead_code, reason = "the store's own tests use more of it")]
#[path = "../../store/tests/store/chain.rs"]
mod chain;
mod damage;
mod effects;
mod small;
mod store;
mod tally;

use damage::Chance;
use effects::Logs;
use store::Images;
use tally::Tally;

/// Cases that each set of folders serves.
const CASES_PER_IMAGE: u64 = 500;

fn campaign(cases: u64, seed: u64) -> Tally {
    let mut tally = Tally::default();
    let (mut images, mut logs) = (None, None);
    for case in 0..cases {
        if case % CASES_PER_IMAGE == 0 {
            images = Some(Images::new(seed ^ case));
            logs = Some(Logs::new(seed ^ case));
        }
        // Each case can be had alone by its number.
        let mut chance = Chance::new(seed.wrapping_mul(0x0001_0000_0001).wrapping_add(case));
        match chance.below(10) {
            0 => small::disk(&mut chance, &mut tally),
            1 | 2 => small::agent(&mut chance, &mut tally),
            3 | 4 => logs.as_ref().unwrap().case(&mut chance, &mut tally),
            _ => images.as_ref().unwrap().case(&mut chance, &mut tally),
        }
    }
    tally
}

#[test]
fn damage_to_any_file_is_detected_and_healed_or_changes_nothing() {
    let tally = campaign(150, 1);
    assert_eq!(tally.complaints, [""; 0]);
}

#[test]
#[ignore = "a campaign, run by cargo xtask campaign corruption"]
fn corruption_campaign() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    // Where nobody asks for it, it is not run with the other ignored tests.
    let Some(cases) = number("DCTRL_CAMPAIGN_CASES") else {
        return;
    };
    let seed = number("DCTRL_CAMPAIGN_SEED").unwrap_or(1);
    let tally = campaign(cases, seed);
    for complaint in &tally.complaints {
        println!("{complaint}");
    }
    println!("campaign: {}", tally.json(seed));
    assert!(tally.complaints.is_empty());
}
