//! The thread that writes the audit log and rotates its files.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
};

use nix::fcntl::OFlag;

use crate::{
    config::limits,
    ops::{
        audit::setting::AuditSetting,
        health::{Condition, Health},
    },
};

pub(super) struct Writer {
    setting: AuditSetting,
    file: Option<File>,
    bytes: u64,
    lost: Arc<AtomicU64>,
    health: Arc<Health>,
    has_failed: bool,
}

impl Writer {
    pub(super) fn open(
        setting: AuditSetting,
        lost: Arc<AtomicU64>,
        health: Arc<Health>,
    ) -> io::Result<Self> {
        let mut writer = Self { setting, file: None, bytes: 0, lost, health, has_failed: false };
        writer.reopen()?;
        Ok(writer)
    }

    /// Returns when the queue is closed and empty.
    pub(super) fn run(mut self, queue: &Receiver<String>) {
        while let Some((mut lines, mut count)) = self.next(queue) {
            // What has come together is one write.
            while (lines.len() as u64) < self.setting.bytes_limit / 2
                && let Ok(line) = queue.try_recv()
            {
                lines.push_str(&line);
                count += 1;
            }
            let lost = self.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                lines.push_str(&format!("{{\"action\":\"lost\",\"entries\":{lost}}}\n"));
            }
            match self.write(&lines) {
                Ok(()) => self.works(),
                Err(error) => {
                    self.lost.fetch_add(lost + count, Ordering::Relaxed);
                    self.failed(&error);
                }
            }
        }
    }

    /// The next entry, or none after a while in which nothing could be written: then the number of lost ones is tried.
    fn next(&self, queue: &Receiver<String>) -> Option<(String, u64)> {
        if !self.has_failed {
            return queue.recv().ok().map(|line| (line, 1));
        }
        match queue.recv_timeout(limits::AUDIT_TRIED_AGAIN) {
            Ok(line) => Some((line, 1)),
            Err(RecvTimeoutError::Timeout) => Some((String::new(), 0)),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn write(&mut self, lines: &str) -> io::Result<()> {
        if self.file.is_none() {
            self.reopen()?;
        }
        if self.bytes > 0 && self.bytes + lines.len() as u64 > self.setting.bytes_limit {
            self.rotate()?;
        }
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        let written = file.write_all(lines.as_bytes());
        self.bytes += lines.len() as u64;
        if written.is_err() {
            // A part of the lines may be there: it is looked at when the file is opened again.
            self.file = None;
        }
        written
    }

    /// Opens the file and ends a line that was not written to its end.
    fn reopen(&mut self) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits() | OFlag::O_NONBLOCK.bits())
            .open(&self.setting.path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("is no regular file"));
        }
        self.bytes = metadata.len();
        if self.bytes > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                self.bytes += 1;
            }
        }
        self.file = Some(file);
        Ok(())
    }

    /// `audit.log` becomes `audit.log.1`, and so on; the oldest is removed.
    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        for number in (1..self.setting.files).rev() {
            match fs::rename(self.numbered(number - 1), self.numbered(number)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                renamed => renamed?,
            }
        }
        if self.setting.files == 1 {
            fs::remove_file(&self.setting.path)?;
        }
        self.reopen()
    }

    fn numbered(&self, number: usize) -> PathBuf {
        match number {
            0 => self.setting.path.clone(),
            number => {
                let mut path = self.setting.path.clone().into_os_string();
                path.push(format!(".{number}"));
                path.into()
            }
        }
    }

    fn works(&mut self) {
        if std::mem::take(&mut self.has_failed) {
            self.health.clear(Condition::AuditLog);
        }
    }

    fn failed(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.has_failed, true) {
            tracing::error!(%error, "the audit log cannot be written: entries are lost until it can");
        }
        let path = self.setting.path.display();
        self.health.raise(
            Condition::AuditLog,
            format!(
                "{path}: {error}; entries of the audit log are lost until it can be written: make room on its disk, \
                 or correct its permissions"
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn writer(directory: &tempfile::TempDir, bytes_limit: u64, files: usize) -> Writer {
        let path = directory.path().join("audit.log");
        let setting = AuditSetting { path, bytes_limit, files };
        Writer::open(setting, Arc::default(), Arc::default()).unwrap()
    }

    #[test]
    fn no_file_grows_over_the_limit_and_there_are_no_more_files_than_the_limit() {
        for files in [1, 3] {
            let directory = tempfile::tempdir().unwrap();
            let mut writer = writer(&directory, 100, files);
            for number in 0..50 {
                writer.write(&format!("{{\"number\":{number:05}}}\n")).unwrap();
            }
            let all = fs::read_dir(directory.path()).unwrap();
            let sizes: Vec<u64> = all.map(|file| file.unwrap().metadata().unwrap().len()).collect();
            assert_eq!(sizes.len(), files);
            assert!(sizes.iter().all(|size| *size <= 100), "{sizes:?}");
            let newest = fs::read_to_string(directory.path().join("audit.log")).unwrap();
            assert!(newest.ends_with("{\"number\":00049}\n"), "{newest}");
        }
    }

    #[test]
    fn a_torn_line_stays_a_line_of_its_own_and_the_file_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        fs::write(&path, "{\"torn").unwrap();
        fs::remove_file(&path).unwrap();
        writer(&directory, 1_000, 2).write("{\"torn").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        writer(&directory, 1_000, 2).write("{}\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"torn\n{}\n");
    }

    #[test]
    fn it_is_tried_again_without_a_new_entry() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = writer(&directory, 1_000, 2);
        let path = directory.path().join("audit.log");
        let health = Arc::clone(&writer.health);
        writer.file = None;
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let (lines, queue) = std::sync::mpsc::sync_channel(9);
        lines.send("{}\n".to_owned()).unwrap();
        let thread = std::thread::spawn(move || writer.run(&queue));
        while health.texts().is_empty() {
            std::thread::yield_now();
        }
        fs::remove_dir(&path).unwrap();
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !health.texts().is_empty() {
            assert!(std::time::Instant::now() < patience, "the condition stands");
            std::thread::yield_now();
        }
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"action\":\"lost\",\"entries\":1}\n");
        drop(lines);
        thread.join().unwrap();
    }

    #[test]
    fn while_it_cannot_be_written_a_condition_stands_and_what_is_lost_is_counted() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = writer(&directory, 1_000, 2);
        let path = directory.path().join("audit.log");
        let health = Arc::clone(&writer.health);
        writer.file = None;
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let (lines, queue) = std::sync::mpsc::sync_channel(9);
        lines.send("{}\n".to_owned()).unwrap();
        let lost = Arc::clone(&writer.lost);
        let thread = std::thread::spawn(move || writer.run(&queue));
        while lost.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        while health.texts().is_empty() {
            std::thread::yield_now();
        }
        fs::remove_dir(&path).unwrap();
        lines.send("{\"next\":1}\n".to_owned()).unwrap();
        drop(lines);
        thread.join().unwrap();
        assert!(health.texts().is_empty());
        let text = fs::read_to_string(&path).unwrap();
        let mut text: Vec<_> = text.lines().collect();
        text.sort_unstable();
        assert_eq!(text, ["{\"action\":\"lost\",\"entries\":1}", "{\"next\":1}"]);
    }
}
