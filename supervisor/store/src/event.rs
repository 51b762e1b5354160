//! What happened, read back.

use rusqlite::{Connection, params};
use wezterm_parallel_schemas::event::Event;

use crate::{apply::json, error::StoreError, load};

/// Which events to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Topics (`process`, `workspace`, …); all if empty.
    pub topics: Vec<String>,
    /// Which ones, if there are more than asked for.
    pub take: Take,
}

/// Which of too many events to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Take {
    /// The oldest: to go on from there.
    #[default]
    Oldest,
    /// The newest: to see what happened last.
    Newest,
}

/// Events, in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Events {
    /// The events.
    pub events: Vec<Event>,
    /// Number of the oldest event that is still kept, of any topic. If it is greater than the first
    /// one asked for, those between are no longer there. None if no event is kept.
    pub oldest_kept: Option<u64>,
}

/// Events after number `seq`, at most `limit`.
pub(crate) fn since(
    db: &mut Connection,
    seq: u64,
    limit: u32,
    filter: &EventFilter,
) -> Result<Events, StoreError> {
    // one transaction, so that the oldest and the events are of the same moment
    let snapshot = db.transaction()?;
    let oldest: Option<i64> = snapshot.query_row("SELECT min(seq) FROM event", [], |row| row.get(0))?;
    let mut events = Vec::new();
    {
        let mut statement = snapshot.prepare_cached(match filter.take {
            Take::Oldest => SINCE_OLDEST,
            Take::Newest => SINCE_NEWEST,
        })?;
        let after = i64::try_from(seq).unwrap_or(i64::MAX);
        let mut found = statement.query(params![after, json(&filter.topics)?, limit])?;
        while let Some(row) = found.next()? {
            events.push(load::event(row)?);
        }
    }
    if filter.take == Take::Newest {
        events.reverse();
    }
    Ok(Events { events, oldest_kept: oldest.map(i64::cast_unsigned) })
}

const SINCE_OLDEST: &str = "SELECT seq, data FROM event WHERE seq > ?1
    AND (?2 = '[]' OR substr(kind, 1, instr(kind, '.') - 1) IN (SELECT value FROM json_each(?2)))
    ORDER BY seq LIMIT ?3";
const SINCE_NEWEST: &str = "SELECT seq, data FROM event WHERE seq > ?1
    AND (?2 = '[]' OR substr(kind, 1, instr(kind, '.') - 1) IN (SELECT value FROM json_each(?2)))
    ORDER BY seq DESC LIMIT ?3";
