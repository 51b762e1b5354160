//! GUIs, and what they are asked to do.
//!
//! A GUI can only pull. It has one call open that waits; what it is asked to do (an intent) is an answer to
//! that call, and comes again until a later call says that it is done. So an answer that is lost on its way
//! is no intent lost, and a GUI that remembers ids does nothing twice.
//!
//! Each intent belongs to one GUI: the one that had the focus last when it was asked for. Who has it is on
//! the disk before it is handed out, so that a daemon that comes after this one gives it to no other.

use indexmap::IndexMap;
use wezterm_parallel_schemas::{
    error::{Code, Error},
    gui::{GuiFocus, GuiView, GuiWait, Intent, IntentDone, IntentKind},
};

/// A GUI that has no call open for this long is gone, in milliseconds: between two calls it starts a small
/// process, and a GUI that is busy with a large config has been seen to take a second.
pub const LOST_MS: i64 = 3_000;
/// An intent that was handed out and not acknowledged comes again after this long, in milliseconds: the
/// answer that had it may have been lost. A GUI that is still at work with it is not pestered meanwhile.
pub const REDELIVER_MS: i64 = 1_000;
/// GUIs at the same time. Each holds a connection.
pub const GUIS_MAX: usize = 32;
/// Intents that are open at the same time: more than anybody could look at before they expire.
pub const INTENTS_MAX: usize = 256;

/// Number of a call that waits.
pub type Ticket = u64;

/// What comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The connection of a call that waits is over.
    Left(Ticket),
    /// A GUI tells of its focus.
    Focus(GuiFocus),
    /// What was to be saved of an intent is on the disk.
    Saved(String),
    /// Time has passed.
    Tick,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is to be kept, with the GUI that it belongs to; then comes [`Input::Saved`].
    Save {
        /// It.
        intent: Box<Intent>,
        /// Whose it is.
        gui: Option<String>,
    },
    /// It is not to be kept any more, by its id.
    Forget(String),
    /// This call has something to bring: see [`Guis::hand_out`].
    Answer(Ticket),
    /// Another call has taken the place of this one.
    Supersede(Ticket),
    /// A GUI has done what it was asked to, or could not.
    Done {
        /// The intent.
        id: String,
        /// The GUI, as it is now.
        gui: Box<GuiView>,
        /// Why it could not be done.
        problem: Option<String>,
    },
    /// Nobody has done it in time.
    Expired(String),
}

/// All GUIs, and all that they are asked to do.
#[derive(Debug, Default)]
pub struct Guis {
    guis: IndexMap<String, Gui>,
    intents: IndexMap<String, Open>,
}

#[derive(Debug)]
struct Gui {
    view: GuiView,
    turn: u64,
    waits: Waits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// With this call.
    With(Ticket),
    /// Not since then.
    NotSince(i64),
}

#[derive(Debug)]
struct Open {
    intent: Intent,
    gui: Option<String>,
    /// The GUI may have it: it was handed out, to this turn and at this time, or another daemon may have
    /// done so.
    given: Option<Given>,
    /// How many writes of it are not on the disk yet.
    unsaved: u32,
    /// Its GUI was there before a restart of the daemon, and has until then to come back.
    awaited_until: i64,
}

#[derive(Clone, Copy, Debug)]
struct Given {
    turn: u64,
    at: i64,
}

impl Guis {
    /// What was kept of intents, with whose they are, as a daemon finds it that begins at `now`.
    pub fn restore(rows: Vec<(Intent, Option<String>)>, now: i64) -> Self {
        let open = |(intent, gui): (Intent, Option<String>)| {
            let given = gui.as_ref().map(|_| Given { turn: 0, at: 0 });
            let open = Open { intent, gui, given, unsaved: 0, awaited_until: now + LOST_MS };
            (open.intent.id.clone(), open)
        };
        Self { guis: IndexMap::new(), intents: rows.into_iter().map(open).collect() }
    }

    /// All GUIs, the one that had the focus last first.
    pub fn views(&self) -> Vec<GuiView> {
        let mut views: Vec<GuiView> = self.guis.keys().filter_map(|name| self.view(name)).collect();
        views.sort_by(|a, b| b.focused_at.cmp(&a.focused_at).then_with(|| a.gui.cmp(&b.gui)));
        views
    }

    fn view(&self, name: &str) -> Option<GuiView> {
        let gui = self.guis.get(name)?;
        let intents = self.intents.values().filter(|o| o.gui.as_deref() == Some(name)).count();
        Some(GuiView {
            intents: u32::try_from(intents).unwrap_or(u32::MAX),
            waiting: u32::from(matches!(gui.waits, Waits::With(_))),
            ..gui.view.clone()
        })
    }

