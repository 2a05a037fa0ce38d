//! A server of the Esplora HTTP API of our own: what of it a backend is asked,
//! as its documentation says, over the data of a real bitcoind.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
};

use serde_json::{Value, json};

use crate::bitcoind::{Bitcoind, Rpc};

/// Serves until the test ends; its URL.
pub(crate) fn serve(bitcoind: &Bitcoind) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let rpc = bitcoind.rpc();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let rpc = rpc.clone();
            std::thread::spawn(move || converse(&rpc, &stream));
        }
    });
    url
}

/// One request for each connection.
fn converse(rpc: &Rpc, stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = first.split(' ').nth(1)?;
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let body = String::from_utf8_lossy(&body);
    let (status, bytes) = match answer(rpc, &parts, &body) {
        Ok(bytes) => ("200 OK", bytes),
        Err(words) if words.contains("\"code\":-5") || words.contains("\"code\":-8") => {
            ("404 Not Found", words.into_bytes())
        }
        Err(words) => ("400 Bad Request", words.into_bytes()),
    };
    let mut writer = stream;
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        bytes.len()
    );
    writer.write_all(head.as_bytes()).ok()?;
    writer.write_all(&bytes).ok()
}

fn answer(rpc: &Rpc, parts: &[&str], body: &str) -> Result<Vec<u8>, String> {
    let text = |value: Value| match value {
        Value::String(text) => text.into_bytes(),
        other => other.to_string().into_bytes(),
    };
    let unhex = |value: Value| hex::decode(value.as_str().unwrap_or("")).unwrap_or_default();
    match parts {
        ["blocks", "tip", "hash"] => rpc.ask("getbestblockhash", json!([])).map(text),
        ["block-height", height] => {
            let height: u64 = height.parse().map_err(|_| "height".to_owned())?;
            rpc.ask("getblockhash", json!([height])).map(text)
        }
        ["block", hash, "header"] => rpc.ask("getblockheader", json!([hash, false])).map(text),
        ["block", hash, "raw"] => rpc.ask("getblock", json!([hash, 0])).map(unhex),
        ["block", hash] => {
            let header = rpc.ask("getblockheader", json!([hash]))?;
            Ok(text(json!({"id": hash, "height": header["height"]})))
        }
        ["mempool", "txids"] => rpc.ask("getrawmempool", json!([])).map(text),
        ["tx", txid, "raw"] => rpc.ask("getrawtransaction", json!([txid])).map(unhex),
        ["tx", txid, "status"] => Ok(text(transaction(rpc, txid)?["status"].clone())),
        ["tx", txid] => Ok(text(transaction(rpc, txid)?)),
        ["tx", txid, "outspend", vout] => {
            let vout: u64 = vout.parse().map_err(|_| "vout".to_owned())?;
            outspend(rpc, txid, vout).map(text)
        }
        ["tx"] => rpc.ask("sendrawtransaction", json!([body])).map(text),
        ["fee-estimates"] => Ok(b"{\"2\": 87.882, \"6\": 1.027}".to_vec()),
        _ => Err("unknown path".to_owned()),
    }
}

/// Who spends an output; of one that a block has spent, not who.
fn outspend(rpc: &Rpc, txid: &str, vout: u64) -> Result<Value, String> {
    let output = json!([[{"txid": txid, "vout": vout}]]);
    let waiting = rpc.ask("gettxspendingprevout", output)?;
    if let Some(spender) = waiting[0]["spendingtxid"].as_str() {
        let status = json!({"confirmed": false});
        return Ok(json!({"spent": true, "txid": spender, "vin": 0, "status": status}));
    }
    let left = rpc.ask("gettxout", json!([txid, vout, false]))?;
    Ok(json!({"spent": left.is_null()}))
}

fn transaction(rpc: &Rpc, txid: &str) -> Result<Value, String> {
    let found = rpc.ask("getrawtransaction", json!([txid, true]))?;
    // A transaction of a block that left the chain has no confirmations.
    let confirmed = found["confirmations"].as_u64().unwrap_or(0) > 0;
    Ok(json!({
        "txid": txid,
        "vin": found["vin"].as_array().unwrap().iter()
            .filter(|input| input["txid"].is_string())
            .map(|input| json!({"txid": input["txid"]}))
            .collect::<Vec<_>>(),
        "status": {"confirmed": confirmed},
    }))
}
