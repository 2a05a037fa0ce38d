//! One node's view over one backend, and what it has said.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use dctrl_effects::chain::{
    Backend, Backends, ChainAdaptor, ChainSource, Hint, Hints, Tip,
    sight::{Saying, Sight, Subject},
};
use dctrl_proto::v1::{BusBody, PaymentView, TipAgreed, TopUp, TopUpIssued, bus_body::Event};

/// How long anything may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a server that polls its bitcoind.
const PAUSE: Duration = Duration::from_millis(100);
/// How far a watcher looks back for what is older than it knows.
const RESCAN_BLOCKS: u32 = 20;
/// Height of the federation's ledger, at which everything happens.
const LEDGER_HEIGHT: u64 = 7;

/// What was said last of all payments, counted.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) waiting: usize,
    pub(crate) in_blocks: usize,
}

pub(crate) struct Watcher {
    adaptor: ChainAdaptor,
    hints: Hints,
    sight: Sight,
    said: BTreeMap<Subject, PaymentView>,
    sayings: usize,
    mined: usize,
    addresses: u32,
}

impl Watcher {
    pub(crate) fn new(backend: &Backend) -> Self {
        let adaptor = ChainAdaptor::new(&Backends::from(backend.clone())).unwrap();
        let mut hints = adaptor.hints(&zmq::Context::new()).unwrap();
        Self {
            adaptor,
            hints: hints.remove(0),
            sight: Sight::regtest(None, RESCAN_BLOCKS),
            said: BTreeMap::new(),
            sayings: 0,
            mined: 0,
            addresses: 0,
        }
    }

    /// The federation has given out an address.
    pub(crate) fn watch(&mut self, address: &str) {
        self.addresses += 1;
        let top_up = TopUp {
            address: address.to_owned(),
            address_index: self.addresses,
            member_id: "m".to_owned(),
            ..TopUp::default()
        };
        let body = BusBody {
            height: LEDGER_HEIGHT,
            event: Some(Event::TopUp(TopUpIssued {
                top_up: Some(top_up),
            })),
            ..BusBody::default()
        };
        self.sight.frame(&body, None);
    }

    /// The federation agrees on the present tip; its height.
    pub(crate) fn agree(&mut self) -> u32 {
        let tip = self.tip();
        let body = BusBody {
            height: LEDGER_HEIGHT,
            event: Some(Event::Tip(TipAgreed {
                height: tip.height,
                hash: tip.hash.0.to_vec(),
            })),
            ..BusBody::default()
        };
        self.sight.frame(&body, None);
        tip.height
    }

    fn tip(&self) -> Tip {
        self.adaptor.tip().unwrap()
    }

    /// Of the backend's newest block.
    pub(crate) fn height(&self) -> u32 {
        self.tip().height
    }

    /// Whether the next look reads blocks again.
    pub(crate) fn looks_back(&self) -> bool {
        self.sight.looks_back()
    }

    /// Looks at the chain as the notifier does, and says what is new.
    pub(crate) fn look(&mut self) {
        self.sight.compare_mempool();
        if let Err(error) = self.sight.refresh(&self.adaptor, &|| true) {
            eprintln!("a look failed: {error}");
            return;
        }
        for (subject, saying) in self.sight.unsaid() {
            self.sight.said(&subject);
            if let Saying::Payment(view) = saying {
                self.sayings += 1;
                self.mined += usize::from(view.view() == PaymentView::InBlock);
                self.said.insert(subject, view.view());
            }
        }
    }

    /// Hears what the backend hints at, as `faults` lets it through, and looks
    /// where that asks for it.
    pub(crate) fn hear(&mut self, faults: impl FnOnce(Vec<Hint>) -> Vec<Hint>) {
        let mut heard = Vec::new();
        while let Some(hint) = self.hints.next(PAUSE) {
            heard.push(hint);
        }
        let mut news = false;
        for hint in faults(heard) {
            news |= self.sight.hint(hint);
        }
        if news {
            self.look();
        }
    }

    pub(crate) fn until(&mut self, what: &str, is: impl Fn(&Said) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.look();
            let said = self.count();
            if is(&said) {
                return;
            }
            assert!(Instant::now() < deadline, "timed out: {what}: {said:?}");
            self.hear(|hints| hints);
        }
    }

    /// Waits for a server that polls its bitcoind, and looks.
    pub(crate) fn until_height(&mut self, height: u32) {
        let deadline = Instant::now() + PATIENCE;
        while self.height() < height {
            assert!(Instant::now() < deadline, "timed out: block {height}");
            self.hear(|hints| hints);
        }
        self.look();
    }

    fn count(&self) -> Said {
        let count = |view| self.said.values().filter(|one| **one == view).count();
        Said {
            waiting: count(PaymentView::InMempool),
            in_blocks: count(PaymentView::InBlock),
        }
    }

    /// How often anything was said of payments.
    pub(crate) fn sayings(&self) -> usize {
        self.sayings
    }

    /// How often it was said that a payment is in a block.
    pub(crate) fn mined(&self) -> usize {
        self.mined
    }

    /// Of how many payments something was said.
    pub(crate) fn payments(&self) -> usize {
        self.said.len()
    }
}

/// Half of the hints, some of them twice, in another order.
pub(crate) fn faulty(hints: Vec<Hint>, seed: u64) -> Vec<Hint> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut through = Vec::new();
    for hint in hints {
        match random() % 4 {
            0 | 1 => {}
            2 => through.push(hint),
            _ => through.extend([hint.clone(), hint]),
        }
    }
    for last in (1..through.len()).rev() {
        let other = usize::try_from(random() % (last as u64 + 1)).unwrap();
        through.swap(last, other);
    }
    through
}
