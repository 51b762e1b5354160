//! Between a keeper and everybody else. A keeper may be years older than the daemon that talks to
//! it, so this is the most conservative part of the contract: frames are
//! `kind (1 byte) · length (u32, little endian) · payload`, payloads are MessagePack maps except for
//! raw terminal bytes, unknown kinds and keys are skipped, and `golden/` holds the bytes of all.
//!
//! A run lives in a directory of its own, `runs/RUN_ID`:
//!
//! | file | what |
//! |---|---|
//! | `lock` | locked (`flock`) for as long as the keeper lives |
//! | `sock` | the keeper's socket |
//! | `meta` | [`RunMeta`], MessagePack, written before the program starts |
//! | `log`, `log.1`, … | the program's output, `log` being the newest |
//! | `screen` | the last screen as escape sequences, written at the end |
//! | `exit` | [`ExitRecord`], MessagePack, written by rename when the program and all it started are gone |

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the keeper's protocol.
pub const VERSION: u32 = 1;
/// Largest payload, in bytes, either way.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// Environment variable that marks every process of a run: its value is the run's id.
pub const RUN_MARK: &str = "WEZTERM_PARALLEL_RUN";
/// Environment variable with the id of the process that a program runs as.
pub const PROCESS_MARK: &str = "WEZTERM_PARALLEL_PROCESS";

/// User variable of a WezTerm pane (`OSC 1337 ; SetUserVar`) that says what the pane shows:
/// `WORKSPACE/PROCESS`; empty if it shows nothing of ours any more.
pub const USER_VARIABLE: &str = "wezterm_parallel";
/// Longest [`Hello::mark`], in bytes. A name has at most 64 characters, and a mark two of them.
pub const MARK_BYTES_MAX: usize = 1 << 10;

/// Kinds of frames, a byte each.
pub mod frame {
    /// To the keeper: [`super::Hello`]. The first frame; an attaching client passes its terminal along
    /// as a descriptor (`SCM_RIGHTS`).
    pub const HELLO: u8 = b'H';
    /// To the keeper: raw bytes for the program.
    pub const INPUT: u8 = b'I';
    /// To the keeper: [`super::Size`].
    pub const RESIZE: u8 = b'R';
    /// To the keeper: [`super::StopRun`].
    pub const STOP: u8 = b'S';
    /// To the keeper, nothing; from it, raw bytes: the screen as escape sequences, in as many frames as
    /// it needs. A frame shorter than [`super::PAYLOAD_BYTES_MAX`] is the last one, even if it is empty.
    pub const SCREEN: u8 = b'C';
    /// From the keeper: [`super::Welcome`].
    pub const WELCOME: u8 = b'W';
    /// From the keeper: raw bytes of the program, for clients that passed no terminal.
    pub const OUTPUT: u8 = b'O';
    /// From the keeper: [`super::ProgramStatus`].
    pub const STATUS: u8 = b'P';
    /// From the keeper: [`super::Title`].
    pub const TITLE: u8 = b'T';
    /// From the keeper: [`super::Attached`].
    pub const ATTACHED: u8 = b'A';
    /// From the keeper: [`super::Looked`].
    pub const LOOKED: u8 = b'L';
    /// To the keeper: [`super::Type`]. For who steers: bytes for the program, on a condition.
    pub const TYPE: u8 = b'K';
    /// From the keeper: [`super::Typed`], the answer to [`TYPE`].
    pub const TYPED: u8 = b'k';
    /// To the keeper: nothing, or a text that takes the place of every [`super::Hello::mark`]. Each client
    /// that has one is shown it anew. Keepers of before do not know it, and skip it.
    pub const ANNOUNCE: u8 = b'N';
    /// From the keeper: [`super::Progress`].
    pub const PROGRESS: u8 = b'G';
    /// From the keeper: the client's detach key was pressed. Nothing follows.
    pub const DETACHED: u8 = b'D';
    /// From the keeper: [`super::ExitRecord`]. Nothing follows.
    pub const EXIT: u8 = b'X';
    /// From the keeper: a text that says why it ends the connection.
    pub const ERROR: u8 = b'E';
}

