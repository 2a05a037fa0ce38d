//! One chain of blocks at all nodes, and nothing final is ever lost.

use std::collections::BTreeMap;

use dctrl_consensus::{BlockHeader, Certificate, Digest};

/// The chain that all nodes must come to.
pub(in crate::full) struct Agreement {
    /// By seat, the headers that the node executed and has not lost again;
    /// empty while it is down.
    chains: Vec<BTreeMap<u64, Digest>>,
    /// Hashes of the final headers.
    finals: BTreeMap<u64, Digest>,
    /// Actions whose receipts somebody was shown as final, and their heights.
    acknowledged: BTreeMap<[u8; 32], u64>,
}

impl Agreement {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            chains: vec![BTreeMap::new(); nodes],
            finals: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
        }
    }

    /// The last final block.
    pub(in crate::full) fn last_final(&self) -> u64 {
        self.finals.last_key_value().map_or(0, |(index, _)| *index)
    }

    pub(in crate::full) fn final_hash(&self, index: u64) -> Option<Digest> {
        self.finals.get(&index).copied()
    }

    pub(in crate::full) fn acknowledged(&mut self, action: [u8; 32], height: u64) {
        self.acknowledged.insert(action, height);
    }

    /// All that somebody was shown as final.
    pub(in crate::full) fn all_acknowledged(&self) -> impl Iterator<Item = (&[u8; 32], &u64)> {
        self.acknowledged.iter()
    }

    /// A node executed a block.
    pub(in crate::full) fn executed(
        &mut self,
        seat: usize,
        header: &BlockHeader,
    ) -> Result<(), String> {
        let (index, hash) = (header.index, header.hash());
        if self.finals.get(&index).is_some_and(|known| *known != hash) {
            return Err(format!("node {seat} executed another block {index}"));
        }
        let chains = self.chains.iter().enumerate();
        let other = chains
            .filter(|(other, _)| *other != seat)
            .find(|(_, chain)| chain.get(&index).is_some_and(|known| *known != hash));
        if let Some((other, _)) = other {
            return Err(format!("nodes {seat} and {other} differ in block {index}"));
        }
        let before = self.chains[seat].last_key_value().map(|(at, _)| *at);
        if before.is_some_and(|before| index != before + 1) {
            return Err(format!(
                "node {seat} executed block {index} behind {before:?}"
            ));
        }
        self.chains[seat].insert(index, hash);
        Ok(())
    }

    /// A node holds a certificate; whether it is the first one of its block.
    pub(in crate::full) fn certified(
        &mut self,
        seat: usize,
        certificate: &Certificate,
    ) -> Result<bool, String> {
        let (index, hash) = (certificate.header.index, certificate.header.hash());
        if self.chains[seat].get(&index) != Some(&hash) {
            return Err(format!(
                "block {index} is final at {seat}, which has another"
            ));
        }
        match self.finals.get(&index) {
            Some(known) if *known == hash => Ok(false),
            Some(_) => Err(format!("two blocks {index} are certified")),
            None => {
                self.finals.insert(index, hash);
                Ok(true)
            }
        }
    }

    pub(in crate::full) fn down(&mut self, seat: usize) {
        self.chains[seat].clear();
    }

    /// A node came back with these headers on its disk.
    pub(in crate::full) fn restarted(&mut self, seat: usize, headers: Vec<BlockHeader>) {
        let headers = headers.iter();
        self.chains[seat] = headers
            .map(|header| (header.index, header.hash()))
            .collect();
    }
}
