//! Several backends are looked after and compared beside the one that is
//! followed.

use std::sync::mpsc::{SyncSender, sync_channel};

use super::{
    super::{ChainAdaptor, checker::Checker, cross::Cross, sync::Begin},
    ChainNotifierConfig, Event, cursor,
};
use crate::{Running, StartError};

/// Starts it where there are several; whom to poke when there is something new
/// to compare.
pub(super) fn start(
    running: &mut Running,
    config: &ChainNotifierConfig,
    cross: &Cross,
    events: &SyncSender<Event>,
) -> Result<Option<SyncSender<()>>, StartError> {
    if !config.backends.are_several() {
        return Ok(None);
    }
    // One look covers all that is new.
    let (poke, poked) = sync_channel(1);
    let stop = running.stop_flag();
    let woken = poke.clone();
    stop.wakes(move || {
        let _ = woken.try_send(());
    });
    let begin = Begin {
        cursor: config.cursor.as_deref().and_then(cursor::read),
        rescan_blocks: config.rescan_blocks,
    };
    let (backends, genesis) = (config.backends.clone(), config.genesis_hash);
    let (cross, events, health) = (cross.clone(), events.clone(), running.health());
    running.spawn(move || {
        // A full queue is emptied, and everything unsaid is looked at then.
        let news = move || drop(events.try_send(Event::Compared));
        // Made here: a client may have a runtime of its own, which must be made
        // and dropped on the thread that uses it.
        match ChainAdaptor::new(&backends) {
            Ok(adaptor) => Checker::new(adaptor, genesis, begin, cross, backends.grace()).run(
                &poked,
                &|| !stop.is_set(),
                &news,
            ),
            Err(error) => health.raise("check", format!("backends are not compared: {error}")),
        }
    })?;
    Ok(Some(poke))
}
