//! The loop: one program, its output, its clients, until nothing of the run lives any more.

use std::{
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixListener,
    },
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use wezterm_parallel_schemas::keeper::{
    self, Attached, ExitRecord, Hello, Looked, Mode, ProgramStatus, Progress, RUN_MARK, Role, RunSpec, Size,
    StopRun, Title, Type, TypeRefusal, Typed, Welcome, frame,
};

use crate::{
    client::{Client, Told, write_some},
    ending::{Ending, Status},
    keys::{DetachKey, is_typing},
    log::Log,
    os,
    rundir::RunDir,
    signals::Signals,
    spawn::{self, Spawned},
    stage::{Stage, UNLAID_BYTES_MAX},
    start::now_ms,
};

/// Connections at a time: the daemon, some windows and some readers. One more takes the place of the
/// oldest that has not said who it is, or is refused.
const CLIENTS_MAX: usize = 64;
/// Laid out at one go while there is nothing else to do: about a millisecond.
const SLICE_BYTES: usize = 256 << 10;
/// More than this is laid out at one go, so that what would scroll off again can be skipped.
const LARGE_BYTES: usize = 2 << 20;
/// A program that says nothing for this long makes a pause.
const PAUSE_MS: u64 = 1;
/// Output as small as this is laid out at once; a key's echo is.
const SMALL_BYTES: usize = 256;
/// Input that the program has not read; then who types is not read either.
const INPUT_BYTES_MAX: usize = 1 << 20;
/// What is read at one go: small at rest, large in a flood.
const BUFFER_BYTES: usize = 4 << 10;
const BUFFER_BYTES_MAX: usize = 64 << 10;
/// After this much output, memory is given back as soon as there is a pause.
const UNTIDY_BYTES: usize = 64 << 10;
/// Grace of a SIGTERM to the keeper itself, which names none.
const GRACE_MS_DEFAULT: u64 = 3_000;
/// How long the program's last output is waited for if somebody outside of the run holds its terminal.
const DRAIN_MS_MAX: u64 = 100;
/// Reads after that, of 64 KiB each: more than a terminal holds.
const LAST_READS_MAX: usize = 4;
/// How long clients have to take the last frames.
const FAREWELL_MS_MAX: u64 = 5_000;
/// What a terminal sends when its window loses the focus: nobody looks then.
const FOCUS_OUT: &[u8] = b"\x1b[O";
/// Largest hello that is decoded, in bytes.
const HELLO_BYTES_MAX: usize = 64 << 10;

/// The keeper of one run.
pub struct Keeper {
    spec: RunSpec,
    dir: RunDir,
    listener: UnixListener,
    signals: Signals,
    output: OwnedFd,
    pid: i32,
    started_at: i64,
    /// The program has closed its output.
    at_eof: bool,
    stage: Stage,
    log: Log,
    ending: Ending,
    /// Since when nothing of the run lives.
    ended: Option<Instant>,
    clients: Vec<Client>,
    /// For the program.
    input: Vec<u8>,
    /// Bytes of input that the program's terminal has taken, or that nobody was there to take.
    input_taken: u64,
    /// Counts who typed last.
    typed: u64,
    /// When an attached client last typed.
    typed_at: Option<Instant>,
    status: Option<ProgramStatus>,
    progress: Option<Progress>,
    /// The newest status that somebody has seen.
    looked_seq: u64,
    title: Option<String>,
    /// Counts titles.
    title_seq: u64,
    attached: u32,
    buffer: Vec<u8>,
    /// The last wait was for nothing: there is time to lay out.
    in_pause: bool,
    untidy: usize,
}

/// Where the run is: its directory, and what is open in it.
pub struct Place {
    pub dir: RunDir,
    pub listener: UnixListener,
    pub log: Log,
}

/// What `poll` said.
struct Events {
    /// Nothing in the time given.
    none: bool,
    signals: bool,
    listener: bool,
    output: PollFlags,
    /// Control connection and terminal of each client.
    clients: Vec<(PollFlags, PollFlags)>,
}

