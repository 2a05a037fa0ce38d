//! A small federation without faults of its own, for experiments: real cores
//! with perfect disks, and links that the experiment decides on.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use bytes::Bytes;
use dctrl_consensus::{Block, Message, Ordering};

use crate::clock;
use crate::engine::{Seat, Setting, Stimulus};
use crate::puppet::Puppet;

/// What an experiment decides and watches. Processes are counted on their own:
/// two of them may sit on one seat.
pub(crate) trait Experiment {
    /// Nanoseconds that a message takes from one process to another; `None`
    /// where it is lost.
    fn delay(&mut self, from: usize, to: usize, now: u64) -> Option<u64>;
    /// What a process hears of a message.
    fn heard(&self, _process: usize, message: &Rc<Message>) -> Message {
        Message::clone(message)
    }
    /// A process sends.
    fn sent(&mut self, _process: usize, _now: u64, _message: &Message) {}
    /// A process executed a block.
    fn executed(&mut self, _process: usize, _now: u64, _block: &Block) {}
}

enum Happening {
    Hear {
        from: usize,
        to: usize,
        message: Rc<Message>,
    },
    Wake {
        process: usize,
    },
    Submit {
        process: usize,
        bytes: Bytes,
    },
}

struct Process {
    seat: Seat,
    puppet: Puppet,
    up: bool,
}

/// The federation and its time.
pub(crate) struct Lab<E> {
    setting: Setting,
    processes: Vec<Process>,
    /// Time and number, and where the happening stands.
    due: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: std::collections::BTreeMap<u64, Happening>,
    planned: u64,
    pub(crate) now: u64,
    pub(crate) experiment: E,
}

impl<E: Experiment> Lab<E> {
    /// A process on each of these seats, of a federation of so many nodes.
    /// `down` says of each process whether it never starts.
    pub(crate) fn new(
        nodes: usize,
        seats: &[Seat],
        down: &[bool],
        ordering: Ordering,
        experiment: E,
    ) -> Self {
        let setting = Setting::new(nodes, ordering, false);
        let processes = seats.iter().zip(down).map(|(seat, down)| Process {
            seat: *seat,
            puppet: Puppet::new(&setting, *seat),
            up: !*down,
        });
        let processes = processes.collect();
        let mut lab = Self {
            setting,
            processes,
            due: BinaryHeap::new(),
            happenings: std::collections::BTreeMap::new(),
            planned: 0,
            now: 0,
            experiment,
        };
        for process in 0..seats.len() {
            lab.plan(0, Happening::Wake { process });
        }
        lab
    }

    pub(crate) fn puppet(&self, process: usize) -> &Puppet {
        &self.processes[process].puppet
    }

    /// A user submits at this time.
    pub(crate) fn submit(&mut self, at: u64, process: usize, bytes: Bytes) {
        self.plan(at, Happening::Submit { process, bytes });
    }

    fn plan(&mut self, at: u64, happening: Happening) {
        self.planned += 1;
        self.due.push(Reverse((at.max(self.now), self.planned)));
        self.happenings.insert(self.planned, happening);
    }

    /// Runs up to this time.
    pub(crate) fn run_until(&mut self, end: u64) {
        while let Some(Reverse((time, number))) = self.due.peek().copied()
            && time <= end
        {
            self.due.pop();
            self.now = time;
            if let Some(happening) = self.happenings.remove(&number) {
                self.happen(happening);
            }
        }
        self.now = end;
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Hear { from, to, message } => {
                let message = self.experiment.heard(to, &message);
                let from = self.processes[from].seat;
                let message = message.assume_verified();
                self.step(to, Stimulus::Hear { from, message });
            }
            Happening::Wake { process } => {
                let wake_at = self.processes[process].puppet.wake_at;
                if wake_at.is_none_or(|at| at <= clock::right(self.now)) {
                    self.step(process, Stimulus::Wake);
                }
            }
            Happening::Submit { process, bytes } => self.step(process, Stimulus::Submit(bytes)),
        }
    }

    fn step(&mut self, process: usize, stimulus: Stimulus) {
        if !self.processes[process].up {
            return;
        }
        let date = clock::right(self.now);
        let one = &mut self.processes[process];
        let sent = one.puppet.step(&self.setting, date, stimulus);
        let wake_at = one.puppet.wake_at;
        for block in std::mem::take(&mut one.puppet.executed) {
            self.experiment.executed(process, self.now, &block);
        }
        for (to, bytes) in sent {
            let Some(message) = self.setting.decode(&bytes).map(Rc::new) else {
                continue;
            };
            self.experiment.sent(process, self.now, &message);
            for target in 0..self.processes.len() {
                let seat = self.processes[target].seat;
                if to.contains(&seat) && seat != self.processes[process].seat {
                    self.transmit(process, target, &message);
                }
            }
        }
        if let Some(wake_at) = wake_at {
            let at = self.now + wake_at.since(date).max(1);
            self.plan(at, Happening::Wake { process });
        }
    }

    fn transmit(&mut self, from: usize, to: usize, message: &Rc<Message>) {
        if let Some(delay) = self.experiment.delay(from, to, self.now) {
            let message = Rc::clone(message);
            self.plan(self.now + delay, Happening::Hear { from, to, message });
        }
    }
}
