//! Claude's transcripts on the disk: which there are, and what their beginnings and ends say.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use wezterm_parallel_core::claude::{
    digest::{Digest, project},
    hook::is_session_id,
};

/// Of a transcript, this much of the beginning is read at first, in bytes: the first prompt stands in the
/// first few hundred, unless a command or a long text comes before it.
const HEAD_BYTES: u64 = 16 << 10;
/// And this much, if it does not stand there.
const HEAD_BYTES_MAX: u64 = 256 << 10;
/// Of the end: a turn writes some 40 kB, and what is looked for stands behind the last one.
const TAIL_BYTES: u64 = 64 << 10;
/// Most transcripts that are looked at. Sorting so many takes some milliseconds.
const TRANSCRIPTS_MAX: usize = 50_000;

/// A transcript.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// The session.
    pub session_id: String,
    /// Its file.
    pub path: PathBuf,
    /// Size in bytes.
    pub bytes: u64,
    /// When it was last written to, in milliseconds since 1970.
    pub updated_at: i64,
}

/// The transcripts of an account, newest first; only those in Claude's directory for `cwd`, which others may
/// share, if that is given. Reads the disk.
pub fn all(account: &Path, cwd: Option<&Path>) -> Vec<Transcript> {
    let projects = account.join("projects");
    let directories = match cwd {
        Some(cwd) => vec![projects.join(project(cwd))],
        None => entries(&projects).map(|e| e.path()).collect(),
    };
    let files = directories.iter().flat_map(|dir| entries(dir));
    let mut found: Vec<Transcript> =
        files.filter_map(|f| transcript(&f.path())).take(TRANSCRIPTS_MAX).collect();
    found.sort_by(|a, b| b.updated_at.cmp(&a.updated_at).then_with(|| a.session_id.cmp(&b.session_id)));
    found
}

fn entries(dir: &Path) -> impl Iterator<Item = std::fs::DirEntry> {
    std::fs::read_dir(dir).into_iter().flatten().flatten()
}

fn transcript(path: &Path) -> Option<Transcript> {
    let session_id = path.file_name()?.to_str()?.strip_suffix(".jsonl").filter(|id| is_session_id(id))?;
    let meta = std::fs::metadata(path).ok().filter(|m| m.is_file())?;
    let written = meta.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(Transcript {
        session_id: session_id.to_owned(),
        path: path.to_owned(),
        bytes: meta.len(),
        updated_at: i64::try_from(written.as_millis()).unwrap_or(i64::MAX),
    })
}

/// What a transcript says. None if it cannot be read, or the user said nothing in it. Reads the disk.
pub fn digest(transcript: &Transcript) -> Option<Digest> {
    let mut digest = Digest::default();
    // one that is no file by now must not hold us up
    let no_wait = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut file = OpenOptions::new().read(true).custom_flags(no_wait).open(&transcript.path).ok()?;
    let mut head = Vec::new();
    for most in [HEAD_BYTES, HEAD_BYTES_MAX] {
        head = read(&mut file, 0, most)?;
        let whole = (head.len() as u64) < most;
        if digest.head(&head, whole) || whole {
            break;
        }
    }
    if !digest.begun {
        return None;
    }
    let end = file.metadata().ok()?.len();
    if end <= head.len() as u64 {
        digest.tail(&head);
    } else {
        digest.tail(&read(&mut file, end.saturating_sub(TAIL_BYTES), TAIL_BYTES)?);
    }
    Some(digest)
}

fn read(file: &mut File, from: u64, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from)).ok()?;
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const CWD: &str = "/home/dev/repo";

    fn account() -> (tempfile::TempDir, PathBuf) {
        let account = tempfile::tempdir().expect("a directory");
        let dir = account.path().join("projects").join(project(Path::new(CWD)));
        std::fs::create_dir_all(&dir).expect("a directory");
        (account, dir)
    }

    fn user(text: &str) -> String {
        format!(
            "{{\"parentUuid\":null,\"type\":\"user\",\"message\":{{\"content\":\"{text}\"}},\"cwd\":\"{CWD}\"}}\n"
        )
    }

    #[test]
    fn of_a_long_transcript_the_beginning_and_the_end_are_read() {
        let (account, dir) = account();
        let mut text = user("the first");
        while text.len() < 4 << 20 {
            let _ = writeln!(text, "{{\"type\":\"attachment\",\"x\":\"{}\"}}", "y".repeat(10_000));
        }
        text += &user("the last");
        text += "{\"type\":\"cost-state\",\"totalCostUSD\":1.5}\n{\"type\":\"cost-state\",\"totalCo";
        std::fs::write(dir.join("0199-abc.jsonl"), text).expect("a file");
        let found = all(account.path(), None);
        let [one] = &found[..] else { panic!("{found:?}") };
        let d = digest(one).expect("it has begun");
        assert_eq!(d.first_prompt.as_deref(), Some("the first"));
        assert_eq!(d.last_prompt.as_deref(), Some("the last"));
        assert_eq!(d.cost_usd, Some(1.5));
    }

    #[test]
    fn what_is_no_transcript_is_passed_over() {
        let (account, dir) = account();
        std::fs::write(dir.join("good.jsonl"), user("hi")).expect("a file");
        std::fs::write(dir.join("--resume.jsonl"), user("no id")).expect("a file");
        std::fs::write(dir.join("notes.txt"), user("no transcript")).expect("a file");
        std::fs::write(dir.join("binary.jsonl"), [0_u8, 159, 146, 150, 10, 255]).expect("a file");
        std::fs::write(dir.join("empty.jsonl"), "").expect("a file");
        std::fs::create_dir(dir.join("dir.jsonl")).expect("a directory");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.join("pipe.jsonl"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .expect("a pipe");
        let found = all(account.path(), Some(Path::new(CWD)));
        let begun: Vec<&str> =
            found.iter().filter(|t| digest(t).is_some()).map(|t| t.session_id.as_str()).collect();
        assert_eq!(begun, ["good"]);
        assert!(all(account.path(), Some(Path::new("/elsewhere"))).is_empty());
    }
}
