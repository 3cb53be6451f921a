//! A file of passwords that were published in data breaches.

use crate::values::Password;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// Maximum length of a line, in bytes.
const MAX_LINE_BYTES: u64 = 100;

/// A file with one SHA-1 hash of a password per line, in hexadecimal and in ascending order,
/// optionally with a colon and a count: the format of Have I Been Pwned.
#[derive(Debug, Clone)]
pub struct BreachedPasswords {
    file: PathBuf,
}

impl BreachedPasswords {
    /// Opens a file. Fails if it cannot be read or its first line is not a hash.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut lines = BufReader::new(File::open(path)?);
        match read_hash(&mut lines)? {
            Some(_) => Ok(Self { file: path.to_owned() }),
            None => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "the file has no line that begins with a SHA-1 hash"))
            }
        }
    }

    /// Whether the file contains a password. Reads about thirty lines of a file of any size.
    pub fn contains(&self, password: &Password) -> io::Result<bool> {
        let wanted = hex::encode_upper(digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_str().as_bytes()));
        let mut lines = BufReader::with_capacity(256, File::open(&self.file)?);
        // The wanted line begins at or after `low`, and before `high`.
        let (mut low, mut high) = (0, lines.get_ref().metadata()?.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let start = find_line_start(&mut lines, middle)?;
            if start >= high {
                high = middle;
                continue;
            }
            lines.seek(SeekFrom::Start(start))?;
            match read_hash(&mut lines)? {
                Some(hash) if hash == wanted => return Ok(true),
                Some(hash) if hash < wanted => low = lines.stream_position()?,
                _ => high = middle,
            }
        }
        Ok(false)
    }
}

/// Returns the position of the first line that begins at or after a position.
fn find_line_start(lines: &mut BufReader<File>, position: u64) -> io::Result<u64> {
    let Some(before) = position.checked_sub(1) else { return Ok(0) };
    lines.seek(SeekFrom::Start(before))?;
    read_line(lines)?;
    lines.stream_position()
}

/// Reads a line and returns its hash, in upper case; `None` if it has none.
fn read_hash(lines: &mut BufReader<File>) -> io::Result<Option<String>> {
    let line = read_line(lines)?;
    let hash = line.get(..40).filter(|hash| hash.iter().all(u8::is_ascii_hexdigit));
    Ok(hash.map(|hash| String::from_utf8_lossy(hash).to_ascii_uppercase()))
}

fn read_line(lines: &mut BufReader<File>) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    io::Read::take(&mut *lines, MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    fn password(text: &str) -> Password {
        Password::try_from(text.to_owned()).expect("a password")
    }

    #[test]
    fn a_breached_password_is_found_wherever_its_line_is() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("breached.txt");
        for (count, end) in [(1, "\n"), (2, "\r\n"), (1_000, ":17\r\n"), (1_000, "\n")] {
            let hash =
                |n: usize| hex::encode_upper(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("password {n}").as_bytes()));
            let mut hashes: Vec<String> = (0..count).map(hash).collect();
            hashes.sort();
            let text = hashes.iter().fold(String::new(), |mut text, hash| {
                write!(text, "{hash}{end}").expect("written");
                text
            });
            for text in [text.as_str(), text.trim_end()] {
                std::fs::write(&path, text).expect("written");
                let breached = BreachedPasswords::open(&path).expect("a list");
                for n in 0..count {
                    assert!(breached.contains(&password(&format!("password {n}"))).expect("read"), "{n} of {count}");
                }
                for n in count..count + 50 {
                    assert!(!breached.contains(&password(&format!("password {n}"))).expect("read"));
                }
            }
        }
        std::fs::write(&path, "not a list").expect("written");
        assert!(BreachedPasswords::open(&path).is_err());
    }
}