    /// Something has happened. `now` in milliseconds since 1970.
    pub fn step(&mut self, input: Input, now: i64) -> Vec<Effect> {
        let mut out = Vec::new();
        match input {
            Input::Left(ticket) => {
                if let Some(gui) = self.guis.values_mut().find(|g| g.waits == Waits::With(ticket)) {
                    gui.waits = Waits::NotSince(now);
                }
            }
            Input::Focus(focus) => {
                if let Some(gui) = self.guis.get_mut(&focus.gui) {
                    // one that was told before and comes late does not put it back
                    if focus.focused_at >= gui.view.focused_at {
                        gui.view.focused_at = focus.focused_at;
                        gui.view.workspace = focus.workspace;
                    }
                }
                for done in &focus.done {
                    self.done(&focus.gui, done, &mut out);
                }
            }
            Input::Saved(id) => {
                if let Some(open) = self.intents.get_mut(&id) {
                    open.unsaved = open.unsaved.saturating_sub(1);
                }
            }
            Input::Tick => {}
        }
        out.extend(self.settle(now));
        out
    }

    /// A GUI has a call open. What it has done counts in any case.
    ///
    /// # Errors
    /// `busy` if there are too many GUIs.
    pub fn wait(&mut self, ticket: Ticket, wait: &GuiWait, now: i64) -> Result<Vec<Effect>, Error> {
        let mut out = Vec::new();
        if !self.guis.contains_key(&wait.gui) && self.guis.len() >= GUIS_MAX {
            // those that are gone give their places up before somebody is sent away
            out.extend(self.settle(now));
            if self.guis.len() >= GUIS_MAX {
                return Err(Error::new(Code::Busy, format!("{GUIS_MAX} GUIs are connected already"))
                    .hint("`wezterm-parallel gui list` shows them"));
            }
        }
        let known = self.guis.get(&wait.gui);
        if known.is_some_and(|gui| wait.turn < gui.turn) {
            out.push(Effect::Supersede(ticket));
        } else {
            if let Some(Gui { waits: Waits::With(before), .. }) = known {
                out.push(Effect::Supersede(*before));
            }
            let focused_at = known.map_or(0, |gui| gui.view.focused_at).max(wait.focused_at);
            let view = GuiView {
                gui: wait.gui.clone(),
                pid: wait.pid,
                socket: wait.socket.clone(),
                version: wait.version.clone(),
                focused_at,
                workspace: wait.workspace.clone(),
                connected_at: wait.connected_at.or(known.and_then(|gui| gui.view.connected_at)).or(Some(now)),
                // the rest is counted where it is shown
                ..GuiView::default()
            };
            let gui = Gui { view, turn: wait.turn, waits: Waits::With(ticket) };
            self.guis.insert(wait.gui.clone(), gui);
        }
        for done in &wait.done {
            self.done(&wait.gui, done, &mut out);
        }
        out.extend(self.settle(now));
        Ok(out)
    }

    fn done(&mut self, gui: &str, done: &IntentDone, out: &mut Vec<Effect>) {
        if self.intents.shift_remove(&done.id).is_none() {
            return;
        }
        out.push(Effect::Forget(done.id.clone()));
        // one that was busy for so long that it counts as gone has done it all the same
        let view = self.view(gui).unwrap_or_else(|| GuiView { gui: gui.to_owned(), ..GuiView::default() });
        let (id, problem) = (done.id.clone(), done.problem.clone());
        out.push(Effect::Done { id, gui: Box::new(view), problem });
    }

    /// A GUI is to do something: this one, or the one that had the focus last.
    ///
    /// # Errors
    /// `conflict` if there is no GUI and it cannot wait for one, `not_found` if the one that is named is not
    /// there, `busy` if too much is asked for already.
    pub fn ask(&mut self, intent: Intent, gui: Option<String>, now: i64) -> Result<Vec<Effect>, Error> {
        if self.intents.len() >= INTENTS_MAX {
            return Err(Error::new(Code::Busy, "GUIs are asked for too much already")
                .hint("wait until they have done some of it"));
        }
        let gui = match gui {
            Some(name) if !self.guis.contains_key(&name) => {
                return Err(Error::new(Code::NotFound, format!("there is no GUI {name}"))
                    .hint("`wezterm-parallel gui list` shows all"));
            }
            Some(name) => Some(name),
            None => self.last_focused(),
        };
        if gui.is_none() && intent.kind != IntentKind::Toast {
            return Err(no_gui());
        }
        let save = Effect::Save { intent: Box::new(intent.clone()), gui: gui.clone() };
        let open = Open { intent, gui, given: None, unsaved: 1, awaited_until: 0 };
        self.intents.insert(open.intent.id.clone(), open);
        let mut out = vec![save];
        out.extend(self.settle(now));
        Ok(out)
    }

