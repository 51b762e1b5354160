//! What is to be said: whole requests, one behind the other, from a command line or a file.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::{fs::OFlags, process::geteuid};
use wezterm_parallel_schemas::{
    envelope::{Message, split},
    environment,
    error::{Code, Error},
    rpc::FRAME_BYTES_MAX,
    scan::Scanner,
};

/// Longest text of frames on a command line, in bytes. Linux takes no argument above 128 KiB, and what is
/// longer is better off in a file.
const HEX_BYTES_MAX: usize = 128 << 10;
/// Largest file, in bytes: a request may have as much.
const FILE_BYTES_MAX: u64 = FRAME_BYTES_MAX as u64;
/// Most frames in one call: `hello` and one more are usual.
const FRAMES_MAX: usize = 64;
/// The parameter that the environment goes into.
const ENVIRONMENT: &str = "environment";
/// What a program that launchd starts has for a `PATH`: nobody has chosen it.
const LAUNCHD_PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

/// Whole frames.
#[derive(Debug, PartialEq, Eq)]
pub struct Frames {
    bytes: Vec<u8>,
    /// How many of them are to be answered.
    requests: usize,
    /// Where the last one begins, which is a request.
    last: usize,
}

impl Frames {
    /// Reads them from hexadecimal digits.
    pub fn from_hex(hex: &str) -> Result<Self, Error> {
        if hex.len() > HEX_BYTES_MAX {
            let error = Error::new(Code::BadFrame, format!("HEX has more than {HEX_BYTES_MAX} digits"));
            return Err(error.hint("give it by --file"));
        }
        Self::new(
            digits(hex)
                .ok_or_else(|| Error::new(Code::BadFrame, "HEX is not pairs of hexadecimal digits"))?,
        )
    }

    /// Reads them from a file and deletes it: it may hold a prompt. It must be a file that nobody else can
    /// read, and it stays if it holds anything but frames, since then it was meant for something else.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let frames = read_private(path)
            .map_err(|why| Error::new(Code::BadParams, format!("{}: {why}", path.display())))
            .and_then(Self::new)?;
        fs::remove_file(path).map_err(|e| {
            Error::new(Code::BadParams, format!("{} cannot be deleted: {}", path.display(), plain(&e)))
        })?;
        Ok(frames)
    }

    fn new(bytes: Vec<u8>) -> Result<Self, Error> {
        let bad = |what: &str| Error::new(Code::BadFrame, what);
        let (mut requests, mut last, mut end) = (0, None, 0);
        let mut scanner = Scanner::default();
        while end < bytes.len() {
            let rest = &bytes[end..];
            let size = scanner.scan(rest).map_err(|e| Error::from(&e))?;
            let size = size.ok_or_else(|| bad("the last frame is not whole"))?;
            last = None;
            match split(&rest[..size]).map_err(|e| Error::from(&e))? {
                Message::Request { .. } => {
                    requests += 1;
                    last = Some(end);
                }
                Message::Notification { .. } => {}
                Message::Response { .. } => return Err(bad("an answer is not for the daemon")),
            }
            end += size;
            if requests > FRAMES_MAX {
                return Err(bad(&format!("there are more than {FRAMES_MAX} requests")));
            }
        }
        // nothing would be known of what becomes of a notification that is the last one
        let last = last.ok_or_else(|| bad("the last frame is not a request"))?;
        Ok(Self { bytes, requests, last })
    }

    /// All of them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many answers will come.
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// Adds an environment to the parameters of the last request, but for what is not passed on. One
    /// without a `PATH` of the user's is that of a program started from a dock: the daemon knows better.
    pub fn add_environment(
        &mut self,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<(), Error> {
        let environment = environment::passed_on(variables);
        if environment.get("PATH").is_none_or(|path| path.is_empty() || path == LAUNCHD_PATH) {
            return Ok(());
        }
        let environment = rmp_serde::to_vec_named(&environment).expect("a map of texts encodes");
        let frame = with_param(&self.bytes[self.last..], ENVIRONMENT, &environment);
        if frame.len() > FRAME_BYTES_MAX {
            let error =
                Error::new(Code::BadFrame, format!("the request is larger than {FRAME_BYTES_MAX} bytes"));
            return Err(error.hint("unset large environment variables, or shorten the command"));
        }
        self.bytes.truncate(self.last);
        self.bytes.extend(frame);
        Ok(())
    }
}

