//! One connection: who it is, what waits to be sent to it, and how far it has come.

use std::{
    collections::VecDeque,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags},
};
use serde::Serialize;
use wezterm_parallel_schemas::keeper::{self, Frames, Hello, MARK_BYTES_MAX, Role, Size, frame};

use crate::{keys::DetachKey, mark, os, reset, stage::Stage};

/// A client this far behind loses the stream and is caught up from the screen: half a second of a fast
/// terminal.
const STREAM_BYTES_MAX: usize = 512 << 10;
/// A client that watches or steers and is this far behind is not reading; it is told and dropped.
const FRAMES_BYTES_MAX: usize = 4 << 20;
/// A client that lost the stream still sees the screen move, at most this often.
const REPAINT_MS_MIN: u64 = 50;
/// And so that laying out and painting takes one part in this many of a flood's time: what is not laid
/// out may have scrolled off by the next time.
const REPAINT_SHARE: u32 = 10;
/// How long an unfinished sequence or synchronized update may hold up a client that waits for the screen.
const REST_MS_MAX: u64 = 200;
/// Bells and notifications that are kept for a client while it is caught up.
const OWED_BYTES_MAX: usize = 4 << 10;
/// A queue larger than this is given back when it is empty.
const IDLE_QUEUE_BYTES_MAX: usize = 16 << 10;

/// A connection.
pub struct Client {
    pub control: OwnedFd,
    /// Its terminal, if it was passed.
    pub terminal: Option<OwnedFd>,
    /// None until it has said who it is.
    pub hello: Option<Hello>,
    pub detach_key: DetachKey,
    /// When it last typed, counted in all clients' typing; the highest decides the size.
    pub typed_at: u64,
    pub frames: Frames,
    /// To be dropped once what is queued has been tried to send.
    pub ending: bool,
    /// For the control connection.
    to_control: Queue,
    /// For the terminal.
    to_terminal: Queue,
    lag: Option<Lag>,
    /// Bells and notifications from while it was behind.
    owed: VecDeque<u8>,
    /// Its terminal is to be told what it shows, as soon as that cuts nothing in two.
    mark_due: bool,
    /// Orders to type that the program has not taken whole: their number, and the place in the whole
    /// input where they end.
    pub typing: VecDeque<(u64, u64)>,
    /// What it was told last of each that only the newest counts of.
    pub told: Told,
}

/// Numbers of the newest that a client was told.
#[derive(Clone, Copy, Default)]
pub struct Told {
    pub status: u64,
    pub progress: u64,
    pub title: u64,
}

/// A client that has lost the stream.
struct Lag {
    /// Place in the stream of the first byte that it did not get.
    offset: u64,
    /// Number of the first line that it did not get, once the layout has come to `offset`.
    line: Option<u64>,
    since: Instant,
    /// When it may be repainted next.
    next_paint: Instant,
    /// Place in the stream that the last repaint showed.
    shown: Option<u64>,
}

impl Client {
    /// A connection that has not said anything.
    pub fn new(control: OwnedFd) -> Self {
        Self {
            control,
            terminal: None,
            hello: None,
            detach_key: DetachKey::new(b""),
            typed_at: 0,
            frames: Frames::default(),
            ending: false,
            to_control: Queue::default(),
            to_terminal: Queue::default(),
            lag: None,
            owed: VecDeque::new(),
            mark_due: false,
            typing: VecDeque::new(),
            told: Told::default(),
        }
    }

    /// What it is here for, once it has said so.
    pub fn role(&self) -> Option<Role> {
        self.hello.as_ref().map(|hello| hello.role)
    }

    /// Whether it shows the screen.
    pub fn is_attached(&self) -> bool {
        self.role() == Some(Role::Attach) && !self.ending
    }

    /// Whether it may type and decide the size.
    pub fn may_type(&self) -> bool {
        self.is_attached() && self.hello.as_ref().is_some_and(|hello| !hello.read_only)
    }