/// What a run is: given to a keeper on its standard input. Never on a command line, where everybody
/// could read the environment.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunSpec {
    /// The run's id (a ULID); also the name of its directory.
    pub run_id: String,
    /// Id of the process it is a run of.
    pub process_id: String,
    /// Directory that holds the directories of all runs.
    pub runs_dir: PathBuf,
    /// A terminal or pipes.
    pub mode: Mode,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Where to run it.
    pub cwd: PathBuf,
    /// Its whole environment. The keeper adds [`RUN_MARK`] and [`PROCESS_MARK`].
    pub env: IndexMap<String, String>,
    /// Columns and rows of its terminal until somebody attaches.
    pub size: Size,
    /// How many bytes of scrolled-off text are kept.
    pub history_bytes: u64,
    /// Size of one log file, in bytes.
    pub log_bytes: u64,
    /// How many log files are kept, the current one included; at least 1.
    pub log_files: u32,
    /// Whether the program is told that its status is welcome (`OSC 7501`).
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub program_status: bool,
    /// What it finds on its standard input, if it is connected by pipes. Never on a command line, where
    /// everybody could read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_true(v: &bool) -> bool {
    *v
}

impl std::fmt::Debug for RunSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // the environment holds secrets, and arguments may
        f.debug_struct("RunSpec")
            .field("run_id", &self.run_id)
            .field("program", &self.command.first())
            .finish_non_exhaustive()
    }
}

/// How the program is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By a terminal of its own.
    Pty,
    /// By pipes: [`RunSpec::input`] on its standard input, output and errors into the log.
    Pipe,
}

/// Size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Size {
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
}

/// What a keeper says on its standard output, once, as soon as the program runs or cannot run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartReport {
    /// The program runs.
    Started {
        /// Process id of the keeper.
        keeper_pid: i32,
        /// Process id of the program.
        pid: i32,
        /// When, in milliseconds since 1970.
        started_at: i64,
    },
    /// There is a run of this id already. This keeper has ended.
    Exists,
    /// The program could not be started. This keeper has ended and left nothing.
    Failed {
        /// Why.
        reason: StartFailure,
        /// Why, in words.
        message: String,
    },
}

/// Why a program could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartFailure {
    /// There is no such program, or it may not be run.
    Program,
    /// There is no such directory, or it may not be entered.
    Cwd,
    /// The machine refused: no memory, no terminal, no room on the disk.
    System,
}

/// Who runs here: the file `meta`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunMeta {
    /// The run's id.
    pub run_id: String,
    /// Id of the process it is a run of.
    pub process_id: String,
    /// Process id of the keeper.
    pub keeper_pid: i32,
    /// Version of the program that the keeper is.
    pub version: String,
}

/// The first frame of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "KeeperHello")]
pub struct Hello {
    /// Version of the client's protocol.
    pub version: u32,
    /// What the client is here for.
    pub role: Role,
    /// Size of its terminal, for those who attach.
    #[serde(default)]
    pub size: Option<Size>,
    /// Byte values of the key that detaches, as a plain terminal sends it; empty for none.
    #[serde(default, with = "raw")]
    #[schemars(with = "Vec<u8>")]
    pub detach_key: Vec<u8>,
    /// Never decides the size and sends no input.
    #[serde(default)]
    pub read_only: bool,
    /// What its terminal is told to show, for those who attach from WezTerm: the user variable
    /// [`USER_VARIABLE`] has it. At most [`MARK_BYTES_MAX`] bytes; a longer one is told to nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
}

impl Hello {
    /// Of a client that has no terminal.
    pub fn new(role: Role) -> Self {
        Self { version: VERSION, role, size: None, detach_key: Vec::new(), read_only: true, mark: None }
    }
}

/// What a client of a keeper is here for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// To see and to type.
    Attach,
    /// To steer: status, titles, exit, stop. The daemon.
    Control,
    /// To read the program's bytes as they come, from the log's end at [`Welcome::log_offset`] on.
    Observe,
}