fn digits(hex: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?)).collect()
}

/// The content of a file of ours that nobody else can read.
fn read_private(path: &Path) -> Result<Vec<u8>, String> {
    // what it is, is looked at once it is open; opening a pipe must not hang
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let open = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let file: File = open.map_err(|e| match e.raw_os_error() {
        Some(libc::ELOOP) => "it is a symbolic link".into(),
        _ => plain(&e),
    })?;
    let about = file.metadata().map_err(|e| plain(&e))?;
    if !about.is_file() {
        return Err("it is not a regular file".into());
    }
    if about.uid() != geteuid().as_raw() {
        return Err("it belongs to somebody else".into());
    }
    if about.mode() & 0o077 != 0 {
        return Err("others could read or change it: its mode is to be 0600".into());
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| plain(&e))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

/// What went wrong, without the number: parentheses that end a message would be taken for its hint.
pub fn plain(e: &io::Error) -> String {
    let text = e.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// A request with one parameter more.
fn with_param(frame: &[u8], name: &str, value: &[u8]) -> Vec<u8> {
    let Ok(Message::Request { id, method, params }) = split(frame) else {
        unreachable!("it was taken apart before");
    };
    let (count, pairs) = map_header(params);
    let mut out = vec![0x94, 0x00, 0xce];
    out.extend(id.to_be_bytes());
    text(method, &mut out);
    out.extend([0x91, 0xdf]);
    out.extend((count + 1).to_be_bytes());
    out.extend_from_slice(&params[pairs..]);
    text(name, &mut out);
    out.extend_from_slice(value);
    out
}

/// How many pairs a map has, and where the first one begins.
fn map_header(map: &[u8]) -> (u32, usize) {
    match *map {
        [marker @ 0x80..=0x8f, ..] => (u32::from(marker & 0x0f), 1),
        [0xde, a, b, ..] => (u32::from(u16::from_be_bytes([a, b])), 3),
        [0xdf, a, b, c, d, ..] => (u32::from_be_bytes([a, b, c, d]), 5),
        _ => unreachable!("parameters are a map"),
    }
}

fn text(text: &str, out: &mut Vec<u8>) {
    out.push(0xdb);
    out.extend(u32::try_from(text.len()).expect("a frame has a bound").to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use proptest::prelude::*;
    use serde::Deserialize;
    use wezterm_parallel_schemas::rpc::{Notification, Request};

    use super::*;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct Params {
        name: String,
        environment: std::collections::BTreeMap<String, String>,
    }

    fn request(id: u32, params: impl serde::Serialize) -> Vec<u8> {
        rmp_serde::to_vec_named(&Request::new(id, "workspace.open", params)).expect("it encodes")
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn requests_are_counted_and_everything_else_is_refused() {
        let one = request(1, ());
        let note = rmp_serde::to_vec_named(&Notification(2, "event", ((),))).expect("it encodes");
        let read = |parts: &[&[u8]]| Frames::from_hex(&hex(&parts.concat()));
        // nil is no map
        assert_eq!(read(&[&one]).expect_err("no map").code, Code::BadParams);
        let one = request(1, Params2 { name: "w" });
        assert_eq!(read(&[&one]).expect("a request").requests(), 1);
        assert_eq!(read(&[&one, &one]).expect("two requests").requests(), 2);
        let answer: &[u8] = b"\x94\x01\x01\xc0\xc0";
        for wrong in
            [&[][..], &[&one[..one.len() - 1]], &[&one, answer], &[&one, &note], &[b"\xc1"], &[b"\x07"]]
        {
            assert!(read(wrong).is_err(), "{wrong:02x?}");
        }
        let many = vec![&one[..]; FRAMES_MAX + 1];
        assert_eq!(read(&many[1..]).expect("as many as may be").requests(), FRAMES_MAX);
        assert!(read(&many).is_err());
        for wrong in ["9", "9g", "0x94", "é", &"00".repeat(HEX_BYTES_MAX)] {
            assert_eq!(Frames::from_hex(wrong).expect_err("no digits").code, Code::BadFrame);
        }
        assert_eq!(Frames::from_hex(&hex(&one).to_uppercase()), read(&[&one]));
    }

    #[derive(serde::Serialize)]
    struct Params2 {
        name: &'static str,
    }

    #[test]
    fn the_environment_goes_into_the_last_request_only() {
        let vars = [("PATH", "/bin:/x"), ("SECRET", "s"), ("CLAUDECODE", "1")];
        let vars = || vars.iter().map(|(n, v)| (OsString::from(n), OsString::from(v)));
        let first = request(1, Params2 { name: "first" });
        let mut frames =
            Frames::new([first.clone(), request(70_000, Params2 { name: "w" })].concat()).expect("two");
        frames.add_environment(vars()).expect("it fits");
        assert_eq!(frames.requests(), 2);
        assert_eq!(frames.bytes()[..first.len()], first);
        let Ok(Message::Request { id, method, params }) = split(&frames.bytes()[first.len()..]) else {
            panic!("not a request");
        };
        assert_eq!((id, method), (70_000, "workspace.open"));
        let params: Params = rmp_serde::from_slice(params).expect("the parameters");
        let environment = [("PATH", "/bin:/x"), ("SECRET", "s")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(params, Params { name: "w".into(), environment: environment.into() });
        // a request without parameters, as Lua writes it
        let mut frames = Frames::new(b"\x94\x00\x07\xa5hello\x91\x90".to_vec()).expect("a request");
        frames.add_environment(vars()).expect("it fits");
        assert!(Frames::new(frames.bytes().to_vec()).is_ok());
    }

    #[test]
    fn an_environment_that_nobody_has_chosen_is_not_sent() {
        for path in [None, Some(""), Some(LAUNCHD_PATH)] {
            let before = request(1, Params2 { name: "w" });
            let mut frames = Frames::new(before.clone()).expect("a request");
            let vars = path.map(|p| ("PATH".into(), p.into())).into_iter().chain([("A".into(), "b".into())]);
            frames.add_environment(vars).expect("nothing to be too large");
            assert_eq!(frames.bytes(), before, "{path:?}");
        }
    }

    #[test]
    fn an_environment_larger_than_a_frame_is_refused() {
        let vars = [("PATH".into(), "/bin".into()), ("A".into(), "x".repeat(FRAME_BYTES_MAX).into())];
        let mut frames = Frames::new(request(1, Params2 { name: "w" })).expect("a request");
        assert_eq!(frames.add_environment(vars.into_iter()).expect_err("too large").code, Code::BadFrame);
    }

    #[test]
    fn a_file_is_taken_only_if_it_is_ours_alone_and_then_deleted() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("it is \"here\"");
        let put = |bytes: &[u8], mode| {
            fs::write(&file, bytes).expect("a file");
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("a mode");
        };
        let one = request(1, Params2 { name: "w" });
        for (bytes, mode) in [
            (&one[..], 0o640),
            (&one, 0o604),
            (&one, 0o620),
            (b"-----BEGIN OPENSSH PRIVATE KEY-----", 0o600),
            (b"", 0o600),
            (&vec![0x90; FRAME_BYTES_MAX + 1], 0o600),
        ] {
            put(bytes, mode);
            assert!(Frames::from_file(&file).is_err(), "{mode:o} {} bytes", bytes.len());
            assert!(file.exists(), "what was not meant for us stays");
        }
        put(&one, 0o600);
        let link = dir.path().join("link");
        symlink(&file, &link).expect("a link");
        let why = Frames::from_file(&link).expect_err("a link").message;
        assert!(why.contains("symbolic link"), "{why}");
        assert!(Frames::from_file(dir.path()).is_err());
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .expect("a pipe");
        assert!(Frames::from_file(&pipe).is_err());
        assert_eq!(Frames::from_file(&file).expect("a request").bytes(), one);
        assert!(!file.exists());
        assert!(Frames::from_file(&file).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let frames = [request(1, Params2 { name: "w" }), bytes].concat();
            if let Ok(mut frames) = Frames::new(frames) {
                let path = ("PATH".into(), "/x".into());
                frames.add_environment(std::iter::once(path)).expect("it fits");
                prop_assert!(Frames::new(frames.bytes).is_ok());
            }
        }
    }
}