    /// Size of its terminal, if it told one that can be.
    pub fn size(&self) -> Option<Size> {
        self.hello.as_ref().and_then(|hello| hello.size).filter(|size| size.cols > 0 && size.rows > 0)
    }

    /// Whether something waits for the control connection to take it.
    pub fn control_waits(&self) -> bool {
        self.to_control.waiting() > 0
    }

    /// Whether something waits for the terminal to take it.
    pub fn terminal_waits(&self) -> bool {
        self.to_terminal.waiting() > 0
    }

    /// Sends a frame with a MessagePack map.
    pub fn send(&mut self, kind: u8, message: &impl Serialize) {
        let payload = rmp_serde::to_vec_named(message).expect("our own messages can be encoded");
        self.send_frame(kind, &payload);
    }

    /// Sends a frame with raw bytes, at most a frame's worth.
    pub fn send_frame(&mut self, kind: u8, payload: &[u8]) {
        self.send_frames(|out| keeper::encode(kind, payload, out));
    }

    /// Sends raw bytes as frames that end with one shorter than the largest.
    pub fn send_whole(&mut self, kind: u8, bytes: &[u8]) {
        self.send_frames(|out| {
            keeper::encode_bytes(kind, bytes, out);
            if bytes.len().is_multiple_of(keeper::PAYLOAD_BYTES_MAX) {
                keeper::encode(kind, b"", out);
            }
        });
    }

    fn send_frames(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        encode(&mut self.to_control.bytes);
        self.flush_control();
        // an attached one is bounded by its stream
        if !self.ending && self.to_control.waiting() > FRAMES_BYTES_MAX {
            self.ending = true;
        }
    }

    /// Says why and ends the connection.
    pub fn refuse(&mut self, why: &str) {
        if !self.ending {
            self.send_frame(frame::ERROR, why.as_bytes());
            self.ending = true;
        }
    }

    /// Takes the terminal away: the client has it back from now on.
    pub fn release(&mut self) {
        self.terminal = None;
        self.to_terminal = Queue::default();
        self.ending = true;
    }

    /// Writes what the control connection takes.
    pub fn flush_control(&mut self) {
        if self.to_control.flush(&self.control).is_err() {
            self.to_control = Queue::default();
            self.ending = true;
        }
    }

    /// Writes what the terminal takes.
    pub fn flush_terminal(&mut self) {
        let Some(terminal) = &self.terminal else { return };
        if self.to_terminal.flush(terminal).is_err() {
            self.release();
        }
    }

