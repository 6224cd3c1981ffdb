//! Commands to the server (RFC 959 §4.1 and its successors), each one line; a line that is two cannot be built.

use std::{
    fmt,
    net::{SocketAddr, SocketAddrV4},
};

use zeroize::Zeroizing;

use super::{address, extra::Extra, reply::MAX_LINE, time};

/// The absolute name of a file or directory on the server. It is not empty and holds no CR, LF or NUL.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pathname(Vec<u8>);

/// What a command is given besides a path: no CR, LF or NUL. It is wiped from memory when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Argument(Zeroizing<Vec<u8>>);

/// Why some bytes cannot be sent in a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// A byte that ends a command line, or a string in the server.
    #[error("FTP cannot carry a line break or a NUL byte")]
    Unsendable,
    /// 0xFF and a byte behind it that telnet takes for a command (RFC 854), and 0xFF is not doubled: servers that speak telnet
    /// on the control connection swallow both and answer out of turn. Of the servers measured ProFTPD does.
    #[error("FTP cannot carry the byte 0xff before one from 0xf0 to 0xff")]
    Telnet,
    /// Longer than any server takes.
    #[error("it is longer than {MAX_LINE} bytes")]
    TooLong,
}

fn check(bytes: &[u8]) -> Result<(), ArgumentError> {
    match bytes {
        b"" => Err(ArgumentError::Empty),
        _ if bytes.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) => Err(ArgumentError::Unsendable),
        _ if bytes.len() > MAX_LINE => Err(ArgumentError::TooLong),
        _ => Ok(()),
    }
}

/// Whether telnet finds a command in it (RFC 854).
fn speaks_telnet(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair[0] == 0xff && pair[1] >= 0xf0)
}