/// The first frame of a keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "KeeperWelcome")]
pub struct Welcome {
    /// Version of the keeper's protocol.
    pub version: u32,
    /// The run's id.
    pub run_id: String,
    /// Process id of the keeper.
    pub keeper_pid: i32,
    /// Process id of the program.
    pub pid: i32,
    /// When it was started, in milliseconds since 1970.
    pub started_at: i64,
    /// Size of its terminal now.
    pub size: Size,
    /// Bytes of output so far, all log files together, the dropped ones too.
    pub log_offset: u64,
    /// The last thing the program said of itself.
    #[serde(default)]
    pub status: Option<ProgramStatus>,
    /// The title that it gave its terminal.
    #[serde(default)]
    pub title: Option<String>,
    /// How many are attached.
    #[serde(default)]
    pub attached: u32,
    /// As in [`Looked`]: the newest report that somebody has seen.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub looked_seq: u64,
    /// The program's last progress report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// It answers [`frame::TYPE`]. Keepers of before do not know that frame, and skip it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub can_type: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What the program said of itself by `OSC 7501`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProgramStatus {
    /// Grows by one with each.
    pub seq: u64,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// What stands between `7501;` and the end of the sequence.
    pub body: String,
}

/// The program's title changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Title {
    /// The title; empty if it was taken back.
    pub title: String,
}

/// Somebody attached or left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attached {
    /// How many are attached now.
    pub clients: u32,
}

/// Somebody typed, or gave the window the focus: whatever the program had said of itself is seen. Told
/// once after each [`ProgramStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Looked {
    /// The newest [`ProgramStatus::seq`] then.
    pub seq: u64,
}

/// The program's progress report changed (`OSC 9;4`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "KeeperProgress")]
pub struct Progress {
    /// Grows by one with each.
    pub seq: u64,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// 0 none, 1 so many percent, 2 error, 3 under way without a figure, 4 paused.
    pub state: u8,
    /// Percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<u8>,
}

/// Bytes for the program, typed only if nothing has happened in between: so that no word goes into a
/// dialog that has just opened.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Type {
    /// Number of this order, which the answer repeats.
    pub id: u64,
    /// The newest [`ProgramStatus::seq`] that the sender knows; if the program has said something newer,
    /// nothing is typed. None: whatever it has said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_seq: Option<u64>,
    /// Nothing is typed if an attached client has typed within so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_ms: Option<u64>,
    /// The bytes.
    #[serde(with = "raw")]
    #[schemars(with = "Vec<u8>")]
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // a prompt may hold secrets
        f.debug_struct("Type").field("id", &self.id).field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// What became of a [`Type`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Typed {
    /// Number of the order.
    pub id: u64,
    /// Why nothing was typed; none if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<TypeRefusal>,
    /// The newest [`ProgramStatus::seq`] then.
    pub status_seq: u64,
}

/// Why nothing was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TypeRefusal {
    /// The program has said something since.
    Status,
    /// Somebody is typing.
    Person,
    /// The program does not read its input, or has no terminal.
    Full,
}

/// End the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StopRun {
    /// Milliseconds between SIGTERM and SIGKILL; 0 kills at once.
    pub grace_ms: u64,
}

/// How a run ended: the file `exit` and the last frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExitRecord {
    /// Exit code, if it ended by itself.
    pub code: Option<i32>,
    /// Signal, if it was ended by one.
    pub signal: Option<i32>,
    /// When, in milliseconds since 1970.
    pub ended_at: i64,
    /// Whether [`StopRun`] had been asked for.
    #[serde(default)]
    pub stopped: bool,
    /// How many processes it had left behind, which were killed.
    #[serde(default)]
    pub leftovers: u32,
    /// CPU time of the program and its children, in milliseconds.
    #[serde(default)]
    pub cpu_ms: u64,
    /// Largest resident size of one of them, in KiB.
    #[serde(default)]
    pub max_rss_kib: u64,
    /// Bytes of output that could not be written to the log.
    #[serde(default)]
    pub log_lost: u64,
    /// What happened, where no status tells: the keeper was killed.
    #[serde(default)]
    pub note: Option<String>,
}

