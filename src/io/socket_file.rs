//! The file of a Unix socket that is listened on: made in place of one that nobody listens on any more, and removed when
//! we are done with it, if it is still ours. For use off the cores: the file system may block.

use std::fs;
use std::fs::Permissions;
use std::io;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use socket2::Domain;
use socket2::SockAddr;
use socket2::Socket;
use socket2::Type;

/// A Unix socket that is listened on, and its file. Dropped: the file is gone, so nobody can connect any more; whoever has
/// a descriptor still may accept those that came before, and the last one that is closed resets the rest.
#[derive(Debug)]
pub struct SocketFile {
    path: Arc<Path>,
    socket: UnixListener,
    identity: Identity,
}

/// Which file it is, whatever its name: device and inode.
type Identity = (u64, u64);

impl SocketFile {
    /// Listens at a path. The file has these permissions before anybody can connect, whatever the umask.
    ///
    /// # Errors
    /// When somebody listens there, or there is a file that is no socket; and those of bind(2), chmod(2), listen(2).
    pub fn create(path: &Arc<Path>, mode: u32, backlog: i32) -> io::Result<Self> {
        clear(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let identity = identity(path)?;
        let file = Self { path: path.clone(), socket: OwnedFd::from(socket).into(), identity };
        file.set_mode(mode)?;
        // From here on it can be connected to.
        socket2::SockRef::from(&file.socket).listen(backlog)?;
        // Every core tries to accept each connection; all but one find it taken.
        file.socket.set_nonblocking(true)?;
        Ok(file)
    }

    /// Descriptors of the one socket, to accept from.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn share(&self, count: usize) -> io::Result<Vec<OwnedFd>> {
        (0..count).map(|_| self.socket.try_clone().map(OwnedFd::from)).collect()
    }

    /// Sets the file's permissions.
    ///
    /// # Errors
    /// Those of chmod(2); and when the file is no longer ours.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        if !self.is_ours() {
            return Err(io::Error::new(ErrorKind::NotFound, "the socket's file was removed or replaced"));
        }
        fs::set_permissions(&self.path, Permissions::from_mode(mode))
    }

    /// As long as the socket is open, the kernel gives its inode to no other file.
    fn is_ours(&self) -> bool {
        identity(&self.path).is_ok_and(|identity| identity == self.identity)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_ours() {
            // Whoever removes it before us has done us no harm.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Removes a socket's file that nobody listens on.
fn clear(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "there is a file that is no socket"));
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            if identity(path).is_ok_and(|now| now == (found.dev(), found.ino())) {
                fs::remove_file(path)?;
            }
            Ok(())
        }
        // A full queue is one that somebody is expected to take from.
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(io::Error::new(
            error.kind(),
            format!("there is a socket, and whether it is in use cannot be told: {error}"),
        )),
        Ok(()) | Err(_) => Err(io::Error::new(ErrorKind::AddrInUse, "somebody listens there already")),
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A folder of this test's own, removed with all that is in it.
    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ringway-{}-{name}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str) -> Arc<Path> {
            self.0.join(name).into()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn create(path: &Arc<Path>) -> io::Result<SocketFile> {
        SocketFile::create(path, 0o600, 16)
    }

    #[test]
    fn a_file_has_its_mode_and_goes_with_its_socket() {
        let folder = Folder::new("mode");
        let path = folder.file("a");
        for mode in [0o600, 0o666, 0o777, 0o060] {
            let file = SocketFile::create(&path, mode, 16).unwrap();
            assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o7777, mode);
            file.set_mode(0o640).unwrap();
            assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o7777, 0o640);
            drop(file);
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_socket_that_nobody_listens_on_is_replaced_and_nothing_else_is() {
        let folder = Folder::new("stale");
        let path = folder.file("a");
        // A crash leaves its file.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let file = create(&path).unwrap();
        let stream = UnixStream::connect(&path).unwrap();
        assert_eq!(create(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert!(path.exists(), "the refused one has taken the file with it");
        drop((file, stream));

        let datagrams = UnixDatagram::bind(&path).unwrap();
        assert!(create(&path).unwrap_err().to_string().contains("cannot be told"));
        drop(datagrams);
        fs::remove_file(&path).unwrap();

        fs::create_dir(&path).unwrap();
        assert_eq!(create(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        std::os::unix::fs::symlink("/nowhere", folder.file("link")).unwrap();
        assert_eq!(create(&folder.file("link")).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(create(&folder.file("none/a")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_file_that_is_no_longer_ours_is_left() {
        let folder = Folder::new("theirs");
        let path = folder.file("a");
        let ours = create(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let theirs = create(&path).unwrap();
        assert_eq!(ours.set_mode(0o777).unwrap_err().kind(), ErrorKind::NotFound);
        drop(ours);
        assert!(UnixStream::connect(&path).is_ok());
        drop(theirs);
        assert!(!path.exists());
    }
}