impl Pathname {
    /// Checks and takes `bytes`. Whether 0xFF can be sent is a matter of the [`Encoding`]: [`Command::line`] finds out.
    ///
    /// # Errors
    /// When FTP cannot carry them.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, ArgumentError> {
        let bytes = bytes.into();
        check(&bytes)?;
        Ok(Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Pathname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl Argument {
    /// Checks and takes `bytes`.
    ///
    /// # Errors
    /// When FTP cannot carry them.
    pub fn new(bytes: &[u8]) -> Result<Self, ArgumentError> {
        check(bytes)?;
        if speaks_telnet(bytes) {
            return Err(ArgumentError::Telnet);
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    /// The bytes.
    pub(in crate::ftps) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One command. Paths are absolute, so that no command depends on a working directory.
#[derive(Clone, PartialEq, Eq)]
pub enum Command {
    /// `AUTH TLS` (RFC 4217 §4).
    AuthTls,
    /// `AUTH SSL`: the same by its name of the drafts before RFC 4217.
    AuthSsl,
    /// `PBSZ 0` (RFC 4217 §8).
    Pbsz,
    /// `PROT P` (RFC 4217 §9).
    ProtP,
    /// `USER`.
    User(Argument),
    /// `PASS`; shown as `PASS ***`.
    Pass(Argument),
    /// `FEAT` (RFC 2389 §3).
    Feat,
    /// `OPTS UTF8 ON`.
    OptsUtf8,
    /// `TYPE I`.
    TypeImage,
    /// `EPSV` (RFC 2428 §3).
    Epsv,
    /// `PASV`.
    Pasv,
    /// `PORT`.
    Port(SocketAddrV4),
    /// `EPRT` (RFC 2428 §2).
    Eprt(SocketAddr),
    /// `STOR`.
    Stor(Pathname),
    /// `RETR`.
    Retr(Pathname),
    /// `SIZE` (RFC 3659 §4).
    Size(Pathname),
    /// `MLST` (RFC 3659 §7).
    Mlst(Pathname),
    /// `MLSD` (RFC 3659 §7).
    Mlsd(Pathname),
    /// `LIST` of the working directory; `true` adds `-a`.
    List(bool),
    /// `STAT -a`: a listing on the control connection.
    StatAll(Pathname),
    /// `RNFR`.
    RenameFrom(Pathname),
    /// `RNTO`.
    RenameTo(Pathname),
    /// `DELE`.
    Delete(Pathname),
    /// `MKD`.
    MakeDir(Pathname),
    /// `RMD`.
    RemoveDir(Pathname),
    /// `CWD`.
    ChangeDir(Pathname),
    /// `MFMT` (draft-somers-ftp-mfxx): seconds since the Unix epoch.
    Mfmt(i64, Pathname),
    /// `MDTM` with a time, the way of vsftpd: seconds since the Unix epoch.
    MdtmSet(i64, Pathname),
    /// `SITE UTIME` in the form that ProFTPD and Pure-FTPd share: seconds since the Unix epoch.
    SiteUtime(i64, Pathname),
    /// `SITE CHMOD`: permission bits, written in octal.
    SiteChmod(u16, Pathname),
    /// `SITE SYMLINK` (ProFTPD's mod_site_misc): what the link is to lead to, relative to the working directory or absolute,
    /// and its name.
    SiteSymlink(Pathname, Pathname),
    /// `NOOP`.
    Noop,
    /// `QUIT`.
    Quit,
    /// One that only some servers have.
    Extra(Extra),
}

/// How paths become bytes on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Whether 0xFF is doubled as telnet has it (RFC 959 §3.1). Of the servers measured only ProFTPD undoes it.
    pub telnet_doubled: bool,
}

impl Command {
    /// The line, with CR LF.
    pub fn encode(&self, encoding: Encoding) -> Zeroizing<Vec<u8>> {
        let mut line = Zeroizing::new(self.verb().as_bytes().to_vec());
        let mut word = |bytes: &[u8]| {
            line.push(b' ');
            for byte in bytes {
                line.push(*byte);
                if encoding.telnet_doubled && *byte == 0xff {
                    line.push(0xff);
                }
            }
        };
        match self {
            Self::User(argument) | Self::Pass(argument) => word(&argument.0),
            Self::Port(at) => word(address::for_port(*at).as_bytes()),
            Self::Eprt(at) => word(address::for_eprt(*at).as_bytes()),
            Self::Mfmt(at, path) | Self::MdtmSet(at, path) => {
                word(stamp(*at).as_bytes());
                word(&path.0);
            }
            Self::SiteChmod(mode, path) => {
                word(format!("{mode:03o}").as_bytes());
                word(&path.0);
            }
            Self::SiteSymlink(target, path) => {
                word(&target.0);
                word(&path.0);
            }
            Self::SiteUtime(at, path) => {
                word(&path.0);
                let stamp = stamp(*at);
                for part in [&stamp, &stamp, &stamp, "UTC"] {
                    word(part.as_bytes());
                }
            }
            Self::Extra(extra) => extra.words(word),
            _ => {
                if let Some(path) = self.path() {
                    word(&path.0);
                }
            }
        }
        line.extend_from_slice(b"\r\n");
        line
    }

    /// The line, if it can be sent that way.
    ///
    /// # Errors
    /// [`ArgumentError::Telnet`].
    pub fn line(&self, encoding: Encoding) -> Result<Zeroizing<Vec<u8>>, ArgumentError> {
        let telnet = !encoding.telnet_doubled && speaks_telnet(&self.encode(encoding));
        if telnet { Err(ArgumentError::Telnet) } else { Ok(self.encode(encoding)) }
    }

    /// The command without what varies; for messages.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::AuthTls => "AUTH TLS",
            Self::AuthSsl => "AUTH SSL",
            Self::Pbsz => "PBSZ 0",
            Self::ProtP => "PROT P",
            Self::User(_) => "USER",
            Self::Pass(_) => "PASS",
            Self::Feat => "FEAT",
            Self::OptsUtf8 => "OPTS UTF8 ON",
            Self::TypeImage => "TYPE I",
            Self::Epsv => "EPSV",
            Self::Pasv => "PASV",
            Self::Port(_) => "PORT",
            Self::Eprt(_) => "EPRT",
            Self::Stor(_) => "STOR",
            Self::Retr(_) => "RETR",
            Self::Size(_) => "SIZE",
            Self::Mlst(_) => "MLST",
            Self::Mlsd(_) => "MLSD",
            Self::List(false) => "LIST",
            Self::List(true) => "LIST -a",
            Self::StatAll(_) => "STAT -a",
            Self::RenameFrom(_) => "RNFR",
            Self::RenameTo(_) => "RNTO",
            Self::Delete(_) => "DELE",
            Self::MakeDir(_) => "MKD",
            Self::RemoveDir(_) => "RMD",
            Self::ChangeDir(_) => "CWD",
            Self::Mfmt(..) => "MFMT",
            Self::MdtmSet(..) => "MDTM",
            Self::SiteUtime(..) => "SITE UTIME",
            Self::SiteChmod(..) => "SITE CHMOD",
            Self::SiteSymlink(..) => "SITE SYMLINK",
            Self::Noop => "NOOP",
            Self::Quit => "QUIT",
            Self::Extra(extra) => extra.verb(),
        }
    }

    fn path(&self) -> Option<&Pathname> {
        match self {
            Self::Stor(path)
            | Self::Retr(path)
            | Self::Size(path)
            | Self::Mlst(path)
            | Self::Mlsd(path)
            | Self::StatAll(path)
            | Self::RenameFrom(path)
            | Self::RenameTo(path)
            | Self::Delete(path)
            | Self::MakeDir(path)
            | Self::RemoveDir(path)
            | Self::ChangeDir(path)
            | Self::Mfmt(_, path)
            | Self::MdtmSet(_, path)
            | Self::SiteUtime(_, path) => Some(path),
            _ => None,
        }
    }
}

/// A time that has no time value is sent as the epoch; callers ask [`time::format`] first.
fn stamp(seconds: i64) -> String {
    time::format(seconds).unwrap_or_else(|| "19700101000000".to_owned())
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass(_) => f.write_str("PASS ***"),
            _ => {
                let line = self.encode(Encoding::default());
                write!(f, "{}", line.strip_suffix(b"\r\n").unwrap_or(&line).escape_ascii())
            }
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(bytes: &[u8]) -> Pathname {
        Pathname::new(bytes).expect("sendable")
    }

    #[test]
    fn what_ends_a_line_cannot_be_sent() {
        for bad in [&b"a\rb"[..], b"a\nDELE b", b"a\0b", b"\n"] {
            assert_eq!(Pathname::new(bad), Err(ArgumentError::Unsendable));
            assert_eq!(Argument::new(bad).err(), Some(ArgumentError::Unsendable));
        }
        for telnet in [&b"a\xff\xfeb"[..], b"\xff\xff"] {
            assert_eq!(Argument::new(telnet).err(), Some(ArgumentError::Telnet));
            let command = Command::Stor(path(telnet));
            assert_eq!(command.line(Encoding::default()).err(), Some(ArgumentError::Telnet));
            assert!(command.line(Encoding { telnet_doubled: true }).is_ok());
        }
        assert!(Command::Stor(path(b"\xffa")).line(Encoding::default()).is_ok());
        assert_eq!(Pathname::new(b""), Err(ArgumentError::Empty));
        assert_eq!(Pathname::new(vec![b'x'; MAX_LINE + 1]), Err(ArgumentError::TooLong));
    }

    #[test]
    fn encoded_forms() {
        let encoded = |command: Command| String::from_utf8_lossy(&command.encode(Encoding::default())).into_owned();
        assert_eq!(encoded(Command::Stor(path(b"/a b"))), "STOR /a b\r\n");
        assert_eq!(encoded(Command::List(true)), "LIST -a\r\n");
        assert_eq!(encoded(Command::StatAll(path(b"."))), "STAT -a .\r\n");
        assert_eq!(encoded(Command::Mfmt(0, path(b"/x"))), "MFMT 19700101000000 /x\r\n");
        assert_eq!(encoded(Command::MdtmSet(0, path(b"/x"))), "MDTM 19700101000000 /x\r\n");
        assert_eq!(
            encoded(Command::SiteUtime(0, path(b"/x"))),
            "SITE UTIME /x 19700101000000 19700101000000 19700101000000 UTC\r\n"
        );
        assert_eq!(encoded(Command::SiteChmod(0o40, path(b"/a b"))), "SITE CHMOD 040 /a b\r\n");
        assert_eq!(encoded(Command::SiteSymlink(path(b"../t"), path(b"/l"))), "SITE SYMLINK ../t /l\r\n");
        let raw = Command::Stor(path(b"/\xff"));
        assert_eq!(&**raw.encode(Encoding::default()), b"STOR /\xff\r\n");
        assert_eq!(&**raw.encode(Encoding { telnet_doubled: true }), b"STOR /\xff\xff\r\n");
    }

    /// CCC would end the encryption of the control connection, PROT C that of files. A command that is not in this room's
    /// source cannot be built, and what cannot be built is not sent.
    #[test]
    fn there_is_no_command_that_ends_encryption() {
        let (code, _) = include_str!("command.rs").split_once("#[cfg(test)]").expect("tests");
        for verb in ["CCC", "PROT C", "PROT S", "PROT E", "REIN"] {
            assert!(!code.contains(&format!("\"{verb}")), "{verb}");
        }
        assert!(code.contains("\"PROT P\""));
    }

    #[test]
    fn the_password_is_never_shown() {
        let pass = Command::Pass(Argument::new(b"hunter2").expect("sendable"));
        assert_eq!(format!("{pass} {pass:?}"), "PASS *** PASS ***");
        assert_eq!(&**pass.encode(Encoding::default()), b"PASS hunter2\r\n");
    }

    proptest! {
        #[test]
        fn a_command_is_one_line(bytes in proptest::collection::vec(any::<u8>(), 0..60), at in any::<i64>()) {
            if let Ok(path) = Pathname::new(bytes) {
                let (a, b) = (path.clone(), path.clone());
                for command in [
                    Command::Stor(path.clone()),
                    Command::SiteUtime(at, path.clone()),
                    Command::Mfmt(at, path.clone()),
                    Command::SiteChmod(0o644, path),
                    Command::SiteSymlink(a, b),
                ] {
                    let line = command.encode(Encoding::default());
                    prop_assert!(line.ends_with(b"\r\n"));
                    prop_assert!(!line[..line.len() - 2].iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
                    prop_assert!(!command.to_string().contains(char::is_control));
                }
            }
        }
    }
}
