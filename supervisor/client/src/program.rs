//! Other people's programs: where they are, and what they say.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// How long a program may take to say its version. Node needs 0.1 s, on a laptop that just woke up 2 s.
const ANSWER_MS: u64 = 10_000;
/// How much of an answer is read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// The program `name` in the directories of `path`, a value of `PATH`.
pub fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(name))
        .find(|file| executable(file))
}

/// The program `name` on the `PATH` of this program.
pub fn find_here(name: &str) -> Option<PathBuf> {
    find(name, &std::env::var_os("PATH")?)
}

/// Whether a file is there that may be run.
pub fn executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// What a program prints, its first line. An error says why there is none.
pub fn first_line(program: &Path, args: &[&str]) -> Result<String, String> {
    let text = output(program, args)?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// What a program prints on its standard output. It is ended if it takes too long.
pub fn output(program: &Path, args: &[&str]) -> Result<String, String> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| e.to_string())?;
    let stdout = child.stdout.take().expect("it was asked for");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stdout.take(ANSWER_BYTES_MAX).read_to_end(&mut text);
        let _ = sender.send(text);
    });
    let answer = receiver.recv_timeout(Duration::from_millis(ANSWER_MS));
    if answer.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    match answer {
        Err(_) => Err(format!("no answer within {} s", ANSWER_MS / 1_000)),
        Ok(_) if !status.success() => Err(format!("it ended with {status}")),
        Ok(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
    }
}

/// Whether two files hold the same bytes.
pub fn same_bytes(a: &Path, b: &Path) -> io::Result<bool> {
    const CHUNK_BYTES: usize = 1 << 20;
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let (of_a, of_b) = (a.metadata()?, b.metadata()?);
    if (of_a.dev(), of_a.ino()) == (of_b.dev(), of_b.ino()) {
        return Ok(true);
    }
    if of_a.len() != of_b.len() {
        return Ok(false);
    }
    let (mut in_a, mut in_b) = (Vec::new(), Vec::new());
    loop {
        in_a.clear();
        in_b.clear();
        let n = (&mut a).take(CHUNK_BYTES as u64).read_to_end(&mut in_a)?;
        (&mut b).take(CHUNK_BYTES as u64).read_to_end(&mut in_b)?;
        if in_a != in_b {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_program_is_found_in_the_order_of_the_path_and_only_if_it_may_be_run() {
        let dir = tempfile::tempdir().expect("a directory");
        let [a, b] = ["a", "b"].map(|n| dir.path().join(n));
        for d in [&a, &b] {
            fs::create_dir(d).expect("a directory");
            fs::write(d.join("tool"), "").expect("a file");
        }
        let path = std::env::join_paths([&a, &b]).expect("a path");
        assert_eq!(find("tool", &path), None);
        fs::set_permissions(b.join("tool"), fs::Permissions::from_mode(0o755)).expect("a mode");
        assert_eq!(find("tool", &path), Some(b.join("tool")));
        fs::set_permissions(a.join("tool"), fs::Permissions::from_mode(0o755)).expect("a mode");
        assert_eq!(find("tool", &path), Some(a.join("tool")));
    }

    #[test]
    fn files_are_the_same_by_their_bytes() {
        let dir = tempfile::tempdir().expect("a directory");
        let [a, b] = ["a", "b"].map(|n| dir.path().join(n));
        for (in_a, in_b, same) in [("x", "x", true), ("x", "y", false), ("x", "xx", false), ("", "", true)] {
            fs::write(&a, in_a).expect("a file");
            fs::write(&b, in_b).expect("a file");
            assert_eq!(same_bytes(&a, &b).expect("read"), same, "{in_a:?} {in_b:?}");
        }
        assert!(same_bytes(&a, &dir.path().join("none")).is_err());
    }

    #[test]
    fn a_program_says_its_version_or_why_not() {
        let echo = find_here("echo").expect("echo");
        assert_eq!(first_line(&echo, &["1.2.3"]), Ok("1.2.3".into()));
        assert!(first_line(&find_here("false").expect("false"), &[]).is_err());
        assert!(first_line(Path::new("/nowhere/at/all"), &[]).is_err());
    }
}
