//! The programs that run under us and under the peers alike. Where a plain one will not do, this
//! executable is run again with a hidden first argument.

use std::{
    fs,
    io::{BufWriter, Read, Write},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    stdio::stdin,
    termios::{OptionalActions, tcgetattr, tcsetattr},
};

use crate::{
    failure::{Context, Try, failed},
    place::{DEADLINE, Place},
};

/// First argument that makes this executable one of the programs.
const AS: &str = "--as";
/// What the program for keys shows once it takes them.
pub const KEYS_READY: &str = "keys~ready";
/// What the program for floods shows once it waits for Enter.
pub const FLOOD_READY: &str = "flood~ready";

/// If this process is to be one of the programs, runs it and returns true.
pub fn run_if_asked(args: &[String]) -> Try<bool> {
    match args {
        [word, name, rest @ ..] if word == AS => match (name.as_str(), rest) {
            ("beat", [socket]) => beat(Path::new(socket)).map(|()| true),
            ("keys", []) => keys().map(|()| true),
            _ => Err(failed(format!("no such program: {name}"))),
        },
        _ => Ok(false),
    }
}

/// A program that does nothing, for ever.
pub fn sleeper() -> Vec<String> {
    ["sleep", "1000000"].map(Into::into).into()
}

/// A program that sends its process id to `beats` as soon as it runs, and then does nothing.
pub fn beater(beats: &Beats) -> Try<Vec<String>> {
    Ok(vec![own()?, AS.into(), "beat".into(), beats.path.to_string_lossy().into_owned()])
}

/// A program that shows [`KEYS_READY`] and then gives back each key as it comes.
pub fn key_echo() -> Try<Vec<String>> {
    Ok(vec![own()?, AS.into(), "keys".into()])
}

/// A program that shows [`FLOOD_READY`], and then at each Enter all of `file` and [`flood_end`].
pub fn flood(file: &Path) -> Vec<String> {
    let script = format!(
        "stty -echo; n=0; printf '{FLOOD_READY}\\n'; \
         while read -r line; do cat '{}'; n=$((n+1)); printf '\\nflood~%s~over\\n' $n; done",
        file.display()
    );
    ["sh", "-c", &script].map(Into::into).into()
}

/// What stands at the end of the flood of this number; they count from 1.
pub fn flood_end(number: usize) -> String {
    format!("flood~{number}~over")
}

/// A program that shows a file once, and then does nothing, for ever.
pub fn show(file: &Path) -> Vec<String> {
    let script = format!("cat '{}'; exec sleep 1000000", file.display());
    ["sh", "-c", &script].map(Into::into).into()
}

/// A program that shows [`greeting`], and then does nothing, for ever.
pub fn greeter(number: usize) -> Vec<String> {
    let script = format!("printf '{}'; exec sleep 1000000", greeting(number));
    ["sh", "-c", &script].map(Into::into).into()
}

/// What the [`greeter`] of this number shows.
pub fn greeting(number: usize) -> String {
    format!("here~{number}~")
}

/// What a text is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// ASCII alone, as in most logs.
    Plain,
    /// With colours and wide characters.
    Coloured,
}

/// Writes `bytes` of text in lines of many lengths, the same each time.
pub fn write_text(path: &Path, bytes: u64, text: Text) -> Try<()> {
    const PLAIN: [&str; 8] = ["fn", "supervisor", "let", "restart", "0.25s", "keeper", "=>", "workspace"];
    const COLOURED: [&str; 8] = [
        "fn",
        "supervisor",
        "let",
        "restart",
        "\x1b[32mpassed\x1b[0m",
        "\x1b[1;31mfailed\x1b[0m",
        "日本語",
        "workspace",
    ];
    let words = match text {
        Text::Plain => PLAIN,
        Text::Coloured => COLOURED,
    };
    let mut out = BufWriter::new(fs::File::create(path).failed_to("make a text")?);
    let (mut written, mut line, mut random) = (0, 0, 0x9e37_79b9_u32);
    while written < bytes {
        // xorshift: no measurement may depend on chance
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        let word = words[(random >> 7) as usize % words.len()];
        let end = line > 8 + (random >> 20) % 130;
        let separator = if end { '\n' } else { ' ' };
        write!(out, "{word}{separator}").failed_to("write a text")?;
        written += word.len() as u64 + 1;
        line = if end { 0 } else { line + word.len() as u32 + 1 };
    }
    out.flush().failed_to("write a text")
}

/// Hears from each [`beater`] that has begun to run.
pub struct Beats {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Beats {
    /// Listens in `place`.
    pub fn listen(place: &Place) -> Try<Self> {
        let path = place.path("beats");
        let socket = UnixDatagram::bind(&path).failed_to("listen for beats")?;
        Ok(Self { socket, path })
    }

    /// The process id of the next one that runs. None if none does before `patience` is over.
    pub fn next(&self, patience: Duration) -> Try<Option<i32>> {
        self.socket.set_read_timeout(Some(patience)).failed_to("set a timeout")?;
        let mut buffer = [0; 16];
        match self.socket.recv(&mut buffer) {
            Ok(n) => {
                let pid = str::from_utf8(&buffer[..n]).ok().and_then(|t| t.parse().ok());
                pid.map(Some).ok_or_else(|| failed("a beat that is no number"))
            }
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                Ok(None)
            }
            Err(e) => Err(e).failed_to("hear a beat"),
        }
    }

    /// Waits for this many.
    pub fn wait(&self, count: usize) -> Try<Vec<i32>> {
        let deadline = Instant::now() + DEADLINE;
        let mut pids = Vec::new();
        while pids.len() < count {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            match self.next(left)? {
                Some(pid) => pids.push(pid),
                None => return Err(failed(format!("only {} of {count} programs run", pids.len()))),
            }
        }
        Ok(pids)
    }
}

fn own() -> Try<String> {
    let path = std::env::current_exe().failed_to("find this executable")?;
    Ok(path.to_string_lossy().into_owned())
}

fn beat(socket: &Path) -> Try<()> {
    let out = UnixDatagram::unbound().failed_to("open a socket")?;
    out.send_to(std::process::id().to_string().as_bytes(), socket).failed_to("send a beat")?;
    loop {
        std::thread::park();
    }
}

fn keys() -> Try<()> {
    let mut settings = tcgetattr(stdin()).failed_to("read the terminal's settings")?;
    settings.make_raw();
    tcsetattr(stdin(), OptionalActions::Now, &settings).failed_to("set the terminal to raw")?;
    let (mut input, mut output) = (std::io::stdin().lock(), fs::File::from(copy_of_stdout()?));
    output.write_all(format!("{KEYS_READY}\r\n").as_bytes()).failed_to("write")?;
    let mut buffer = [0; 4096];
    while let n @ 1.. = input.read(&mut buffer).failed_to("read a key")? {
        output.write_all(&buffer[..n]).failed_to("write")?;
    }
    Ok(())
}

/// Standard output without the line buffer that Rust puts before it.
fn copy_of_stdout() -> Try<std::os::fd::OwnedFd> {
    rustix::io::dup(rustix::stdio::stdout()).failed_to("copy a descriptor")
}