    /// Reads from the control connection into `frames`; keeps a terminal that comes along with HELLO.
    /// False at the connection's end.
    pub fn receive(&mut self, buffer: &mut [u8]) -> bool {
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [std::io::IoSliceMut::new(buffer)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = match rustix::net::recvmsg(&self.control, &mut parts, &mut ancillary, flags) {
            Ok(received) => received.bytes,
            Err(Errno::AGAIN | Errno::INTR) => return true,
            Err(_) => 0,
        };
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                // all are taken out of the message, so that those not wanted are closed
                for fd in descriptors {
                    if self.hello.is_none() && self.terminal.is_none() {
                        self.terminal = os::own_terminal(&fd);
                    }
                }
            }
        }
        self.frames.push(&buffer[..received]);
        received > 0
    }

    /// Begins to show the screen: to have missed everything is to be behind from the first line on.
    pub fn attach(&mut self) {
        self.lag = Some(Lag::new(0, Some(0)));
        self.mark_due = true;
    }

    /// Its terminal is told what it shows once more, or that it shows `mark` now.
    pub fn announce(&mut self, mark: Option<&str>, stage: &Stage) {
        let Some(hello) = self.hello.as_mut().filter(|hello| hello.mark.is_some()) else { return };
        if let Some(mark) = mark {
            hello.mark = Some(mark.to_owned());
        }
        self.mark_due = true;
        self.pass_mark(stage);
    }

    /// Writes the mark that is due, if this client has the stream and the stream is between two sequences
    /// and characters. One that is behind gets it with the screen.
    pub fn pass_mark(&mut self, stage: &Stage) {
        if self.mark_due && self.lag.is_none() && stage.is_at_boundary() {
            let mut out = vec![];
            self.take_mark(&mut out);
            self.show(&out);
        }
    }

    fn take_mark(&mut self, out: &mut Vec<u8>) {
        let mark = self.hello.as_ref().and_then(|hello| hello.mark.as_deref());
        if std::mem::take(&mut self.mark_due)
            && let Some(mark) = mark.filter(|mark| mark.len() <= MARK_BYTES_MAX)
        {
            out.extend(mark::sequence(mark));
        }
    }

    /// The terminal has another size: what it shows is to be laid out anew, beginning `lines` lines
    /// of history above, which a terminal that grew has drawn back into view.
    pub fn relayout(&mut self, stage: &Stage, lines: u64) {
        if self.lag.is_none() {
            self.lag = Some(Lag::new(stage.end_offset(), Some(stage.next_line().saturating_sub(lines))));
        }
        if let Some(lag) = &mut self.lag {
            lag.shown = None;
        }
    }

    /// Passes on this round's output, or loses the stream.
    pub fn pass(&mut self, stage: &Stage, gets_bells: bool) {
        let has_bells = gets_bells && stage.for_one().next().is_some();
        if self.lag.is_none() {
            let length = stage.round().len();
            if self.waiting() + length <= STREAM_BYTES_MAX && self.size() == Some(stage.size()) {
                return if has_bells { self.show(&stage.round_for_one()) } else { self.show(stage.round()) };
            }
            self.lag = Some(Lag::new(stage.round_offset(), None));
        }
        if has_bells {
            for bytes in stage.for_one().filter(|bytes| bytes.len() <= OWED_BYTES_MAX) {
                self.owed.extend(bytes);
                let excess = self.owed.len().saturating_sub(OWED_BYTES_MAX);
                if excess > 0 {
                    self.owed.clear();
                }
            }
        }
    }

    /// Where the layout must stop to learn this client's first missed line.
    pub fn line_offset(&self) -> Option<u64> {
        self.lag.as_ref().filter(|lag| lag.line.is_none()).map(|lag| lag.offset)
    }

    /// The layout has moved: notes the number of the first missed line if that is where it stands.
    pub fn note_line(&mut self, stage: &Stage) {
        if let Some(lag) = &mut self.lag
            && lag.line.is_none()
            && lag.offset <= stage.laid_offset()
        {
            lag.line = Some(stage.next_line());
        }
    }

    /// Lays out up to where it lost the stream, before more would hide the number of the line there.
    fn find_line(&mut self, stage: &mut Stage) {
        if let Some(offset) = self.line_offset() {
            let missing = offset.saturating_sub(stage.laid_offset());
            stage.lay_out(usize::try_from(missing).unwrap_or(usize::MAX));
            self.note_line(stage);
        }
    }

    /// When it is to be caught up next; none if it waits for something else.
    pub fn due(&self, stage: &Stage) -> Option<Instant> {
        let lag = self.lag.as_ref()?;
        if self.ending || self.waiting() > 0 {
            return None;
        }
        if self.size() == Some(stage.size()) {
            return Some(if stage.is_at_rest() { lag.since } else { lag.rest_over() });
        }
        (lag.shown != Some(stage.end_offset())).then_some(lag.next_paint)
    }

    /// Brings it back onto the stream, or at least shows it the screen. `flood`: more output comes in at
    /// this moment.
    pub fn catch_up(&mut self, stage: &mut Stage, now: Instant, flood: bool) {
        let Some(lag) = &self.lag else { return };
        if self.ending || self.waiting() > 0 {
            return;
        }
        let Some(size) = self.size() else { return };
        if size != stage.size() || flood {
            if now >= lag.next_paint && lag.shown != Some(stage.end_offset()) && !stage.is_in_update() {
                self.paint(stage, size, now);
            }
        } else if stage.is_at_rest() || now >= lag.rest_over() {
            self.restore(stage);
        }
    }

    /// The screen as it is now, clipped or with room left over.
    fn paint(&mut self, stage: &mut Stage, size: Size, now: Instant) {
        self.find_line(stage);
        let begun = Instant::now();
        let own = stage.size();
        let mut out = vec![];
        let note = format!(
            "── {}×{}, the size of another window: type here to have it yours ──",
            own.cols, own.rows
        );
        stage.screen().paint(size.cols, size.rows, &note, &mut out);
        self.take_mark(&mut out);
        out.extend(self.owed.drain(..));
        self.show(&out);
        let pause = Duration::from_millis(REPAINT_MS_MIN).max(begun.elapsed() * REPAINT_SHARE);
        if let Some(lag) = &mut self.lag {
            lag.next_paint = now + pause;
            lag.shown = Some(stage.end_offset());
        }
    }

    /// All of the state, and the lines that it missed.
    pub fn restore(&mut self, stage: &mut Stage) {
        self.find_line(stage);
        let Some(lag) = self.lag.take() else { return };
        let from = lag.line.unwrap_or_else(|| stage.next_line());
        let screen = stage.screen();
        let first = screen.history().first();
        let mut out = Vec::with_capacity(16 << 10);
        // cancel whatever is unfinished, and show nothing of what follows until it is complete
        out.extend_from_slice(b"\x18\x1b[?2026h");
        out.extend_from_slice(reset::RESET);
        out.extend_from_slice(reset::CLEAR);
        if from < first {
            out.extend_from_slice(format!("\x1b[2m… {} lines not kept …\x1b[m\r\n", first - from).as_bytes());
        }
        screen.dump(from, &mut out);
        self.take_mark(&mut out);
        out.extend(self.owed.drain(..));
        self.show(&out);
    }

    /// Whether it is behind.
    pub fn is_behind(&self) -> bool {
        self.lag.is_some()
    }

    /// Bytes for its terminal that wait.
    fn waiting(&self) -> usize {
        if self.terminal.is_some() { self.to_terminal.waiting() } else { self.to_control.waiting() }
    }

    /// Writes to the terminal, by itself or through the client.
    fn show(&mut self, bytes: &[u8]) {
        let Some(terminal) = &self.terminal else {
            return self.send_frames(|out| keeper::encode_bytes(frame::OUTPUT, bytes, out));
        };
        if self.to_terminal.send(terminal, bytes).is_err() {
            self.release();
        }
    }
}

