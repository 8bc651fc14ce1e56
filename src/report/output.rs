//! The destination of a report: stdout, or a file that is either whole or absent.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat};
use tempfile::NamedTempFile;

/// The temporary file being written, on file systems without nameless files.
static UNFINISHED: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Where a report goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// To stdout.
    #[default]
    Stdout,
    /// To stderr.
    Stderr,
    /// To this file. A device, a named pipe or `/dev/stdout` is written to, never replaced.
    File(PathBuf),
    /// To the end of this file, on a line of its own. It is created if it is missing.
    EndOf(PathBuf),
}

/// A file that cannot be written, said before anything is dialled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unwritable {
    /// The name is no file's name.
    #[error("cannot write to {file:?}: that is no file's name; give -o FILE one")]
    NoName {
        /// As given.
        file: PathBuf,
    },
    /// It is a directory.
    #[error("cannot write to {}: it is a directory; name a file in it", file.display())]
    Directory {
        /// As given.
        file: PathBuf,
    },
    /// Its directory is missing.
    #[error("cannot write to {}: there is no directory {}; create it first", file.display(), directory.display())]
    NoDirectory {
        /// As given.
        file: PathBuf,
        /// The missing directory.
        directory: PathBuf,
    },
    /// Its parent is no directory.
    #[error("cannot write to {}: {} is not a directory", file.display(), directory.display())]
    NotADirectory {
        /// As given.
        file: PathBuf,
        /// The parent.
        directory: PathBuf,
    },
    /// The system refuses.
    #[error("cannot write to {}", file.display())]
    Denied {
        /// As given.
        file: PathBuf,
        /// In the system's words.
        #[source]
        reason: io::Error,
    },
}

/// Where bytes come to lie, by whatever name.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Stdout,
    Stderr,
    /// A file that is there: its device and its number.
    Existing(u64, u64),
    /// A file yet to be: its directory behind all links, and its name.
    Missing(PathBuf, OsString),
    /// A pipe, a device, another descriptor of this process.
    Special(PathBuf),
}

/// The destination of a path.
enum Target {
    Stdout,
    Stderr,
    /// A regular file, there already or yet to be: its real path, behind all links.
    Regular(PathBuf),
    /// A pipe, a device, another descriptor of this process: opened as it is.
    Special(PathBuf),
    /// A file that keeps what is in it.
    EndOf(PathBuf),
}

impl Output {
    /// Checks that it can be written, and leaves nothing behind. A named pipe is not opened: that would wait for its reader.
    ///
    /// # Errors
    /// The reason, in one line.
    pub fn writable(&self) -> Result<(), Unwritable> {
        let (Self::File(file) | Self::EndOf(file)) = self else { return Ok(()) };
        let denied = |reason| Unwritable::Denied { file: file.clone(), reason };
        if file.as_os_str().is_empty() {
            return Err(Unwritable::NoName { file: file.clone() });
        }
        if matches!(self, Self::EndOf(_)) {
            return OpenOptions::new().append(true).create(true).open(file).map(drop).map_err(denied);
        }
        let target = target(file).map_err(denied)?;
        let (Target::Regular(path) | Target::Special(path)) = &target else { return Ok(()) };
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Err(Unwritable::Directory { file: file.clone() }),
            Ok(found) if found.file_type().is_fifo() => Ok(()),
            Ok(_) => {
                OpenOptions::new().append(true).open(path).map_err(denied)?;
                if let Target::Regular(path) = &target {
                    has_room_beside(path).map_err(denied)?;
                }
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let directory = directory(path);
                match fs::metadata(directory) {
                    Ok(found) if !found.is_dir() => {
                        Err(Unwritable::NotADirectory { file: file.clone(), directory: directory.to_owned() })
                    }
                    Ok(_) if ends_in_slash(path) => Err(Unwritable::Directory { file: file.clone() }),
                    Ok(_) => has_room_beside(path).map_err(denied),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        Err(Unwritable::NoDirectory { file: file.clone(), directory: directory.to_owned() })
                    }
                    Err(error) => Err(denied(error)),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(Unwritable::NotADirectory { file: file.clone(), directory: directory(path).to_owned() })
            }
            Err(error) => Err(denied(error)),
        }
    }

    /// Writes all of it. A file is replaced in one step after everything was written, so a reader never sees a part of it.
    /// It keeps the permissions of the file it replaces; a new file gets the usual ones. A closed pipe is no error: its
    /// reader has read what it wanted.
    ///
    /// # Errors
    /// The system's error. The file is then unchanged.
    pub fn write_whole(&self, bytes: &[u8]) -> io::Result<()> {
        let target = self.target()?;
        if let Target::Regular(path) = &target {
            return replace(path, bytes);
        }
        let mut out = open(&target)?;
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    /// Opens it for writing piece by piece. A reader sees each piece at once. An existing file is emptied first.
    ///
    /// # Errors
    /// What the system answers.
    pub fn stream(&self) -> io::Result<Box<dyn Write + Send>> {
        open(&self.target()?)
    }

    /// Whether both come to lie in one place, by whatever names: one would ruin the other.
    #[must_use]
    pub fn is_where(&self, other: &Self) -> bool {
        self == other || self.place().is_some_and(|place| other.place() == Some(place))
    }

    /// What is done when it is written: an error in it says where.
    #[must_use]
    pub fn writing(&self) -> String {
        match self {
            Self::Stdout => "writing the report".to_owned(),
            Self::Stderr => "writing the report to standard error".to_owned(),
            Self::File(file) | Self::EndOf(file) => format!("writing the report to {}", file.display()),
        }
    }

    /// None if nothing can be there.
    fn place(&self) -> Option<Place> {
        let path = match self.target().ok()? {
            Target::Stdout => return Some(Place::Stdout),
            Target::Stderr => return Some(Place::Stderr),
            Target::Special(path) => return Some(Place::Special(path)),
            Target::EndOf(path) => return Self::File(path).place(),
            Target::Regular(path) => path,
        };
        match fs::metadata(&path) {
            Ok(found) => Some(Place::Existing(found.dev(), found.ino())),
            Err(_) => Some(Place::Missing(directory(&path).canonicalize().ok()?, path.file_name()?.to_owned())),
        }
    }

    /// Whether a whole report replaces a file here, instead of being written to what is open or waits for a reader.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        matches!(self.target(), Ok(Target::Regular(_)))
    }

    /// Removes what was not written to its end: the process ends here and now.
    pub fn discard_unfinished() {
        if let Some(path) = unfinished().take() {
            // It may have got its own name in this moment.
            let _ = fs::remove_file(path);
        }
    }

    fn target(&self) -> io::Result<Target> {
        match self {
            Self::Stdout => Ok(Target::Stdout),
            Self::Stderr => Ok(Target::Stderr),
            Self::File(file) => target(file),
            Self::EndOf(file) => Ok(Target::EndOf(file.clone())),
        }
    }
}

