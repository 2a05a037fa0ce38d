//! The commands, a file for each.

pub mod action;
pub mod actions;
pub mod balance;
pub mod block;
pub mod chain;
pub mod claim;
pub mod dag;
pub mod db;
pub mod events;
pub mod export;
pub mod key;
pub mod machines;
pub mod members;
pub mod nodes;
pub mod payments;
pub mod payout;
pub mod products;
pub mod slots;
pub mod status;
pub mod tab;
pub mod vend;
pub mod vends;

/// Pages that a search through a list reads at most: 100,000 rows.
pub(crate) const SEARCH_PAGES_MAX: usize = 100;
/// Rows of each of those pages.
pub(crate) const SEARCH_PAGE_ROWS: u32 = 1000;

/// Reads list pages until a row satisfies a test. `$call` is the client
/// method, `$rows` the field that holds the rows.
macro_rules! find_row {
    ($nodes:expr, $call:ident, $rows:ident, $wanted:expr) => {{
        let mut after = String::new();
        let mut found = None;
        for _ in 0..$crate::commands::SEARCH_PAGES_MAX {
            let request = dctrl_proto::v1::ListRequest {
                limit: $crate::commands::SEARCH_PAGE_ROWS,
                after: after.clone(),
                machine_id: String::new(),
            };
            let page = $nodes
                .query(async |mut client| client.$call(request.clone()).await)
                .await?
                .reply;
            found = page.$rows.into_iter().find($wanted);
            if found.is_some() || page.next.is_empty() {
                break;
            }
            after = page.next;
        }
        found
    }};
}
pub(crate) use find_row;
pub mod wallet;
