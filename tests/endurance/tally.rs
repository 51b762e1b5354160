//! What was done, and what went wrong.

use std::{
    collections::BTreeMap,
    os::unix::net::UnixStream,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify,
};
use wezterm_parallel_schemas::{event::EventKind, process::Status};

use crate::{act::Place, support::rpc::Client};

/// Most failures that are printed.
const SHOWN_MAX: usize = 40;

/// Longest wait for the next daemon before it is seen that the time is over.
const LOOK_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };

/// Counts.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Prompts that were sent.
    pub prompts: u64,
    /// Of them, sent while the agent worked.
    pub queued: u64,
    /// Answers that were waited for and came.
    pub answers: u64,
    /// Permissions that were allowed.
    pub allowed: u64,
    /// Permissions that were denied.
    pub denied: u64,
    /// Questions that were answered.
    pub answered: u64,
    /// Conversations that were begun anew.
    pub cleared: u64,
    /// Statuses that were compared with the truth.
    pub statuses: u64,
    /// Times that the daemon was killed.
    pub kills: u64,
    /// Calls that were made again because the daemon was killed under them.
    pub again: u64,
    /// Events that came.
    pub events: u64,
}

/// See the module.
#[derive(Default)]
pub struct Tally {
    counts: Mutex<Counts>,
    /// What is to have reached the API exactly once, by a mark of its own, and where it was sent.
    marks: Mutex<BTreeMap<String, String>>,
    wrong: Mutex<Vec<String>>,
    /// How late each status was seen that was compared, in milliseconds, the call that asked for it included.
    late: Mutex<Vec<u128>>,
}

impl Tally {
    /// Counts something.
    pub fn note(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.counts.lock().expect("no thread paniced with it"));
    }

    /// A prompt with this mark is to reach the API once.
    pub fn expect(&self, mark: &str, target: &str) {
        self.marks.lock().expect("no thread paniced with it").insert(mark.into(), target.into());
    }

    /// A status was seen this many milliseconds after what it tells of.
    pub fn late(&self, ms: u128) {
        self.late.lock().expect("no thread paniced with it").push(ms);
    }

    /// Something went wrong.
    pub fn wrong(&self, what: String) {
        crate::support::site::say(&format!("WRONG: {what}"));
        self.wrong.lock().expect("no thread paniced with it").push(what);
    }

    /// Nothing went wrong.
    pub fn is_clean(&self) -> bool {
        self.wrong.lock().expect("no thread paniced with it").is_empty()
    }

    /// One line of how it goes.
    pub fn line(&self) -> String {
        let c = self.counts.lock().expect("no thread paniced with it").clone();
        let wrong = self.wrong.lock().expect("no thread paniced with it").len();
        format!(
            "{} prompts ({} queued), {} answers, {} allowed, {} denied, {} answered, {} cleared, {} statuses compared, {} kills ({} calls again), {} events; {wrong} wrong",
            c.prompts,
            c.queued,
            c.answers,
            c.allowed,
            c.denied,
            c.answered,
            c.cleared,
            c.statuses,
            c.kills,
            c.again,
            c.events
        )
    }

    /// Each mark came to the API exactly once.
    pub fn check_counts(&self, place: Place<'_>) {
        for (mark, target) in &*self.marks.lock().expect("no thread paniced with it") {
            let came = place.mock.count(|r| r.turn == 0 && r.prompt.contains(mark));
            if came != 1 {
                self.wrong(format!("{mark}, sent to {target}, came to the API {came} times"));
            }
        }
    }

    /// All of it.
    pub fn report(&self) -> String {
        let line = self.line();
        let mut late = self.late.lock().expect("no thread paniced with it").clone();
        late.sort_unstable();
        let rank = |hundredth: usize| late.get(late.len() * hundredth / 100).or(late.last());
        let late = [50, 99, 100].map(|h| rank(h).map_or_else(String::new, |ms| format!("{ms} ms")));
        let [half, most, worst] = late;
        let line = format!("{line}; statuses seen after {half} (p50), {most} (p99), {worst} at most");
        let wrong = self.wrong.lock().expect("no thread paniced with it");
        let shown: Vec<String> = wrong.iter().take(SHOWN_MAX).map(|w| format!("- {w}")).collect();
        format!("{line}\n{}", shown.join("\n"))
    }
}

/// Hears every event: an agent that nothing is known of is wrong here, since nothing is done to any that
/// would leave it in doubt.
pub fn watch(place: Place<'_>, tally: &Tally, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let changes = inotify::init(inotify::CreateFlags::CLOEXEC).expect("this is Linux");
        let directory = place.socket.parent().expect("a socket lies in a directory");
        inotify::add_watch(&changes, directory, inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO)
            .expect("the directory is there");
        // between a daemon and the next there is nobody to ask: the next one makes its socket anew
        if UnixStream::connect(place.socket).is_err() {
            poll(&mut [PollFd::new(&changes, PollFlags::IN)], Some(&LOOK_AGAIN)).expect("it can be polled");
            continue;
        }
        let Ok(mut client) = std::panic::catch_unwind(|| Client::connect(place.socket)) else { continue };
        client.subscribe();
        while let Some(event) = client.event_or_end() {
            tally.note(|t| t.events += 1);
            let name = format!("{:?}/{:?}", event.workspace, event.process);
            match (event.kind, event.status) {
                (EventKind::ProcessStatus, Some(Status::Unknown)) if !over.load(Ordering::Relaxed) => {
                    tally.wrong(format!("{name} is unknown: {:?}", event.message));
                }
                (EventKind::PromptUndelivered, _) => {
                    tally.wrong(format!("{name}: a prompt was not delivered: {:?}", event.message));
                }
                (EventKind::DaemonPanic, _) => tally.wrong(format!("a panic: {:?}", event.message)),
                (EventKind::ProcessExit, _) if !over.load(Ordering::Relaxed) => {
                    tally.wrong(format!("{name} ended: {:?}", event.message));
                }
                _ => {}
            }
        }
    }
}
