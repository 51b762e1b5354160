//! A run's output on disk: `log`, and older pieces `log.1`, `log.2` … of a bounded size. A disk that
//! is full or fails never harms the program: what cannot be written is counted, and the next output
//! is tried again.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::rundir;

/// Smallest file: rotating costs some ten system calls.
const FILE_BYTES_MIN: u64 = 4 << 10;

/// The log of a run.
pub struct Log {
    path: PathBuf,
    file_bytes_max: u64,
    files: u32,
    file: Option<File>,
    /// Size of the current file.
    size: u64,
    offset: u64,
    lost: u64,
}

impl Log {
    /// A new log in the run's directory of at most `files` files (at least one) of `file_bytes_max` bytes.
    pub fn new(run_dir: &Path, file_bytes_max: u64, files: u32) -> Self {
        let path = rundir::log_path(run_dir);
        let file = rundir::create(&path).ok();
        let file_bytes_max = file_bytes_max.max(FILE_BYTES_MIN);
        Self { path, file_bytes_max, files: files.max(1), file, size: 0, offset: 0, lost: 0 }
    }

    /// All output so far in bytes, what was lost or dropped included.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that could not be written.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Adds output.
    pub fn write(&mut self, mut bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        while !bytes.is_empty() {
            match self.write_some(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.lost += bytes.len() as u64;
                    return;
                }
            }
        }
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.size >= self.file_bytes_max {
            self.rotate()?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(rundir::create(&self.path)?),
        };
        let room = usize::try_from(self.file_bytes_max - self.size).unwrap_or(usize::MAX);
        let n = file.write(&bytes[..bytes.len().min(room)])?;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.size += n as u64;
        Ok(n)
    }

    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |n: u32| match n {
            0 => self.path.clone(),
            n => self.path.with_extension(n.to_string()),
        };
        // the oldest falls out by being replaced; gaps, after a failure, do not matter
        for n in (0..self.files - 1).rev() {
            match fs::rename(numbered(n), numbered(n + 1)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        self.file = None;
        self.size = 0;
        self.file = Some(rundir::create(&self.path)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_keep_the_newest_output_within_their_bounds() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = Log::new(dir.path(), 4096, 3);
        let all: Vec<u8> = (0..5000_u32).flat_map(|i| format!("{i:07}\n").into_bytes()).collect();
        for piece in all.chunks(1000) {
            log.write(piece);
        }
        let read = |name: &str| fs::read(dir.path().join(name)).expect("a log file");
        let kept = [read("log.2"), read("log.1"), read("log")].concat();
        assert!(all.ends_with(&kept), "the files are the output's end, in order");
        assert!(kept.len() > 2 * 4096 && kept.len() <= 3 * 4096, "{} bytes", kept.len());
        assert!(!dir.path().join("log.3").exists());
        assert_eq!((log.offset(), log.lost()), (40_000, 0));
    }

    #[test]
    fn a_single_file_starts_anew_when_it_is_full() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = Log::new(dir.path(), 4096, 1);
        log.write(&[b'a'; 4096]);
        log.write(b"end");
        assert_eq!(fs::read(dir.path().join("log")).expect("a log file"), b"end");
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_writing_goes_on_later() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = Log::new(dir.path(), 4096, 2);
        // a directory in its place is a disk that refuses
        fs::remove_file(dir.path().join("log")).expect("the log file");
        fs::create_dir(dir.path().join("log")).expect("a directory");
        fs::create_dir(dir.path().join("log.1")).expect("a directory");
        fs::write(dir.path().join("log.1/x"), "").expect("a file");
        log.write(&[b'a'; 4096]);
        log.write(b"lost");
        assert_eq!((log.offset(), log.lost()), (4100, 4));
        fs::remove_dir_all(dir.path().join("log")).expect("the obstacle");
        fs::remove_dir_all(dir.path().join("log.1")).expect("the obstacle");
        log.write(b"kept");
        assert_eq!(log.lost(), 4);
        assert_eq!(fs::read(dir.path().join("log")).expect("a log file"), b"kept");
    }
}
