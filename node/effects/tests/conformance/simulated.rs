//! The simulated chain behind its real server.

use std::sync::Mutex;

use bitcoin::hashes::Hash as _;
use dctrl_effects::chain::{Hash, server};
use dctrl_proto::v1::{self, simulated_chain_client::SimulatedChainClient};
use tokio::{net::TcpListener, runtime::Runtime};
use tonic::transport::Channel;

use crate::World;

pub(crate) struct Served {
    runtime: Runtime,
    user: SimulatedChainClient<Channel>,
    pub(crate) url: String,
    addresses: Mutex<u8>,
}

impl Served {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(server::serve_on(listener, None, std::future::pending()));
        let user = SimulatedChainClient::connect(url.clone());
        let user = runtime.block_on(user).unwrap();
        let served = Self {
            runtime,
            user,
            url,
            addresses: Mutex::default(),
        };
        served.mine(10);
        served
    }
}

fn script(name: u8) -> bitcoin::ScriptBuf {
    let hash = bitcoin::WPubkeyHash::from_byte_array([name; 20]);
    bitcoin::ScriptBuf::new_p2wpkh(&hash)
}

impl World for Served {
    fn address(&self) -> String {
        let mut addresses = self.addresses.lock().unwrap();
        *addresses += 1;
        let network = bitcoin::Network::Regtest;
        let address = bitcoin::Address::from_script(&script(*addresses), network).unwrap();
        address.to_string()
    }

    fn pay(&self, address: &str, amount_sats: u64) {
        let request = v1::SimPayRequest {
            address: address.to_owned(),
            amount_sats,
        };
        let mut user = self.user.clone();
        self.runtime.block_on(user.pay(request)).unwrap();
    }

    fn mine(&self, blocks: u32) {
        let mut user = self.user.clone();
        let request = v1::SimMineRequest { blocks };
        self.runtime.block_on(user.mine(request)).unwrap();
    }

    fn reorganise(&self, depth: u32) {
        let mut user = self.user.clone();
        let request = v1::SimReorganiseRequest {
            depth,
            drop_transactions: false,
        };
        self.runtime.block_on(user.reorganise(request)).unwrap();
    }

    fn coin(&self) -> (Hash, u32) {
        let request = v1::SimPayRequest {
            address: self.address(),
            amount_sats: 100_000,
        };
        let mut user = self.user.clone();
        let paid = self.runtime.block_on(user.pay(request)).unwrap();
        self.mine(1);
        (Hash::from_slice(&paid.into_inner().txid).unwrap(), 0)
    }

    fn spend(&self, (txid, vout): (Hash, u32), sats: u64) -> Vec<u8> {
        let txid = bitcoin::Txid::from_byte_array(txid.to_internal());
        let spend = bitcoin::Transaction {
            version: bitcoin::transaction::Version::TWO,
            lock_time: bitcoin::absolute::LockTime::ZERO,
            input: vec![bitcoin::TxIn {
                previous_output: bitcoin::OutPoint { txid, vout },
                ..bitcoin::TxIn::default()
            }],
            output: vec![bitcoin::TxOut {
                value: bitcoin::Amount::from_sat(sats),
                script_pubkey: script(0),
            }],
        };
        bitcoin::consensus::serialize(&spend)
    }
}