impl ExitRecord {
    /// Ended by itself with code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
    /// `exit code 1`, `signal 9 (SIGKILL)`.
    pub fn text(&self) -> String {
        match (self.code, self.signal, &self.note) {
            (Some(code), ..) => format!("exit code {code}"),
            (_, Some(n), _) => match signal_name(n) {
                Some(name) => format!("signal {n} ({name})"),
                None => format!("signal {n}"),
            },
            (.., Some(note)) => note.clone(),
            _ => "ended for an unknown reason".into(),
        }
    }
}

fn signal_name(n: i32) -> Option<&'static str> {
    Some(match n {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return None,
    })
}

/// Bytes of a frame before its payload: kind and length.
pub const HEADER_BYTES: usize = 5;
/// A decoder gives its memory back above this. Ordinary frames are a few hundred bytes; only relayed
/// screens are larger, and those are rare.
const IDLE_BUFFER_BYTES_MAX: usize = 4 << 10;

/// Appends one frame. The payload must not be larger than [`PAYLOAD_BYTES_MAX`]: split raw bytes.
pub fn encode(kind: u8, payload: &[u8], out: &mut Vec<u8>) {
    debug_assert!(
        payload.len() <= PAYLOAD_BYTES_MAX,
        "a payload above the limit is refused by the other side"
    );
    let length = u32::try_from(payload.len()).expect("a payload is at most PAYLOAD_BYTES_MAX bytes");
    out.reserve(HEADER_BYTES + payload.len());
    out.push(kind);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(payload);
}

/// Appends raw terminal bytes as as many frames of one kind as they need.
pub fn encode_bytes(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    for part in bytes.chunks(PAYLOAD_BYTES_MAX) {
        encode(kind, part, out);
    }
}

/// Finds the frames in a stream of bytes that arrives in pieces of any size. It holds at most one
/// frame and what came along with it.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
    taken: usize,
}

/// A frame said to be larger than [`PAYLOAD_BYTES_MAX`]. Nothing after it can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameTooLong {
    /// The length it stated, in bytes.
    pub bytes: u32,
}

impl std::fmt::Display for FrameTooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a frame of {} bytes is above the limit of {PAYLOAD_BYTES_MAX}", self.bytes)
    }
}

impl std::error::Error for FrameTooLong {}

impl Frames {
    /// Adds bytes as they were read. Take all frames out before adding more.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > IDLE_BUFFER_BYTES_MAX {
            self.buffer = Vec::new();
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one: its kind and its payload.
    ///
    /// # Errors
    /// A length above [`PAYLOAD_BYTES_MAX`], as soon as the header is there.
    pub fn take(&mut self) -> Result<Option<(u8, &[u8])>, FrameTooLong> {
        let Some((&[kind, a, b, c, d], rest)) = self.buffer[self.taken..].split_first_chunk() else {
            return Ok(None);
        };
        let bytes = u32::from_le_bytes([a, b, c, d]);
        let length = bytes as usize;
        if length > PAYLOAD_BYTES_MAX {
            return Err(FrameTooLong { bytes });
        }
        if rest.len() < length {
            return Ok(None);
        }
        let start = self.taken + HEADER_BYTES;
        self.taken = start + length;
        Ok(Some((kind, &self.buffer[start..start + length])))
    }

    /// Whether bytes of an unfinished frame are held.
    pub fn is_partial(&self) -> bool {
        self.taken < self.buffer.len()
    }
}

/// Bytes as MessagePack `bin`, not as an array of numbers.
mod raw {
    use serde::{Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(v: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(v)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: de::Error>(self, v: &[u8]) -> Result<Vec<u8>, E> {
                Ok(v.to_vec())
            }
        }
        d.deserialize_bytes(Visitor)
    }
}
