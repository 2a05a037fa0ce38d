//! What the motors did: at most one pulse for an order, whatever died.

use std::collections::BTreeMap;

use dctrl_agent::machine::Pulse;

/// Machine, incarnation and sequence.
type Place = (String, u32, u64);

/// All pulses that were ever given.
#[derive(Default)]
pub(in crate::full) struct Pulses {
    given: BTreeMap<Place, u32>,
    cans: BTreeMap<Place, u64>,
}

impl Pulses {
    /// A line goes high.
    pub(in crate::full) fn given(
        &mut self,
        machine: &str,
        incarnation: u32,
        sequence: u64,
    ) -> Result<(), String> {
        let place = (machine.to_owned(), incarnation, sequence);
        let pulses = self.given.entry(place).or_default();
        *pulses += 1;
        if *pulses > 1 {
            return Err(format!(
                "machine {machine} was pulsed {pulses} times for order {sequence} of its life {incarnation}"
            ));
        }
        Ok(())
    }

    pub(in crate::full) fn was_given(
        &self,
        machine: &str,
        incarnation: u32,
        sequence: u64,
    ) -> bool {
        let place = (machine.to_owned(), incarnation, sequence);
        self.given.contains_key(&place)
    }

    /// So many cans fell, or will.
    pub(in crate::full) fn dropped(&mut self, machine: &str, pulse: &Pulse, cans: u64) {
        let place = (machine.to_owned(), pulse.incarnation, pulse.sequence);
        self.cans.insert(place, cans);
    }

    /// Whether anything fell for an order.
    pub(in crate::full) fn fell(&self, machine: &str, incarnation: u32, sequence: u64) -> bool {
        let place = (machine.to_owned(), incarnation, sequence);
        self.cans.get(&place).is_some_and(|cans| *cans > 0)
    }

    /// How many lines went high.
    pub(in crate::full) fn count(&self) -> u64 {
        self.given.len() as u64
    }
}
