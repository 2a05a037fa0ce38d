use std::{cell::RefCell, sync::Arc};

use dctrl_proto::v1::{ChainObserve, TimeTick};

use super::*;

/// A door that answers from a script and remembers what it was handed.
#[derive(Default)]
struct Script {
    answers: RefCell<Vec<Result<Option<Receipt>, DoorError>>>,
    receipts: RefCell<Vec<Option<Receipt>>>,
    handed: RefCell<Vec<SignedAction>>,
}

impl Desk for Script {
    fn submit(&self, action: &SignedAction) -> Result<Option<Receipt>, DoorError> {
        self.handed.borrow_mut().push(action.clone());
        self.answers.borrow_mut().pop().unwrap_or(Ok(None))
    }

    fn receipt(&self, _: &[u8; 32]) -> Result<Option<Receipt>, DoorError> {
        Ok(self.receipts.borrow_mut().pop().flatten())
    }
}

fn common() -> Common {
    crate::common::tests::common(Arc::new(|| 1_000))
}

fn refusal(code: RefusalCode) -> Refusal {
    Refusal::rule(code, "test", "no")
}

#[test]
fn a_newer_view_of_a_subject_takes_the_place_of_the_older_one() {
    let (common, desk) = (common(), Script::default());
    let mut outbox = Outbox::default();
    for height in [1, 2, 3] {
        let hash = vec![0; 32];
        assert!(outbox.put(&common, "tip", &ChainObserve { height, hash }));
    }
    outbox.work(1_000, &desk);
    assert_eq!(desk.handed.borrow().len(), 1);
}

#[test]
fn an_unreachable_door_is_tried_again_later_and_less_and_less_often() {
    let (common, desk) = (common(), Script::default());
    let mut outbox = Outbox::default();
    outbox.put(&common, 1, &TimeTick {});
    outbox.put(&common, 2, &TimeTick {});
    let unreachable = || Err(DoorError::Unreachable(CALL_TIMEOUT));
    desk.answers
        .borrow_mut()
        .extend([unreachable(), unreachable()]);
    assert!(outbox.work(1_000, &desk).is_empty());
    assert_eq!(desk.handed.borrow().len(), 1, "the second call waits too");
    assert_eq!(outbox.due_ms(), Some(1_500));
    assert!(outbox.work(1_499, &desk).is_empty());
    assert_eq!(desk.handed.borrow().len(), 1);
    outbox.work(1_500, &desk);
    assert_eq!(outbox.due_ms(), Some(2_500));
    outbox.work(2_500, &desk);
    assert_eq!(desk.handed.borrow().len(), 4, "both are taken");
    assert_eq!(outbox.failures(), 0);
}

#[test]
fn an_exhausted_node_is_asked_again_and_any_other_refusal_is_final() {
    let (common, desk) = (common(), Script::default());
    let mut outbox = Outbox::default();
    outbox.put(&common, "tip", &TimeTick {});
    desk.answers.borrow_mut().extend([
        Err(DoorError::Refused(refusal(RefusalCode::Denied))),
        Err(DoorError::Refused(refusal(RefusalCode::Exhausted))),
    ]);
    assert!(outbox.work(1_000, &desk).is_empty());
    let ended = outbox.work(1_500, &desk);
    assert_eq!(
        ended,
        [("tip", Ended::Refused(refusal(RefusalCode::Denied)))]
    );
    assert!(outbox.is_empty());
}

#[test]
fn a_taken_action_without_a_receipt_is_handed_in_again_byte_for_byte() {
    let (common, desk) = (common(), Script::default());
    let mut outbox = Outbox::default();
    outbox.put(&common, "tip", &TimeTick {});
    outbox.work(1_000, &desk);
    assert_eq!(outbox.due_ms(), Some(11_000));
    outbox.work(11_000, &desk);
    let handed = desk.handed.borrow().clone();
    assert_eq!(handed.len(), 2);
    assert_eq!(handed[0], handed[1]);
    desk.receipts.borrow_mut().push(Some(Receipt::default()));
    assert_eq!(outbox.work(21_000, &desk), [("tip", Ended::Applied)]);
}

#[test]
fn an_action_that_was_never_ordered_ends_as_expired() {
    let (common, desk) = (common(), Script::default());
    let mut outbox = Outbox::default();
    outbox.put(&common, "tip", &TimeTick {});
    assert_eq!(outbox.work(121_001, &desk), [("tip", Ended::Expired)]);
}

#[test]
fn the_queue_has_an_end() {
    let common = common();
    let mut outbox = Outbox::default();
    for subject in 0..SUBJECTS_MAX {
        assert!(outbox.put(&common, subject, &TimeTick {}));
    }
    assert!(!outbox.put(&common, SUBJECTS_MAX, &TimeTick {}));
    assert!(
        outbox.put(&common, 0, &TimeTick {}),
        "a newer view always fits"
    );
}
