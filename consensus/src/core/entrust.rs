//! Transactions of members that make no events, carried by one that does.
//!
//! A node whose key speaks from another disk than the roster says may not make
//! events, or it could fork. What it has to say about that must be ordered all
//! the same, so it asks the members one after the other to submit it. Each
//! answers one such request in a while, and judges the transaction itself.

use bytes::Bytes;

use super::Core;
use crate::id::{NodeIndex, PublicKey};
use crate::interface::{Output, Recipient, RefusalReason};
use crate::limits::ENTRUSTED_BYTES_MAX;
use crate::message::Message;

impl Core {
    /// Asks the next member to submit the transaction.
    pub(super) fn entrust(&mut self, transaction: Bytes) {
        if transaction.len() > ENTRUSTED_BYTES_MAX {
            self.refuse(self.key, RefusalReason::TransactionTooLarge);
            return;
        }
        let members = self.epoch.roster().members.iter();
        let others: Vec<PublicKey> = members
            .map(|member| member.key)
            .filter(|key| *key != self.key)
            .collect();
        self.entrust_turn = self.entrust_turn.wrapping_add(1);
        match others.get(self.entrust_turn % others.len().max(1)) {
            Some(&to) => self.send(Recipient::One(to), &Message::Entrusted(transaction)),
            None => self.refuse(self.key, RefusalReason::Stopped),
        }
    }

    /// A member asks. Too many requests are ignored, as if they were lost.
    pub(super) fn entrusted(&mut self, from: NodeIndex, transaction: Bytes) {
        let Some(key) = self.epoch.roster().key(from).copied() else {
            return;
        };
        let again_at = &mut self.epoch.entrusts_at[from.position()];
        if self.now < *again_at {
            return;
        }
        *again_at = self.now.after(self.config.pace.idle_summary_interval);
        match self.admits(transaction.len()) {
            Ok(()) => self.out.push(Output::Entrusted {
                from: key,
                transaction,
            }),
            Err(reason) => self.refuse(key, reason),
        }
    }
}
