//! `process logs`: what the runs of a process wrote, read from their files. Also of a process that is
//! dead, and also while the daemon is restarted.

use std::{
    fs::{File, Metadata},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, Sender},
    thread,
};

use anstream::adapter::StripBytes;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use wezterm_parallel_schemas::{
    error::Code,
    event::{EventKind, Subscribe},
    method::{AttachProcess, SubscribeCall},
    process::{AttachPoint, State},
};

use crate::{
    app::App,
    arguments::Logs,
    connection::{CallContext, CallError},
    failure::{Context, Failure, Outcome},
    output,
    target::Target,
};

/// Bytes read at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Read of the end of a log for its last lines: some screens, also of a program that draws.
const TAIL_BYTES: u64 = 256 << 10;
/// More log files of a run than this are not looked for: as many as the config allows by far.
const FILES_MAX: u32 = 1_000;

/// `process logs`.
pub fn run(app: &App, args: &Logs) -> Outcome {
    let target = &args.process;
    let what = || format!("read the log of `{target}`");
    let mut daemon = app.connect()?;
    if args.follow {
        return follow(app, args);
    }
    let point = daemon.ask::<AttachProcess>(&target.params()).to(what)?;
    let Some(dir) = point.run_dir else {
        return Err(Failure::new(what(), "it has not run yet"));
    };
    let mut sink = Sink::new(io::stdout().lock(), args.raw);
    RunLog::new(dir).copy_to(&mut sink).map_err(|e| unread(&e, target))?;
    sink.end().map_err(|e| unread(&e, target))
}

fn unread(error: &io::Error, target: &Target) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::output(error),
        _ => Failure::new(format!("read the log of `{target}`"), error),
    }
}

/// What a follower is woken by.
enum Woken {
    /// Something was written.
    Written,
    /// How the process stands now; none if it was removed.
    Process(Option<Box<AttachPoint>>),
    /// The daemon is gone.
    NoDaemon,
}

/// Goes on with what is written, over restarts, until the process is removed or the daemon ends.
fn follow(app: &App, args: &Logs) -> Outcome {
    let target = &args.process;
    let what = || format!("follow the log of `{target}`");
    let (sender, woken) = mpsc::channel();
    let first = watch_process(app, target, sender.clone())?;
    let written = move || {
        // who followed has gone
        let _ = sender.send(Woken::Written);
    };
    let mut watcher = watch_files(written).failed_to(what)?;

    let mut sink = Sink::new(io::stdout().lock(), args.raw);
    let mut log: Option<RunLog> = None;
    let mut turn = |dir: Option<PathBuf>, log: &mut Option<RunLog>| -> Outcome {
        if let Some(dir) = dir.filter(|dir| log.as_ref().is_none_or(|log| log.dir != *dir)) {
            if let Some(mut old) = log.take() {
                // its last words
                old.copy_to(&mut sink).map_err(|e| unread(&e, target))?;
                let _ = watcher.unwatch(&old.dir);
            }
            watcher.watch(&dir, RecursiveMode::NonRecursive).failed_to(what)?;
            *log = Some(RunLog::new(dir));
        }
        match log {
            Some(log) => log.copy_to(&mut sink).map_err(|e| unread(&e, target)),
            None => Ok(()),
        }
    };
    turn(first.run_dir, &mut log)?;
    follow_until_removed(&woken, target, |dir| turn(dir, &mut log))
}

fn follow_until_removed(
    woken: &Receiver<Woken>,
    target: &Target,
    mut turn: impl FnMut(Option<PathBuf>) -> Outcome,
) -> Outcome {
    loop {
        match woken.recv().expect("its senders live as long as this") {
            Woken::Written => turn(None)?,
            // a run that is about to start has no directory yet
            Woken::Process(Some(point)) if point.process.state == State::Starting => turn(None)?,
            Woken::Process(Some(point)) => turn(point.run_dir)?,
            Woken::Process(None) => {
                turn(None)?;
                output::note(format_args!("{target} was removed"));
                return Ok(());
            }
            Woken::NoDaemon => {
                turn(None)?;
                return Err(Failure::new(format!("follow the log of `{target}`"), "the daemon has ended")
                    .hint("start it with `wezterm-parallel daemon`, then follow again"));
            }
        }
    }
}

