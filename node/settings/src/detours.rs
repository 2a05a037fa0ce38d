//! Where to dial instead of where the federation says that somebody listens.
//!
//! The ledger names one endpoint for each door of each node, and everybody
//! dials it. Behind a NAT, a tunnel or a relay another one leads there; whoever
//! answers proves its key in any case, so a detour needs no trust.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Most detours of one file: three endpoints for each of the most nodes.
const DETOURS_MAX: usize = 192;

/// Endpoints that are dialled elsewhere; written as a list of
/// `NAMED=DIALLED`, such as `tcp://10.0.0.7:17000=tcp://127.0.0.1:40000`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Detours(BTreeMap<String, String>);

impl Detours {
    /// What to dial for `endpoint`: itself where there is no detour.
    #[must_use]
    pub fn lead<'a>(&'a self, endpoint: &'a str) -> &'a str {
        self.0.get(endpoint).map_or(endpoint, String::as_str)
    }
}

impl TryFrom<Vec<String>> for Detours {
    type Error = String;

    fn try_from(rows: Vec<String>) -> Result<Self, String> {
        if rows.len() > DETOURS_MAX {
            return Err(format!(
                "has {} detours, more than {DETOURS_MAX}",
                rows.len()
            ));
        }
        let mut detours = BTreeMap::new();
        for row in rows {
            let Some((named, dialled)) = row.split_once('=') else {
                return Err(format!("{row:?} is no detour of the form NAMED=DIALLED"));
            };
            if detours.insert(named.into(), dialled.into()).is_some() {
                return Err(format!("{named} has two detours"));
            }
        }
        Ok(Self(detours))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detours(rows: &[&str]) -> Result<Detours, String> {
        let rows: Vec<String> = rows.iter().map(|row| (*row).to_owned()).collect();
        Detours::try_from(rows)
    }

    #[test]
    fn a_named_endpoint_is_dialled_elsewhere_and_every_other_one_where_it_is() {
        let detours = detours(&["tcp://a:1=tcp://127.0.0.1:7"]).unwrap();
        assert_eq!(detours.lead("tcp://a:1"), "tcp://127.0.0.1:7");
        assert_eq!(detours.lead("tcp://a:2"), "tcp://a:2");
    }

    #[test]
    fn a_row_that_is_no_detour_and_a_second_one_for_the_same_are_refused() {
        assert!(detours(&["tcp://a:1"]).unwrap_err().contains("tcp://a:1"));
        assert!(detours(&["tcp://a:1=b", "tcp://a:1=c"]).is_err());
    }
}