/// Follows links one by one: the chain may pass through a name that stands for a descriptor of this process, and what is
/// behind that one (the file that a shell redirected stdout to, say) must not be replaced.
fn target(file: &Path) -> io::Result<Target> {
    const LINKS: usize = 40;
    let mut path = file.to_owned();
    for _ in 0..LINKS {
        match path.to_str() {
            Some("/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1") => return Ok(Target::Stdout),
            Some("/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2") => return Ok(Target::Stderr),
            _ if path.starts_with("/dev/fd") || path.starts_with("/proc") => return Ok(Target::Special(path)),
            _ => {}
        }
        match fs::read_link(&path) {
            Ok(link) => path = directory(&path).join(link),
            Err(_) => {
                let special = fs::metadata(&path).is_ok_and(|found| !found.is_file() && !found.is_dir());
                return Ok(if special { Target::Special(path) } else { Target::Regular(path) });
            }
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn open(target: &Target) -> io::Result<Box<dyn Write + Send>> {
    Ok(match target {
        Target::Stdout => Box::new(io::stdout()),
        Target::Stderr => Box::new(io::stderr()),
        Target::Regular(path) => Box::new(File::create(path)?),
        // An open descriptor that leads to a file is appended to; for a pipe or a device it makes no difference.
        Target::Special(path) => Box::new(OpenOptions::new().append(true).open(path)?),
        Target::EndOf(path) => {
            let mut file = OpenOptions::new().append(true).create(true).read(true).open(path)?;
            let mut last = [b'\n'];
            if file.seek(SeekFrom::End(-1)).is_ok() {
                file.read_exact(&mut last)?;
            }
            if last != [b'\n'] {
                file.write_all(b"\n")?;
            }
            Box::new(file)
        }
    })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let permissions = fs::metadata(path).ok().map(|found| found.permissions());
    let fill = |mut file: &File| {
        file.write_all(bytes)?;
        permissions.clone().map_or(Ok(()), |permissions| file.set_permissions(permissions))
    };
    // A nameless file vanishes with a process that is killed.
    if let Ok(file) = nameless(path) {
        fill(&file)?;
        if give_name(&file, path).is_ok() {
            return Ok(());
        }
    }
    let file = temporary(path)?;
    *unfinished() = Some(file.path().to_owned());
    let written = fill(file.as_file()).and_then(|()| file.persist(path).map(drop).map_err(|error| error.error));
    unfinished().take();
    written
}

/// A nameless file in the same directory. Most file systems of Linux can do that.
fn nameless(path: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(directory(path), flags, Mode::from_raw_mode(0o666))?.into())
}

/// Gives the file its name. To replace an existing file it needs a temporary name for a moment.
fn give_name(file: &File, path: &Path) -> io::Result<()> {
    let link =
        |name: &Path| linkat(CWD, format!("/proc/self/fd/{}", file.as_raw_fd()), CWD, name, AtFlags::SYMLINK_FOLLOW);
    match link(path) {
        Err(rustix::io::Errno::EXIST) => {}
        named => return Ok(named?),
    }
    let between = directory(path).join(format!(".mailconn-{:016x}", fastrand::u64(..)));
    *unfinished() = Some(between.clone());
    link(&between)?;
    let renamed = fs::rename(&between, path);
    if renamed.is_err() {
        Output::discard_unfinished();
    }
    unfinished().take();
    renamed
}

fn unfinished() -> MutexGuard<'static, Option<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks that a file can be made there, and removes it.
fn has_room_beside(path: &Path) -> io::Result<()> {
    nameless(path).map(drop).or_else(|_| temporary(path).map(drop))
}

/// In the same directory, because a rename does not cross file systems. It has the permissions of any new file: the report
/// is no secret, and others may read it.
fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".mailconn-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory(path))
        .map_err(plain)
}

/// The system's words without the temporary file's name, which means nothing to the user.
fn plain(error: io::Error) -> io::Error {
    error.kind().into()
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

fn ends_in_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}