/// Has a thread report every change of the process; gives how it stands now.
fn watch_process(app: &App, target: &Target, sender: Sender<Woken>) -> Outcome<AttachPoint> {
    let what = || format!("follow the log of `{target}`");
    let mut daemon = app.connect()?;
    let topics = vec!["process".to_owned(), "workspace".to_owned(), "daemon".to_owned()];
    daemon.ask::<SubscribeCall>(&Subscribe { topics, from_seq: None }).to(what)?;
    let first = daemon.ask::<AttachProcess>(&target.params()).to(what)?;
    let (params, id) = (target.params(), first.process.id.clone());
    thread::spawn(move || {
        loop {
            let event = match daemon.next_event(None) {
                Ok(Some(event)) => event,
                Ok(None) => continue,
                Err(_) => return sender.send(Woken::NoDaemon),
            };
            let removed = matches!(event.kind, EventKind::ProcessRemoved | EventKind::WorkspaceRemoved);
            if event.id.as_ref() != Some(&id) && !removed {
                continue;
            }
            let point = match daemon.ask::<AttachProcess>(&params) {
                Ok(point) => Some(Box::new(point)),
                Err(CallError::Refused(e)) if e.code == Code::NotFound => None,
                Err(_) => return sender.send(Woken::NoDaemon),
            };
            sender.send(Woken::Process(point))?;
        }
    });
    Ok(first)
}

/// Watches directories that are named later; `written` hears that something was written in one.
pub fn watch_files(mut written: impl FnMut() + Send + 'static) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // our own reading is an event as well
        if !event.is_ok_and(|e| e.kind.is_access()) {
            written();
        }
    })
}

/// The log files of one run, read once, in the order in which they were written: `log.2`, `log.1`,
/// `log`. A file is known by its inode, since it gets another name when a newer one is begun.
pub struct RunLog {
    /// The directory of the run.
    pub dir: PathBuf,
    open: Option<File>,
}

impl RunLog {
    /// The files in the directory of a run.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, open: None }
    }

    /// Copies what is there and has not been copied yet.
    pub fn copy_to(&mut self, sink: &mut impl Write) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            if let Some(file) = &mut self.open {
                loop {
                    match file.read(&mut chunk) {
                        Ok(0) => break,
                        Ok(n) => sink.write_all(&chunk[..n])?,
                        Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                        Err(e) => return Err(e),
                    }
                }
            }
            match self.newer()? {
                Some(file) => self.open = Some(file),
                None => return sink.flush(),
            }
        }
    }

    /// The file after the one that is open, or the oldest one.
    fn newer(&self) -> io::Result<Option<File>> {
        let files = log_files(&self.dir);
        let open = self.open.as_ref().map(File::metadata).transpose()?;
        let next = match open {
            None => files.last(),
            Some(open) => match files.iter().position(|(_, m)| same_file(m, &open)) {
                Some(0) => None,
                Some(at) => files.get(at - 1),
                // so much was written that it is gone: go on with the oldest that is left
                None => files.last(),
            },
        };
        // one that was renamed since is found at the next event
        Ok(next.and_then(|(path, _)| File::open(path).ok()))
    }
}

