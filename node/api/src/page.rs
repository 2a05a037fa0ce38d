//! Which page of a list is asked for.

use dctrl_proto::v1::ListRequest;
use tonic::Status;

use crate::{limits, refusal};

/// Longest cursor or id, bytes.
const CURSOR_BYTES_MAX: usize = 128;

/// A checked [`ListRequest`].
#[derive(Debug)]
pub(crate) struct Page {
    /// Rows at most.
    pub(crate) limit: usize,
    /// The cursor of the page before, or empty.
    pub(crate) after: String,
    /// Keep only rows of this machine; empty for all.
    pub(crate) machine_id: String,
}

impl Page {
    pub(crate) fn new(request: ListRequest) -> Result<Self, Status> {
        let limit = match request.limit {
            0 => limits::PAGE_ROWS_DEFAULT,
            1..=limits::PAGE_ROWS_MAX => request.limit,
            more => {
                let message = format!("{more} rows; a page has at most {}.", limits::PAGE_ROWS_MAX);
                return Err(refusal::invalid("page.limit", "limit", message));
            }
        };
        for (field, text) in [
            ("after", &request.after),
            ("machine_id", &request.machine_id),
        ] {
            if text.len() > CURSOR_BYTES_MAX {
                let message = format!("It has at most {CURSOR_BYTES_MAX} bytes.");
                return Err(refusal::invalid("page.cursor", field, message));
            }
        }
        Ok(Self {
            limit: limit as usize,
            after: request.after,
            machine_id: request.machine_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(limit: u32, after: &str) -> Result<Page, Status> {
        Page::new(ListRequest {
            limit,
            after: after.to_owned(),
            machine_id: String::new(),
        })
    }

    #[test]
    fn a_page_has_100_rows_unless_asked_and_never_more_than_1000() {
        assert_eq!(asked(0, "").unwrap().limit, 100);
        assert_eq!(asked(1000, "").unwrap().limit, 1000);
        let refused = dctrl_proto::status::from_status(&asked(1001, "").unwrap_err()).unwrap();
        assert_eq!(refused.field, "limit");
    }

    #[test]
    fn a_cursor_of_a_megabyte_is_refused() {
        assert!(asked(1, &"x".repeat(1 << 20)).is_err());
    }
}
