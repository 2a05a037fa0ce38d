//! Claims about payments to addresses that a node learns of late.

use std::cell::{Cell, RefCell};

use dctrl_proto::v1::{PaymentDoubts, TipAgreed, Vend, VendChanged};

use super::*;
use crate::chain::{Block, Output, Transaction};

const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

/// A chain in which block 3 alone pays [`ADDRESS`].
struct Chain {
    height: u32,
}

fn hash(height: u32) -> Hash {
    let mut hash = [1; 32];
    hash[..4].copy_from_slice(&height.to_be_bytes());
    Hash(hash)
}

fn paying() -> Transaction {
    let address = Address::from_str(ADDRESS).unwrap().assume_checked();
    Transaction {
        txid: Hash([3; 32]),
        coinbase: false,
        inputs: Vec::new(),
        outputs: vec![Output {
            vout: 0,
            script: address.script_pubkey().into_bytes(),
            amount_sats: 1_500,
        }],
    }
}

impl ChainSource for Chain {
    fn tip(&self) -> Result<Tip, ChainError> {
        Ok(Tip {
            height: self.height,
            hash: hash(self.height),
        })
    }

    fn hash_at(&self, height: u32) -> Result<Hash, ChainError> {
        Ok(hash(height))
    }

    fn block(&self, height: u32, own: Hash) -> Result<Block, ChainError> {
        Ok(Block {
            height,
            hash: own,
            previous: hash(height - 1),
            transactions: (height == 3).then(paying).into_iter().collect(),
        })
    }

    fn knows_block(&self, _: Tip) -> Result<bool, ChainError> {
        Ok(true)
    }

    fn mempool(&self) -> Result<Vec<Hash>, ChainError> {
        Ok(Vec::new())
    }

    fn in_mempool(&self, _: Hash) -> Result<Option<PaymentDoubts>, ChainError> {
        Ok(None)
    }

    fn mempool_transaction(&self, _: Hash) -> Result<Option<Transaction>, ChainError> {
        Ok(None)
    }
}

/// The same chain, whose block 3 is mined when the mempool is asked for the
/// second time.
struct Mining {
    chain: RefCell<Chain>,
    asked: Cell<usize>,
}

impl ChainSource for Mining {
    fn tip(&self) -> Result<Tip, ChainError> {
        self.chain.borrow().tip()
    }

    fn hash_at(&self, height: u32) -> Result<Hash, ChainError> {
        self.chain.borrow().hash_at(height)
    }

    fn block(&self, height: u32, own: Hash) -> Result<Block, ChainError> {
        self.chain.borrow().block(height, own)
    }

    fn knows_block(&self, _: Tip) -> Result<bool, ChainError> {
        Ok(true)
    }

    fn mempool(&self) -> Result<Vec<Hash>, ChainError> {
        Ok(Vec::new())
    }

    fn in_mempool(&self, _: Hash) -> Result<Option<PaymentDoubts>, ChainError> {
        if self.asked.replace(self.asked.get() + 1) == 0 {
            return Ok(Some(PaymentDoubts::default()));
        }
        self.chain.borrow_mut().height = 3;
        Ok(None)
    }

    fn mempool_transaction(&self, _: Hash) -> Result<Option<Transaction>, ChainError> {
        Ok(None)
    }
}

fn body(height: u64, event: Event) -> BusBody {
    BusBody {
        height,
        event: Some(event),
        ..BusBody::default()
    }
}

fn agreed(height: u64, chain: u32) -> BusBody {
    let tip = TipAgreed {
        height: chain,
        hash: hash(chain).0.to_vec(),
    };
    body(height, Event::Tip(tip))
}

fn quote(height: u64) -> BusBody {
    let vend = Some(Vend {
        address: ADDRESS.to_owned(),
        ..Vend::default()
    });
    body(height, Event::Vend(VendChanged { vend }))
}

/// A notifier that has begun at the tip of 100 blocks, and knows no address.
fn begun(chain: &Chain) -> Sight {
    let mut sight = Sight::regtest(None, 1_008);
    sight.refresh(chain, &|| true).unwrap();
    sight
}

fn payments(sight: &Sight) -> usize {
    let unsaid = sight.unsaid();
    let payments = unsaid
        .iter()
        .filter(|(_, saying)| matches!(saying, Saying::Payment(_)));
    payments.count()
}

#[test]
fn a_node_that_hears_of_an_address_after_blocks_that_pay_it_finds_the_payment() {
    let chain = Chain { height: 100 };
    let mut sight = begun(&chain);
    sight.frame(&agreed(5, 2), None);
    assert!(sight.frame(&quote(6), None), "worth a look");
    assert!(sight.looks_back());
    sight.frame(&agreed(7, 100), None);
    sight.refresh(&chain, &|| true).unwrap();
    assert!(!sight.looks_back());
    assert_eq!(payments(&sight), 1);
}

#[test]
fn an_address_that_comes_as_a_fact_is_looked_for_as_far_as_after_a_start() {
    let chain = Chain { height: 100 };
    let mut sight = begun(&chain);
    sight.fact(&agreed(900, 100), None);
    sight.fact(&quote(900), None);
    sight.refresh(&chain, &|| true).unwrap();
    assert_eq!(payments(&sight), 1);
    // Known since: nothing is looked through again.
    sight.fact(&quote(950), None);
    assert!(!sight.looks_back());
}

#[test]
fn an_address_that_comes_in_time_costs_no_look_back() {
    let chain = Chain { height: 100 };
    let mut sight = begun(&chain);
    sight.frame(&agreed(5, 100), None);
    sight.frame(&quote(6), None);
    assert!(!sight.looks_back());
    sight.refresh(&Chain { height: 101 }, &|| true).unwrap();
    assert_eq!(payments(&sight), 0, "block 3 is older than the address");
}

#[test]
fn a_restart_goes_on_no_higher_than_what_was_agreed_before() {
    let chain = Chain { height: 100 };
    let mut sight = begun(&chain);
    sight.refresh(&Chain { height: 120 }, &|| true).unwrap();
    assert_eq!(sight.settled_block(6), None, "nothing is agreed");
    sight.frame(&agreed(5, 108), None);
    let height = |sight: &Sight| sight.settled_block(6).map(|tip| tip.height);
    assert_eq!(height(&sight), Some(108));
    sight.frame(&agreed(6, 120), None);
    assert_eq!(height(&sight), Some(114));
}

#[test]
fn a_payment_that_is_mined_while_it_is_looked_for_is_never_said_to_be_absent() {
    let chain = Mining {
        chain: RefCell::new(Chain { height: 2 }),
        asked: Cell::new(0),
    };
    let mut sight = Sight::regtest(None, 0);
    sight.frame(&quote(1), None);
    sight.hint(Hint::Transaction(paying()));
    let mut views = Vec::new();
    for _ in 0..2 {
        sight.refresh(&chain, &|| true).unwrap();
        for (subject, saying) in sight.unsaid() {
            sight.said(&subject);
            if let Saying::Payment(view) = saying {
                views.push(view.view());
            }
        }
        // As bitcoind tells of a transaction that a block took.
        sight.hint(Hint::Removed(paying().txid));
    }
    assert_eq!(views, [PaymentView::InMempool, PaymentView::InBlock]);
}