impl Lag {
    fn new(offset: u64, line: Option<u64>) -> Self {
        let now = Instant::now();
        Self { offset, line, since: now, next_paint: now, shown: None }
    }

    fn rest_over(&self) -> Instant {
        self.since + Duration::from_millis(REST_MS_MAX)
    }
}

/// Bytes that wait for a descriptor to take them.
#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    sent: usize,
}

impl Queue {
    fn waiting(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Writes now what can be written, and queues the rest.
    fn send(&mut self, fd: &OwnedFd, bytes: &[u8]) -> Result<(), Errno> {
        let written = if self.waiting() == 0 { write_some(fd, bytes)? } else { 0 };
        self.bytes.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    fn flush(&mut self, fd: &OwnedFd) -> Result<(), Errno> {
        self.sent += write_some(fd, &self.bytes[self.sent..])?;
        if self.sent == self.bytes.len() {
            self.sent = 0;
            self.bytes.clear();
            if self.bytes.capacity() > IDLE_QUEUE_BYTES_MAX {
                self.bytes = Vec::new();
            }
        }
        Ok(())
    }
}

/// Writes until the descriptor takes no more; returns how much it took.
pub fn write_some(fd: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
    let mut written = 0;
    while written < bytes.len() {
        match rustix::io::write(fd, &bytes[written..]) {
            Ok(n) => written += n,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(written)
}
