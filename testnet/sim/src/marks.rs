//! What a run met: every fault, every lie and every rare branch, by name.
//!
//! A campaign that never met one of them has not tested it, so it fails and
//! names what is missing.

use std::collections::BTreeMap;

/// What a mark is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Something that network, disk, process or clock did.
    Fault,
    /// Something that a liar did.
    Lie,
    /// Something rare that the core did in answer.
    Branch,
    /// The same, but too rare to be asked for.
    Luck,
}

macro_rules! marks {
    ($($group:ident $mark:ident $name:literal $what:literal;)*) => {
        /// One kind of thing that a run may meet.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mark { $(#[doc = $what] $mark,)* }

        impl Mark {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$mark,)*];

            /// The name in reports.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$mark => $name,)* }
            }

            /// What it is about.
            #[must_use]
            pub fn group(self) -> Group {
                match self { $(Self::$mark => Group::$group,)* }
            }
        }
    };
}

marks! {
    Fault Lost "lost" "A message was lost by chance.";
    Fault Duplicated "duplicated" "A message came twice.";
    Fault Replayed "replayed" "An old message of the link came again.";
    Fault Straggled "straggled" "A message took many times as long as others.";
    Fault Cut "cut" "A message was lost to a partition.";
    Fault CutOneWay "cut_one_way" "A message was lost on a link that is cut in one direction.";
    Fault CutFlickering "cut_flickering" "A message was lost to a partition that comes and goes.";
    Fault Clogged "clogged" "A message was held up until its node was unclogged.";
    Fault Crash "crashes" "A process was killed.";
    Fault PowerCut "power_cuts" "All processes were killed at once.";
    Fault TailLost "tails_lost" "A crash lost the end of the log.";
    Fault TailTorn "tails_torn" "A crash left half a record at the end of the log.";
    Fault TailHoled "tails_holed" "A crash kept a later part of the log and lost an earlier one.";
    Fault DiskWiped "disks_wiped" "A node came back with an empty disk.";
    Fault DiskOlder "disks_older" "A node came back with the disk of some time before.";
    Fault DownForGood "down_for_good" "A node fell and never came back.";
    Fault ClockSkewed "clocks_skewed" "A clock was off by minutes to years.";
    Fault ClockSetBack "clocks_set_back" "A clock jumped backwards.";
    Fault ClockFrozen "clocks_frozen" "A clock stood still.";
    Fault QuorumLost "quorum_lost" "So many nodes were down for an hour that nothing could be ordered.";
    Fault Pruned "pruned" "A run in which nodes keep only the blocks behind their oldest seal.";
    Fault TightLimits "tight_limits" "A run in which shares and messages are as small as may be.";
    Fault RealSignatures "real_signatures" "A run with real signatures, verified at every door.";
    Lie Silence "silent" "Said nothing at all.";
    Lie Withheld "withholder" "Kept its own events from some nodes.";
    Lie Delayed "delayer" "Sent what it had to say late.";
    Lie ReplayedOld "replayer" "Sent again what it or others said before.";
    Lie SkewedTime "timestamp_skewer" "Put false times into its events.";
    Lie WrongParent "wrong_parent" "Named parents that do not exist or are someone else's.";
    Lie AncientParents "ancient_event" "Built on nothing but the oldest events.";
    Lie Forked "forker" "Ran two histories under one key.";
    Lie Colluded "colluders" "More nodes than f told two stories together.";
    Lie ForkBomb "fork_bomber" "Signed many events for one place in its chain.";
    Lie FalseSummary "sync_liar" "Lied about what it has, and in its answers.";
    Lie Censored "censor" "Left out all that one node says.";
    Lie SignatureWithheld "certificate_withholder" "Signed no block.";
    Lie FalseSignature "chain_liar" "Signed headers that nobody arrived at.";
    Lie Garbage "babbler" "Sent bytes that are no message.";
    Lie FalseRoster "roster_attacker" "Spoke for epochs and rosters that are over, or never were.";
    Lie PoisonedSnapshot "snapshot_poisoner" "Answered with a state that nobody certified.";
    Branch StateTaken "states_taken" "A node took over the state of a seal from others.";
    Branch ForkProven "fork_proven" "A node proved a fork.";
    Branch Forgotten "amnesia" "A node saw that its log is older than what it sent.";
    Branch Orphans "orphans" "Events waited for their parents.";
    Branch MalformedRefused "malformed_refused" "Bytes that are no message were refused at the door.";
    Branch OrphansFull "refused_orphans_full" "A creator's share of waiting events was full.";
    Branch BranchesFull "refused_branches_full" "A forker's share of branches was used up.";
    Branch ParentMismatch "refused_parent_mismatch" "A parent was not what the event said.";
    Branch NotLater "refused_not_later" "An event was not later than its self-parent.";
    Luck OwnFork "refused_own_fork" "An event knew of a fork by its own creator.";
    Luck KnownForker "refused_known_forker" "An event named a parent by a known forker.";
    Branch LayerFull "refused_layer_full" "A creator made too many events in one layer.";
    Branch ClockAhead "refused_clock_ahead" "An event was too far ahead of a node's clock.";
    Branch SignedTwice "refused_signed_twice" "A node signed two headers for one block.";
    Branch SplitDetected "split_detected" "More liars than f split the order, and honest nodes proved it.";
    Branch EpochSealed "epochs_sealed" "An epoch was sealed and the next one began.";
    Branch CoinTossed "coins_tossed" "A node found votes so split that a coin decided one.";
    Branch RosterChanged "rosters_changed" "The members changed.";
    Branch ForkerRemoved "forkers_accused" "Somebody asked to remove a proven forker.";
    Branch DoorRefused "refused_at_the_door" "A message that does not hold in its hearer's epoch was refused.";
    Luck SealStruck "struck_at_a_seal" "A fault began at its layer around a seal, in a directed run.";
    Branch BlocksServed "blocks_served" "A node that was away was sent final blocks.";
    Branch Resumed "resumed" "A federation without quorum went on by itself.";
}

/// How often each mark was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks(Vec<u64>);

impl Default for Marks {
    fn default() -> Self {
        Self(vec![0; Mark::ALL.len()])
    }
}

impl Marks {
    /// Counts one.
    pub fn hit(&mut self, mark: Mark) {
        self.0[mark as usize] += 1;
    }

    /// How often it was met.
    #[must_use]
    pub fn count(&self, mark: Mark) -> u64 {
        self.0[mark as usize]
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count += more;
        }
    }

    /// The marks of these groups, by name.
    #[must_use]
    pub fn by_name(&self, groups: &[Group]) -> BTreeMap<&'static str, u64> {
        let of_groups = |mark: &&Mark| groups.contains(&mark.group());
        let named = |mark: &Mark| (mark.name(), self.count(*mark));
        Mark::ALL.iter().filter(of_groups).map(named).collect()
    }

    /// What was never met.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let unmet = |mark: &&Mark| self.count(**mark) == 0 && mark.group() != Group::Luck;
        Mark::ALL
            .iter()
            .filter(unmet)
            .map(|mark| mark.name())
            .collect()
    }
}
