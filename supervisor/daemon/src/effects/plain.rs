//! Files that others put where we read: a pipe or a device there must not hold us up.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::OFlags;

/// Opens a plain file to read it. Never waits for somebody at the other end.
///
/// # Errors
/// It cannot be opened, or is no plain file.
pub fn open(path: &Path) -> io::Result<File> {
    // for a plain file it means nothing, and a pipe opens at once
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    // only what is open cannot be exchanged any more
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn only_a_plain_file_is_opened_and_a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let (file, pipe) = (dir.path().join("file"), dir.path().join("pipe"));
        std::fs::write(&file, "text").expect("a file");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
        let mut text = String::new();
        open(&file).expect("a plain file").read_to_string(&mut text).expect("it can be read");
        assert_eq!(text, "text");
        for other in [pipe.as_path(), dir.path(), Path::new("/dev/null")] {
            assert_eq!(open(other).expect_err("no file").kind(), io::ErrorKind::InvalidInput, "{other:?}");
        }
    }
}
