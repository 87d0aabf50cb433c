//! The files of accounts, certificates and what is remembered of orders: for the gateway's user alone, whole or not at all.
//! It refuses to know what is in them. Every function may wait for a disk.

#![expect(clippy::disallowed_methods, reason = "called off the control thread's loop, by threads that may wait")]

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::ErrorKind;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

/// The largest file that is read.
const MOST: u64 = 4 << 20;
/// For its owner alone.
const FOLDER: u32 = 0o700;
const FILE: u32 = 0o600;

/// The file of an account.
pub(super) fn account(home: &Path) -> PathBuf {
    home.join("account.json")
}

/// The file of what is remembered of a certificate's orders.
pub(super) fn record(certificate: &Path) -> PathBuf {
    certificate.with_extension("orders.json")
}

/// The bytes of a file; nothing where there is none.
///
/// # Errors
/// Why it cannot be read, in words.
pub(super) fn load(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let read = || {
        if fs::metadata(path)?.len() > MOST {
            return Err(io::Error::other("it is larger than 4 MiB"));
        }
        fs::read(path)
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

/// Writes a file in place of the one before, which stays if anything goes wrong; it is on the disk when this returns. Its
/// folder is made if it is not there.
///
/// # Errors
/// Why not, in words.
pub(super) fn save(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.new"));
    let write = || {
        DirBuilder::new().recursive(true).mode(FOLDER).create(folder)?;
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Made anew, so that its permissions are ours, and no link leads elsewhere.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

/// Puts a file aside, in place of the one that was put aside before; it is beside where it was, with `.lost` to its name.
///
/// # Errors
/// Why not, in words.
pub(super) fn put_aside(path: &Path) -> Result<(), String> {
    let mut lost = path.as_os_str().to_owned();
    lost.push(".lost");
    match fs::rename(path, lost) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(format!("{} cannot be put aside: {error}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_written_is_read_and_is_nobody_elses() {
        let scratch = std::env::temp_dir().join(format!("ringway-acme-store-{}", std::process::id()));
        let home = scratch.join("deep").join("home");
        let file = home.join("a.example.pem");
        assert_eq!(load(&file), Ok(None));
        save(&file, b"first").unwrap();
        // A rest of one that was broken off, and readable by all, is in nobody's way.
        let rest = home.join(".a.example.pem.new");
        fs::write(&rest, b"half").unwrap();
        fs::set_permissions(&rest, fs::Permissions::from_mode(0o644)).unwrap();
        save(&file, b"second").unwrap();
        assert_eq!(load(&file), Ok(Some(b"second".to_vec())));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode(&scratch), mode(&home), mode(&file)], [0o700, 0o700, 0o600]);
        assert_eq!(fs::read_dir(&home).unwrap().count(), 1);
        // What cannot be written leaves what was.
        assert!(save(&file.join("below"), b"x").unwrap_err().contains("cannot be written"));
        assert_eq!(load(&file), Ok(Some(b"second".to_vec())));
        assert_eq!(record(&file), home.join("a.example.orders.json"));
        fs::remove_dir_all(scratch).unwrap();
    }
}
