//! Which seals do the members keep, and which of them do enough keep alike?

use std::collections::{BTreeMap, BTreeSet};

use super::plan::Plan;
use super::{Ground, needed};
use crate::certificate::Certificate;
use crate::id::{Digest, PublicKey, Timestamp};
use crate::snapshot::SealOffer;

/// A question to all members, and their answers.
#[derive(Debug)]
pub(super) struct Poll {
    asked: BTreeSet<PublicKey>,
    until: Timestamp,
    offers: BTreeMap<PublicKey, Vec<SealOffer>>,
}

/// A seal with the digest of its state's manifest: index, header, manifest.
type Kept = (u64, Digest, Digest);

impl Poll {
    pub(super) fn new(asked: BTreeSet<PublicKey>, until: Timestamp) -> Self {
        Self {
            asked,
            until,
            offers: BTreeMap::new(),
        }
    }

    pub(super) fn until(&self) -> Timestamp {
        self.until
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.until || self.asked.is_empty()
    }

    /// The first answer of whoever was asked counts.
    pub(super) fn take(&mut self, from: &PublicKey, offers: Vec<SealOffer>) {
        if self.asked.remove(from) {
            self.offers.insert(*from, offers);
        }
    }

    /// The latest seal beyond the gap for which enough members vouch.
    pub(super) fn choose(&mut self, ground: Ground<'_>, gap: u64) -> Option<Plan> {
        let mut kept: BTreeMap<Kept, BTreeMap<PublicKey, Certificate>> = BTreeMap::new();
        for (peer, offers) in std::mem::take(&mut self.offers) {
            for SealOffer {
                certificate,
                manifest,
            } in offers
            {
                let header = &certificate.header;
                let is_ahead = header.index.saturating_sub(ground.floor) > gap;
                if is_ahead && header.seals() && header.cluster == *ground.cluster {
                    let key = (header.index, header.hash(), manifest);
                    kept.entry(key).or_default().insert(peer, certificate);
                }
            }
        }
        let enough = |vouchers: &BTreeMap<_, _>| vouchers.len() >= needed(ground.roster);
        let latest = kept.into_iter().rev().find(|(_, by)| enough(by));
        let ((_, _, manifest), vouchers) = latest?;
        Plan::new(manifest, vouchers, ground)
    }
}