impl Keeper {
    /// Holds the program that was just started.
    pub fn new(
        mut spec: RunSpec,
        Place { dir, listener, log }: Place,
        signals: Signals,
        spawned: Spawned,
        started_at: i64,
    ) -> Self {
        let stage = Stage::new(spec.size, spec.history_bytes, spec.program_status);
        let mark = format!("{RUN_MARK}={}", spec.run_id);
        let ending = Ending::new(spawned.pid, mark);
        // nobody needs them any more, and they hold secrets
        spec.env = Default::default();
        spec.command = vec![];
        os::give_back_memory();
        Self {
            pid: spawned.pid.as_raw_nonzero().get(),
            output: spawned.output,
            spec,
            dir,
            listener,
            signals,
            started_at,
            at_eof: false,
            stage,
            log,
            ending,
            ended: None,
            clients: vec![],
            input: vec![],
            input_taken: 0,
            typed: 0,
            typed_at: None,
            status: None,
            progress: None,
            looked_seq: 0,
            title: None,
            title_seq: 0,
            attached: 0,
            buffer: vec![],
            in_pause: false,
            untidy: 0,
        }
    }

    /// Keeps the run until its end.
    pub fn run(mut self) {
        loop {
            let now = Instant::now();
            let timeout = self.timeout(now);
            let Some(events) = self.wait(timeout) else { continue };
            if events.signals {
                self.take_signals();
            }
            let received = self.read_clients(&events);
            self.write_input();
            let output = self.read_output(events.output);
            self.in_pause = events.none;
            self.lay_out();
            self.tell_changes();
            self.serve_clients(&events, output > 0);
            self.tell_newest(false);
            if events.listener {
                self.accept();
            }
            self.drop_clients();
            if self.is_over() {
                return self.finish();
            }
            self.tidy(output + received);
        }
    }

    fn is_pty(&self) -> bool {
        self.spec.mode == Mode::Pty
    }

