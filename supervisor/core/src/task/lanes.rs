//! What waits for room, in the order in which it goes. Tasks that share all limits share a lane, so that only
//! the first of each lane has to be looked at, however many wait.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the limits depend on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    pub group: String,
    pub account: Option<String>,
    pub agent: Option<String>,
}

/// A place in a lane. The smallest rank goes first; of two equal ones the older task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub rank: i64,
    pub id: String,
}

/// See the module.
#[derive(Default)]
pub struct Lanes {
    lanes: BTreeMap<Lane, BTreeSet<Place>>,
    places: HashMap<String, (Lane, Place)>,
}

impl Lanes {
    /// Puts a task into a lane; one that has a place already leaves that.
    pub fn put(&mut self, lane: Lane, place: Place) {
        self.remove(&place.id);
        self.places.insert(place.id.clone(), (lane.clone(), place.clone()));
        self.lanes.entry(lane).or_default().insert(place);
    }

    pub fn remove(&mut self, id: &str) {
        let Some((lane, place)) = self.places.remove(id) else { return };
        if let Some(places) = self.lanes.get_mut(&lane) {
            places.remove(&place);
            if places.is_empty() {
                self.lanes.remove(&lane);
            }
        }
    }

    /// The task that goes first of all lanes that may go.
    pub fn first(&self, may: impl Fn(&Lane) -> bool) -> Option<String> {
        let open = self.lanes.iter().filter(|(lane, _)| may(lane));
        open.filter_map(|(_, places)| places.first()).min().map(|place| place.id.clone())
    }

    /// Those in which somebody waits.
    pub fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.keys()
    }
}