fn same_file(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// The log files of a run, the newest first.
fn log_files(dir: &Path) -> Vec<(PathBuf, Metadata)> {
    let rotated = (1..FILES_MAX).map(|n| dir.join(format!("log.{n}")));
    std::iter::once(dir.join("log"))
        .chain(rotated)
        .map_while(|path| path.metadata().ok().map(|metadata| (path, metadata)))
        .collect()
}

/// The last words of a run, as plain text: at most so many lines, the newest last.
pub fn last_lines(dir: &Path, lines_max: usize) -> io::Result<Vec<String>> {
    let mut file = File::open(dir.join("log"))?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let mut plain = Vec::new();
    let mut sink = Sink::new(&mut plain, false);
    sink.write_all(&bytes)?;
    sink.end()?;
    let text = String::from_utf8_lossy(&plain);
    // where it begins in the middle, the first line is half of one
    let lines: Vec<&str> = text.lines().skip(usize::from(from > 0)).collect();
    Ok(lines[lines.len().saturating_sub(lines_max)..].iter().map(|line| (*line).to_owned()).collect())
}

/// Writes a program's bytes as they are, or as plain text: without escape sequences, and with the
/// line ends of a terminal (`\r\n`, and `\r` to write over a line) as the ends of lines.
pub struct Sink<W> {
    out: W,
    strip: Option<StripBytes>,
    /// A `\r` has come whose line end has not been written yet.
    returned: bool,
}

impl<W: Write> Sink<W> {
    /// Writes to `out`.
    pub fn new(out: W, raw: bool) -> Self {
        Self { out, strip: (!raw).then(StripBytes::new), returned: false }
    }

    /// Where it writes to.
    pub fn out(&self) -> &W {
        &self.out
    }

    /// Writes what was held back.
    pub fn end(&mut self) -> io::Result<()> {
        if self.strip.is_some() && std::mem::take(&mut self.returned) {
            self.out.write_all(b"\n")?;
        }
        self.flush()
    }
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(strip) = &mut self.strip else { return self.out.write_all(bytes) };
        let mut plain = Vec::with_capacity(bytes.len());
        for part in strip.strip_next(bytes) {
            for &byte in part {
                match byte {
                    b'\r' => self.returned = true,
                    b'\n' => {
                        self.returned = false;
                        plain.push(b'\n');
                    }
                    _ => {
                        if std::mem::take(&mut self.returned) {
                            plain.push(b'\n');
                        }
                        plain.push(byte);
                    }
                }
            }
        }
        self.out.write_all(&plain)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn plain(chunks: &[&str]) -> String {
        let mut out = Vec::new();
        let mut sink = Sink::new(&mut out, false);
        for chunk in chunks {
            sink.write_all(chunk.as_bytes()).expect("a vector takes all");
        }
        sink.end().expect("a vector takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn escape_sequences_go_wherever_they_are_cut_and_text_stays() {
        for (chunks, text) in [
            (&["a\tb\r\n"][..], "a\tb\n"),
            (&["\x1b[1;3", "1mred\x1b", "[0m ok\r", "\n"], "red ok\n"),
            (&["\x1b]0;title\x07日本", "語"], "日本語"),
            (&["10%\r20%\rdone\r\r\n"], "10%\n20%\ndone\n"),
            (&["\x1b[?1049h\x1b[2J\x1b[Hscreen"], "screen"),
        ] {
            assert_eq!(plain(chunks), text, "{chunks:?}");
        }
    }

    #[test]
    fn raw_is_raw() {
        let mut out = Vec::new();
        let mut sink = Sink::new(&mut out, true);
        sink.write_all(b"\x1b[31mred\r\n\xff").and_then(|()| sink.end()).expect("a vector takes all");
        assert_eq!(out, b"\x1b[31mred\r\n\xff");
    }

    fn read_on(log: &mut RunLog) -> String {
        let mut out = Vec::new();
        log.copy_to(&mut Sink::new(&mut out, false)).expect("read");
        String::from_utf8(out).expect("text")
    }

    /// What a keeper does when a file is full.
    fn rotate(dir: &Path, keep: u32) {
        for n in (0..keep).rev() {
            let name = |n: u32| dir.join(if n == 0 { "log".into() } else { format!("log.{n}") });
            let _ = fs::rename(name(n), name(n + 1));
        }
        let _ = fs::remove_file(dir.join(format!("log.{keep}")));
        fs::write(dir.join("log"), "").expect("a file");
    }

    #[test]
    fn files_are_read_oldest_first_and_once_however_they_are_renamed() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |text: &str| {
            let mut log = fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(dir.path().join("log"))
                .expect("a file");
            log.write_all(text.as_bytes()).expect("written");
        };
        let mut log = RunLog::new(dir.path().to_owned());
        assert_eq!(read_on(&mut log), "", "not a line yet");
        write("1 ");
        rotate(dir.path(), 3);
        write("2 ");
        assert_eq!(read_on(&mut log), "1 2 ");
        assert_eq!(read_on(&mut log), "");
        write("3 ");
        rotate(dir.path(), 3);
        write("4 ");
        rotate(dir.path(), 3);
        write("5 ");
        assert_eq!(read_on(&mut log), "3 4 5 ");
        for n in 6..12 {
            rotate(dir.path(), 3);
            write(&format!("{n} "));
        }
        assert_eq!(read_on(&mut log), "9 10 11 ", "what is gone is gone, the rest comes in order");
    }

    #[test]
    fn what_is_followed_ends_when_the_process_is_removed() {
        let (sender, woken) = mpsc::channel();
        let target: Target = "api/lead".parse().expect("a name");
        sender.send(Woken::Written).expect("sent");
        sender.send(Woken::Process(None)).expect("sent");
        let mut turns = 0;
        let end = follow_until_removed(&woken, &target, |_| {
            turns += 1;
            Ok(())
        });
        assert_eq!((end, turns), (Ok(()), 2), "what was written before the end is still shown");
        sender.send(Woken::NoDaemon).expect("sent");
        assert!(follow_until_removed(&woken, &target, |_| Ok(())).is_err());
    }
}