    /// How long to wait: for a pause while output is to be laid out, then not at all until that is done;
    /// for ever if nothing is under way.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        if self.stage.unlaid() > 0 {
            return Some(if self.in_pause { Duration::ZERO } else { Duration::from_millis(PAUSE_MS) });
        }
        let drained = self.ended.map(|at| at + Duration::from_millis(DRAIN_MS_MAX));
        let clients = self.clients.iter().filter_map(|client| client.due(&self.stage));
        let due = clients.chain(drained).chain(self.ending.due().filter(|_| self.ended.is_none())).min();
        due.map(|at| at.saturating_duration_since(now))
    }

    /// None if the wait was interrupted.
    fn wait(&self, timeout: Option<Duration>) -> Option<Events> {
        let nothing = PollFlags::empty();
        let when = |condition, flag| if condition { flag } else { nothing };
        let takes_input = self.input.len() < INPUT_BYTES_MAX;
        let mut fds = Vec::with_capacity(3 + 2 * self.clients.len());
        fds.push(PollFd::from_borrowed_fd(self.signals.fd(), PollFlags::IN));
        fds.push(PollFd::new(&self.listener, PollFlags::IN));
        let has_input = !self.input.is_empty() && self.is_pty();
        if !self.at_eof {
            fds.push(PollFd::new(&self.output, PollFlags::IN | when(has_input, PollFlags::OUT)));
        }
        for client in &self.clients {
            // who only steers is always heard: a stop must come through
            let is_heard = takes_input || client.terminal.is_some() || client.role() != Some(Role::Attach);
            let control = when(is_heard, PollFlags::IN) | when(client.control_waits(), PollFlags::OUT);
            fds.push(PollFd::new(&client.control, control));
            if let Some(terminal) = &client.terminal {
                let wanted = when(takes_input, PollFlags::IN) | when(client.terminal_waits(), PollFlags::OUT);
                fds.push(PollFd::new(terminal, wanted));
            }
        }
        // rounded up, so as not to wake before the time
        let timeout = timeout.map(|t| Timespec::try_from(t).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 }));
        // interrupted, or the kernel is short of memory for a moment
        let none = poll(&mut fds, timeout.as_ref()).ok()? == 0;
        let mut flags = fds.iter().map(PollFd::revents);
        let mut next = || flags.next().unwrap_or(nothing);
        let (signals, listener) = (!next().is_empty(), !next().is_empty());
        let output = if self.at_eof { nothing } else { next() };
        let clients = self
            .clients
            .iter()
            .map(|c| (next(), if c.terminal.is_some() { next() } else { nothing }))
            .collect();
        Some(Events { none, signals, listener, output, clients })
    }

    fn take_signals(&mut self) {
        let signalled = self.signals.take();
        if signalled.child {
            self.ending.reap();
        }
        if signalled.terminate {
            self.ending.stop(Duration::from_millis(GRACE_MS_DEFAULT), Instant::now());
        }
    }

    /// Keys and frames of clients. Returns how many bytes there were.
    fn read_clients(&mut self, events: &Events) -> usize {
        let mut received = 0;
        // by number, since what one says may concern all; nobody comes or goes meanwhile
        for i in 0..events.clients.len() {
            let (control, terminal) = events.clients[i];
            if is_readable(terminal) {
                received += self.read_terminal(i);
            }
            if is_readable(control) {
                received += self.read_control(i);
            }
        }
        received
    }

    fn grown_buffer(&mut self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.is_empty() {
            buffer = vec![0; BUFFER_BYTES];
        }
        buffer
    }

    fn read_terminal(&mut self, i: usize) -> usize {
        let mut buffer = self.grown_buffer();
        let Some(terminal) = &self.clients[i].terminal else { return 0 };
        let n = match rustix::io::read(terminal, &mut buffer) {
            Ok(n @ 1..) => {
                self.type_in(i, &buffer[..n]);
                n
            }
            Err(Errno::AGAIN | Errno::INTR) => 0,
            // the window is gone
            Ok(0) | Err(_) => {
                self.clients[i].release();
                0
            }
        };
        self.buffer = buffer;
        n
    }

    fn read_control(&mut self, i: usize) -> usize {
        let mut buffer = self.grown_buffer();
        if !self.clients[i].receive(&mut buffer) {
            self.clients[i].release();
        }
        self.buffer = buffer;
        let mut frames = std::mem::take(&mut self.clients[i].frames);
        let mut received = 0;
        while !self.clients[i].ending {
            match frames.take() {
                Ok(Some((kind, payload))) => {
                    received += payload.len();
                    self.take_frame(i, kind, payload);
                }
                Ok(None) => break,
                Err(e) => self.clients[i].refuse(&e.to_string()),
            }
        }
        self.clients[i].frames = frames;
        received
    }

    fn take_frame(&mut self, i: usize, kind: u8, payload: &[u8]) {
        if self.clients[i].hello.is_none() {
            return match kind {
                frame::HELLO => self.welcome(i, payload),
                _ => self.clients[i].refuse("the first frame must be a hello"),
            };
        }
        let role = self.clients[i].role();
        match kind {
            frame::INPUT => match role {
                Some(Role::Attach) => self.type_in(i, payload),
                Some(Role::Control) if self.is_pty() => {
                    if self.input.len() + payload.len() > INPUT_BYTES_MAX {
                        return self.clients[i].refuse("the program does not read its input");
                    }
                    self.input.extend_from_slice(payload);
                }
                _ => self.clients[i].refuse("this connection may not type"),
            },
            frame::TYPE if role == Some(Role::Control) => match rmp_serde::from_slice::<Type>(payload) {
                Ok(order) => self.type_if(i, order),
                Err(_) => self.clients[i].refuse("the order to type cannot be understood"),
            },
            frame::TYPE => self.clients[i].refuse("this connection may not type"),
            frame::RESIZE => match rmp_serde::from_slice::<Size>(payload) {
                Ok(size) => self.resized(i, size),
                Err(_) => self.clients[i].refuse("the size cannot be understood"),
            },
            frame::STOP => match rmp_serde::from_slice::<StopRun>(payload) {
                Ok(stop) => self.ending.stop(Duration::from_millis(stop.grace_ms), Instant::now()),
                Err(_) => self.clients[i].refuse("the stop cannot be understood"),
            },
            frame::SCREEN => {
                let mut out = vec![];
                if self.is_pty() {
                    let screen = self.stage.screen();
                    screen.dump(screen.history().next(), &mut out);
                }
                self.clients[i].send_whole(frame::SCREEN, &out);
            }
            frame::ANNOUNCE if role == Some(Role::Control) => {
                let mark = std::str::from_utf8(payload).ok().filter(|mark| !mark.is_empty());
                for client in self.clients.iter_mut().filter(|client| client.is_attached()) {
                    client.announce(mark, &self.stage);
                }
            }
            frame::HELLO => self.clients[i].refuse("a second hello"),
            // a newer client may say what this keeper does not know
            _ => {}
        }
    }

    fn welcome(&mut self, i: usize, payload: &[u8]) {
        let hello = rmp_serde::from_slice::<Hello>(&payload[..payload.len().min(HELLO_BYTES_MAX)]);
        let Ok(mut hello) = hello else {
            return self.clients[i].refuse("the hello cannot be understood");
        };
        let role = hello.role;
        if role == Role::Attach && !self.is_pty() {
            return self.clients[i].refuse("this run has no terminal; read its log");
        }
        if role != Role::Attach {
            self.clients[i].terminal = None;
        }
        if hello.size.is_none_or(|size| size.cols == 0 || size.rows == 0) {
            hello.size = Some(self.stage.size());
        }
        self.clients[i].detach_key = DetachKey::new(&hello.detach_key);
        self.clients[i].hello = Some(hello);
        if role == Role::Attach {
            self.clients[i].attach();
            if self.clients[i].may_type() {
                self.claim(i);
            }
        }
        let message = Welcome {
            version: keeper::VERSION,
            run_id: self.spec.run_id.clone(),
            keeper_pid: rustix::process::getpid().as_raw_nonzero().get(),
            pid: self.pid,
            started_at: self.started_at,
            size: self.stage.size(),
            log_offset: self.log.offset(),
            status: self.status.clone(),
            title: self.title.clone(),
            attached: self.count_attached(),
            looked_seq: self.looked_seq,
            progress: self.progress.clone(),
            can_type: true,
        };
        self.clients[i].told = Told {
            status: self.status.as_ref().map_or(0, |status| status.seq),
            progress: self.progress.as_ref().map_or(0, |progress| progress.seq),
            title: self.title_seq,
        };
        self.clients[i].send(frame::WELCOME, &message);
    }

    /// Keys of an attached client.
    fn type_in(&mut self, i: usize, bytes: &[u8]) {
        let found = self.clients[i].detach_key.find(bytes);
        let for_program = &bytes[..found.unwrap_or(bytes.len())];
        if self.clients[i].may_type() && !for_program.is_empty() {
            if for_program != FOCUS_OUT {
                self.look();
            }
            if is_typing(for_program) {
                self.typed_at = Some(Instant::now());
            }
            self.claim(i);
            self.input.extend_from_slice(for_program);
        }
        if found.is_some() {
            self.clients[i].send_frame(frame::DETACHED, b"");
            self.clients[i].release();
        }
    }

    /// Types for who steers, if nothing has happened that it does not know of. Nothing is typed in part.
    fn type_if(&mut self, i: usize, order: Type) {
        // what the program has said already counts, also if nobody has read it yet
        self.read_output(PollFlags::IN);
        self.tell_changes();
        let status_seq = self.status.as_ref().map_or(0, |status| status.seq);
        let quiet = Duration::from_millis(order.quiet_ms.unwrap_or(0));
        let refused = if order.status_seq.is_some_and(|known| known < status_seq) {
            Some(TypeRefusal::Status)
        } else if order.quiet_ms.is_some() && self.typed_at.is_some_and(|at| at.elapsed() < quiet) {
            Some(TypeRefusal::Person)
        } else if !self.is_pty() || self.at_eof || self.input.len() + order.bytes.len() > INPUT_BYTES_MAX {
            Some(TypeRefusal::Full)
        } else {
            None
        };
        if refused.is_some() {
            return self.clients[i].send(frame::TYPED, &Typed { id: order.id, refused, status_seq });
        }
        self.input.extend_from_slice(&order.bytes);
        let end = self.input_taken + self.input.len() as u64;
        self.clients[i].typing.push_back((order.id, end));
        self.write_input();
    }

    /// Answers the orders to type that have reached the program's terminal.
    fn tell_typed(&mut self) {
        let status_seq = self.status.as_ref().map_or(0, |status| status.seq);
        for client in self.clients.iter_mut().filter(|client| !client.ending) {
            while let Some((id, _)) = client.typing.pop_front_if(|(_, end)| *end <= self.input_taken) {
                client.send(frame::TYPED, &Typed { id, refused: None, status_seq });
            }
        }
    }

    /// Somebody is there: what the program has said of itself is seen.
    fn look(&mut self) {
        let seq = self.status.as_ref().map_or(0, |status| status.seq);
        if seq > self.looked_seq {
            self.looked_seq = seq;
            self.tell(frame::LOOKED, &Looked { seq });
        }
    }

    /// The client that typed last decides the size.
    fn claim(&mut self, i: usize) {
        self.typed += 1;
        self.clients[i].typed_at = self.typed;
        if let Some(size) = self.clients[i].size() {
            self.set_size(size);
        }
    }

    /// Who typed last of those that are attached: it decides the size, and gets bells and notifications.
    fn leader(&self) -> Option<usize> {
        let attached = self.clients.iter().enumerate().filter(|(_, client)| client.is_attached());
        attached.max_by_key(|(_, client)| (client.may_type(), client.typed_at)).map(|(i, _)| i)
    }

    fn resized(&mut self, i: usize, size: Size) {
        if size.cols == 0 || size.rows == 0 || !self.clients[i].is_attached() {
            return;
        }
        let before = self.clients[i].size().unwrap_or(size);
        if let Some(hello) = &mut self.clients[i].hello {
            hello.size = Some(size);
        }
        if self.leader() == Some(i) && self.clients[i].may_type() {
            self.set_size(size);
        }
        let grown = size.rows.saturating_sub(before.rows);
        self.clients[i].relayout(&self.stage, u64::from(grown));
    }

    fn set_size(&mut self, size: Size) {
        if size == self.stage.size() {
            return;
        }
        // the program may have gone meanwhile, and then nobody minds
        let _ = spawn::set_size(&self.output, size);
        self.stage.resize(size);
        for client in self.clients.iter_mut().filter(|client| client.is_attached()) {
            client.relayout(&self.stage, 0);
        }
    }

    fn write_input(&mut self) {
        if self.input.is_empty() || !self.is_pty() {
            return;
        }
        let n = match write_some(&self.output, &self.input) {
            Ok(n) => n,
            // nobody is there to read it
            Err(_) => self.input.len(),
        };
        self.input.drain(..n);
        self.input_taken += n as u64;
        self.tell_typed();
        if self.input.is_empty() && self.input.capacity() > BUFFER_BYTES {
            self.input = Vec::new();
        }
    }

    /// Reads what the program says and passes it on. Returns how much it was.
    fn read_output(&mut self, flags: PollFlags) -> usize {
        if self.at_eof || !is_readable(flags) {
            return 0;
        }
        let mut buffer = self.grown_buffer();
        let (n, at_eof) = read_all(&mut buffer, |room| rustix::io::read(&self.output, room));
        self.at_eof = at_eof;
        self.take_output(&buffer[..n]);
        self.buffer = buffer;
        n
    }

    fn take_output(&mut self, bytes: &[u8]) {
        if self.is_pty() {
            self.stage.feed(bytes);
            if self.at_eof {
                self.stage.finish();
            }
            let answers = self.stage.take_answers();
            if !answers.is_empty() {
                self.input.extend_from_slice(&answers);
                self.write_input();
            }
            let leader = self.leader();
            for (i, client) in self.clients.iter_mut().enumerate().filter(|(_, client)| client.is_attached())
            {
                client.pass(&self.stage, leader == Some(i));
                client.pass_mark(&self.stage);
            }
            self.stage.end_round();
        }
        for client in self.clients.iter_mut().filter(|c| c.role() == Some(Role::Observe) && !c.ending) {
            client.send_frame(frame::OUTPUT, bytes);
        }
        // last, since nobody waits for the disk
        self.log.write(bytes);
    }

    /// Lays out a little output at once, more in a pause, and all when it becomes too much. In a flood most
    /// of it is never laid out: the longer the wait, the more has scrolled off again.
    fn lay_out(&mut self) {
        let unlaid = self.stage.unlaid();
        let is_full = unlaid >= UNLAID_BYTES_MAX;
        if unlaid == 0 || !(self.in_pause || unlaid <= SMALL_BYTES || is_full) {
            return;
        }
        let mut bytes = if unlaid > LARGE_BYTES { usize::MAX } else { SLICE_BYTES };
        for client in &mut self.clients {
            client.note_line(&self.stage);
            if let Some(offset) = client.line_offset() {
                let until = offset.saturating_sub(self.stage.laid_offset());
                bytes = bytes.min(usize::try_from(until).unwrap_or(usize::MAX).max(1));
            }
        }
        self.stage.lay_out(bytes);
        for client in &mut self.clients {
            client.note_line(&self.stage);
        }
        self.stage.end_round();
    }

    /// Tells those who steer what has changed.
    fn tell_changes(&mut self) {
        for body in self.stage.take_statuses() {
            let seq = self.status.as_ref().map_or(0, |status| status.seq) + 1;
            self.status = Some(ProgramStatus { seq, at: now_ms(), body });
            self.tell_newest(false);
        }
        if let Some((state, value)) = self.stage.take_progress()
            && self.progress.as_ref().is_none_or(|old| (old.state, old.value) != (state, value))
        {
            let seq = self.progress.as_ref().map_or(0, |progress| progress.seq) + 1;
            self.progress = Some(Progress { seq, at: now_ms(), state, value });
        }
        if let Some(title) = self.stage.take_title() {
            self.title = Some(title).filter(|title| !title.is_empty());
            self.title_seq += 1;
        }
        self.tell_newest(false);
        let attached = self.count_attached();
        if attached != self.attached {
            let came = attached > self.attached;
            self.attached = attached;
            self.tell(frame::ATTACHED, &Attached { clients: attached });
            if came {
                self.look();
            }
        }
    }

    /// Tells each of those who steer what it does not know yet of the program's word, progress and title. One
    /// that has not taken what was sent before (`even_behind`: also such a one) gets the newest once it has: a
    /// program that floods neither fills its queue nor costs it the connection.
    fn tell_newest(&mut self, even_behind: bool) {
        for client in self.clients.iter_mut().filter(|c| c.role() == Some(Role::Control) && !c.ending) {
            if client.control_waits() && !even_behind {
                continue;
            }
            if let Some(status) = self.status.as_ref().filter(|status| status.seq > client.told.status) {
                client.told.status = status.seq;
                client.send(frame::STATUS, status);
            }
            if let Some(progress) = self.progress.as_ref().filter(|new| new.seq > client.told.progress) {
                client.told.progress = progress.seq;
                client.send(frame::PROGRESS, progress);
            }
            if self.title_seq > client.told.title {
                client.told.title = self.title_seq;
                client.send(frame::TITLE, &Title { title: self.title.clone().unwrap_or_default() });
            }
        }
    }

    fn tell(&mut self, kind: u8, message: &impl serde::Serialize) {
        for client in self.clients.iter_mut().filter(|c| c.role() == Some(Role::Control) && !c.ending) {
            client.send(kind, message);
        }
    }

    fn count_attached(&self) -> u32 {
        u32::try_from(self.clients.iter().filter(|client| client.is_attached()).count()).unwrap_or(u32::MAX)
    }

    fn serve_clients(&mut self, events: &Events, flood: bool) {
        let now = Instant::now();
        for (i, client) in self.clients.iter_mut().enumerate() {
            let (control, terminal) =
                events.clients.get(i).copied().unwrap_or((PollFlags::empty(), PollFlags::empty()));
            if control.contains(PollFlags::OUT) {
                client.flush_control();
            }
            if terminal.contains(PollFlags::OUT) {
                client.flush_terminal();
            }
            if client.is_behind() {
                client.catch_up(&mut self.stage, now, flood);
            }
        }
        self.stage.end_round();
    }

    fn accept(&mut self) {
        while let Ok((socket, _)) = self.listener.accept() {
            // before a byte is read: nobody else's processes have any business here
            let own = rustix::process::geteuid().as_raw();
            if !os::peer_uid(&socket).is_ok_and(|uid| uid == own) || socket.set_nonblocking(true).is_err() {
                continue;
            }
            let mut client = Client::new(socket.into());
            if self.clients.len() >= CLIENTS_MAX {
                match self.clients.iter().position(|client| client.hello.is_none()) {
                    Some(silent) => {
                        self.clients.remove(silent).refuse("others wait, and you have said nothing")
                    }
                    None => {
                        client.refuse("too many connections");
                        continue;
                    }
                }
            }
            self.clients.push(client);
        }
    }

    /// Parts with those that are gone or refused; whoever typed before them decides the size now.
    fn drop_clients(&mut self) {
        if !self.clients.iter().any(|client| client.ending) {
            return;
        }
        self.clients.retain(|client| !client.ending);
        if let Some(leader) = self.leader()
            && self.clients[leader].may_type()
            && let Some(size) = self.clients[leader].size()
        {
            self.set_size(size);
        }
        self.tell_changes();
    }

    fn is_over(&mut self) -> bool {
        let now = Instant::now();
        if self.ended.is_none() {
            if !self.ending.step(now) {
                return false;
            }
            self.ended = Some(now);
        }
        let waited = self.ended.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if !self.at_eof && waited >= Duration::from_millis(DRAIN_MS_MAX) {
            // the time may have passed while this machine slept: what the terminal holds is taken all the same
            for _ in 0..LAST_READS_MAX {
                if self.read_output(PollFlags::IN) == 0 {
                    break;
                }
            }
            return true;
        }
        self.at_eof
    }

    /// Gives memory back in a pause after much output.
    fn tidy(&mut self, moved: usize) {
        self.untidy += moved;
        if moved == 0 && self.untidy >= UNTIDY_BYTES && self.stage.unlaid() == 0 {
            self.untidy = 0;
            self.buffer = Vec::new();
            os::give_back_memory();
        }
    }

    /// Everything has ended: leaves the last screen and the record, then tells everybody.
    fn finish(mut self) {
        self.tell_changes();
        self.tell_newest(true);
        if self.is_pty() {
            let screen = self.stage.screen();
            let mut out = vec![];
            screen.dump(screen.history().first(), &mut out);
            // best effort: the disk may be full
            let _ = self.dir.write_screen(&out);
        }
        let record = self.exit_record();
        // the room was taken at the start; if even that fails, the free lock without a record says it
        let _ = self.dir.write_exit(&record);
        let steering = |client: &Client| client.role() == Some(Role::Control);
        for client in self.clients.iter_mut().filter(|client| steering(client)) {
            client.send(frame::EXIT, &record);
        }
        for client in self.clients.iter_mut().filter(|client| !steering(client) && client.hello.is_some()) {
            if client.is_attached() && client.is_behind() && client.size() == Some(self.stage.size()) {
                client.restore(&mut self.stage);
            }
        }
        self.farewell(&record);
        self.dir.close_socket();
    }

    fn exit_record(&self) -> ExitRecord {
        let (code, signal) = match self.ending.status() {
            Some(Status::Code(code)) => (Some(code), None),
            Some(Status::Signal(signal)) => (None, Some(signal)),
            None => (None, None),
        };
        let (cpu_ms, max_rss_kib) = os::used_by_children();
        let survivors = self.ending.survivors();
        let note = (survivors > 0).then(|| format!("{survivors} of its processes could not be killed"));
        ExitRecord {
            code,
            signal,
            ended_at: now_ms(),
            stopped: self.ending.was_stopped(),
            leftovers: self.ending.leftovers(),
            cpu_ms,
            max_rss_kib,
            log_lost: self.log.lost(),
            note,
        }
    }

    /// Sends what is queued, then EXIT, waiting a bounded time for slow ones.
    fn farewell(&mut self, record: &ExitRecord) {
        let deadline = Instant::now() + Duration::from_millis(FAREWELL_MS_MAX);
        let mut told = vec![false; self.clients.len()];
        loop {
            for (client, told) in self.clients.iter_mut().zip(&mut told) {
                client.flush_terminal();
                client.flush_control();
                let has_hello = client.hello.is_some() && client.role() != Some(Role::Control);
                if !*told && has_hello && !client.ending && !client.terminal_waits() {
                    client.send(frame::EXIT, record);
                    *told = true;
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let mut fds = vec![];
            for client in self.clients.iter().filter(|client| !client.ending) {
                if client.control_waits() {
                    fds.push(PollFd::new(&client.control, PollFlags::OUT));
                }
                if let Some(terminal) = client.terminal.as_ref().filter(|_| client.terminal_waits()) {
                    fds.push(PollFd::from_borrowed_fd(terminal.as_fd(), PollFlags::OUT));
                }
            }
            let timeout = Timespec::try_from(left).ok();
            if fds.is_empty() || left.is_zero() || poll(&mut fds, timeout.as_ref()).is_err() {
                return;
            }
        }
    }
}

/// Reads what is there, up to a bound: how much it was, and whether that was the last.
///
/// A terminal that nobody has open any more reads as EIO. Linux may say so while the last bytes are on
/// their way within the kernel: it looks for bytes first, and whether the other side is closed after that.
/// In between a program can write its last line and end. Once it has said EIO nobody can write any more, so
/// that a second one is the truth.
fn read_all(buffer: &mut Vec<u8>, mut read: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> (usize, bool) {
    let (mut n, mut closed) = (0, false);
    loop {
        if n == buffer.len() {
            if n >= BUFFER_BYTES_MAX {
                return (n, false);
            }
            buffer.resize(BUFFER_BYTES_MAX, 0);
        }
        match read(&mut buffer[n..]) {
            // of a pipe, which knows at once
            Ok(0) => return (n, true),
            Ok(more) => {
                n += more;
                closed = false;
            }
            Err(Errno::IO) if closed => return (n, true),
            Err(Errno::IO) => closed = true,
            Err(Errno::INTR) => {}
            Err(_) => return (n, false),
        }
    }
}

fn is_readable(flags: PollFlags) -> bool {
    flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads from what answers so, one after the other.
    fn read(answers: &[Result<&str, Errno>]) -> (String, bool) {
        let mut answers = answers.iter();
        let mut buffer = vec![0; BUFFER_BYTES];
        let (n, at_eof) = read_all(&mut buffer, |room| {
            let text = (*answers.next().expect("no read beyond the end"))?;
            room[..text.len()].copy_from_slice(text.as_bytes());
            Ok(text.len())
        });
        (String::from_utf8_lossy(&buffer[..n]).into_owned(), at_eof)
    }

    #[test]
    fn the_last_line_that_comes_after_the_terminal_was_said_to_be_closed_is_not_lost() {
        let (closed, later) = (Err(Errno::IO), Err(Errno::AGAIN));
        assert_eq!(read(&[Ok("\r\n"), closed, Ok("end\r\n"), closed, closed]), ("\r\nend\r\n".into(), true));
        assert_eq!(read(&[closed, closed]), (String::new(), true));
        assert_eq!(read(&[Ok("a"), later]), ("a".into(), false));
        assert_eq!(read(&[Err(Errno::INTR), Ok("a"), Ok("")]), ("a".into(), true));
        // somebody has opened it anew: it goes on
        assert_eq!(read(&[closed, later]), (String::new(), false));
    }

    #[test]
    fn what_is_read_at_one_go_is_bounded() {
        let mut buffer = vec![0; BUFFER_BYTES];
        let (n, at_eof) = read_all(&mut buffer, |room| Ok(room.len()));
        assert_eq!((n, at_eof), (BUFFER_BYTES_MAX, false));
    }
}