    /// What a call that is answered now brings: everything that its GUI is to do and has not yet said to be
    /// done. None if the call does not wait any more.
    pub fn hand_out(&mut self, ticket: Ticket, now: i64) -> Option<Vec<Intent>> {
        let gui = self.guis.values_mut().find(|g| g.waits == Waits::With(ticket))?;
        gui.waits = Waits::NotSince(now);
        let (name, turn) = (&gui.view.gui, gui.turn);
        let own = |o: &&mut Open| o.gui.as_ref() == Some(name) && o.unsaved == 0;
        let give = |o: &mut Open| {
            o.given = Some(Given { turn, at: now });
            o.intent.clone()
        };
        Some(self.intents.values_mut().filter(own).map(give).collect())
    }

    /// The GUI that had the focus last, of those that are there.
    fn last_focused(&self) -> Option<String> {
        let newest = self.guis.values().max_by(|a, b| {
            let by_name = || b.view.gui.cmp(&a.view.gui);
            a.view.focused_at.cmp(&b.view.focused_at).then_with(by_name)
        });
        newest.map(|gui| gui.view.gui.clone())
    }

    /// Brings everything to where it belongs at `now`.
    fn settle(&mut self, now: i64) -> Vec<Effect> {
        let mut out = Vec::new();
        self.guis.retain(|_, gui| match gui.waits {
            Waits::With(_) => true,
            Waits::NotSince(at) => now < at + LOST_MS,
        });
        let next = self.last_focused();
        let (guis, intents) = (&self.guis, &mut self.intents);
        intents.retain(|id, open| {
            if open.intent.expires_at <= now {
                out.extend([Effect::Forget(id.clone()), Effect::Expired(id.clone())]);
                return false;
            }
            let lives = open.gui.as_ref().is_some_and(|name| guis.contains_key(name));
            let awaited = open.gui.is_some() && now < open.awaited_until;
            if lives || awaited {
                return true;
            }
            open.awaited_until = 0;
            if open.given.is_some() && open.intent.kind == IntentKind::Toast {
                // it may have been seen, and once is enough
                out.extend([Effect::Forget(id.clone()), Effect::Expired(id.clone())]);
                return false;
            }
            if let Some(next) = &next {
                open.gui = Some(next.clone());
                open.given = None;
                open.unsaved += 1;
                out.push(Effect::Save { intent: Box::new(open.intent.clone()), gui: open.gui.clone() });
            }
            true
        });
        for gui in self.guis.values() {
            if let Waits::With(ticket) = gui.waits
                && self.intents.values().any(|open| self.is_due(open, gui, now))
            {
                out.push(Effect::Answer(ticket));
            }
        }
        out
    }

    /// Whether a call of this GUI must not wait any longer because of this intent.
    fn is_due(&self, open: &Open, gui: &Gui, now: i64) -> bool {
        let rested = |given: Given| given.turn != gui.turn || given.at + REDELIVER_MS <= now;
        open.gui.as_ref() == Some(&gui.view.gui) && open.unsaved == 0 && open.given.is_none_or(rested)
    }

    /// When time has something to bring, in milliseconds since 1970; never while nothing is asked for and no
    /// GUI is missed.
    pub fn wake_at(&self) -> Option<i64> {
        let lost = self.guis.values().filter_map(|gui| match gui.waits {
            Waits::With(_) => None,
            Waits::NotSince(at) => Some(at + LOST_MS),
        });
        let intents = self.intents.values().map(|open| {
            let gui = open.gui.as_ref();
            let next = match gui.map(|name| self.guis.get(name)) {
                Some(Some(Gui { waits: Waits::With(_), .. })) => open.given.map(|g| g.at + REDELIVER_MS),
                Some(None) if open.awaited_until > 0 => Some(open.awaited_until),
                Some(_) | None => None,
            };
            next.unwrap_or(i64::MAX).min(open.intent.expires_at)
        });
        lost.chain(intents).min()
    }
}

/// What is said where something is to be shown and nobody is there.
pub fn no_gui() -> Error {
    Error::new(Code::Conflict, "there is no GUI to show it in")
        .hint("start WezTerm with the plugin in its config, or use `wezterm-parallel process attach`")
}

#[cfg(test)]
mod tests;
