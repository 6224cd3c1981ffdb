//! [`super::Remote`] over FTPS: paths below the mirror's directory, and what the engine's errors mean for the mirror.

mod base;
mod changes;
mod class;
mod copies;

use std::sync::Arc;

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;

use base::Base;

use super::{Both, Change, Class, Concluded, Duplicate, Listed, Listing, Remote, RemoteError, Session, Source, Stored, Wanted};
use crate::{
    ftps::{
        self, AccountError, Client, Credentials, DataMode, Dated, Dial, Endpoint, Error, Mode, OnLearn, Presented, Profile,
        Proxy, Stats, Tail, TcpDial, Throttle, Timeouts, TlsError, TlsSettings,
        proto::{ArgumentError, ListedKind, Pathname, listing::Completeness},
    },
    model::{self, Abilities, Checksum, Kind, PathError, RelPath, ServerCopy, Stat, UnixMillis},
};

/// What to do when the mirror's directory can neither be used nor made.
const NO_BASE: &str = "make the mirror's directory on the server and let the account write to it, or correct `path`";

/// A server, an account on it, and a directory there.
#[derive(Clone, Debug)]
pub struct FtpsSettings {
    /// Host name or IP address.
    pub host: String,
    /// The port for TLS in this mode, as a rule 21 or 990.
    pub port: u16,
    /// How the control connection comes to be encrypted.
    pub mode: Mode,
    /// How data connections come about.
    pub data: DataMode,
    /// What is in between, for all connections.
    pub proxy: Option<Proxy>,
    /// The account.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// The mirror's directory on the server, absolute.
    pub base: Vec<u8>,
    /// Whom to believe to be the server.
    pub tls: TlsSettings,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// What all connections to the server may carry together; `None` is as much as they can.
    pub throttle: Option<Arc<Throttle>>,
}

/// Settings that cannot work, whatever the server says.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// User or password.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server cannot connect through a proxy.
    #[error("data connections cannot be active through a proxy, which the server cannot get through")]
    ActiveThroughProxy,
    /// The directory does not start with a slash.
    #[error("the remote directory must be absolute (start with `/`)")]
    NotAbsolute,
    /// The directory has a component that no path may have.
    #[error("the remote directory is not valid: {0}")]
    Base(#[from] PathError),
    /// FTP cannot carry the directory.
    #[error("the remote directory cannot be sent: {0}")]
    Unsendable(#[from] ArgumentError),
}

impl SettingsError {
    /// What an operator can do about it, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Tls(error) => error.hint(),
            _ => None,
        }
    }
}

/// A directory on an FTPS server.
pub struct FtpsRemote<D: Dial = TcpDial> {
    endpoint: Arc<Endpoint<D>>,
    base: Base,
    /// The account and the server, in words.
    account: Arc<str>,
    /// What time it is, for the date of a probe; `None` does not probe.
    probing: Option<fn() -> UnixMillis>,
    /// A session changes nothing on the server: the directory has to be there.
    looks_only: bool,
}

/// What there is to tell about a server.
#[derive(Clone, Debug)]
pub struct Examined {
    /// The TLS version of the control connection, in words.
    pub tls: &'static str,
    /// When the server's certificate expires, in seconds since the Unix epoch.
    pub certificate_expires: Option<i64>,
    /// What the server greets with, in one line.
    pub greeting: String,
    /// What was learnt about it.
    pub profile: Profile,
}

/// A logged-in conversation about one directory.
pub struct FtpsSession<D: Dial = TcpDial> {
    client: Client<D>,
    base: Base,
    probing: Option<fn() -> UnixMillis>,
    /// The server said that it has no SITE CHMOD.
    lacks_chmod: bool,
}

impl FtpsRemote {
    /// A directory on the server that the settings name. `profile` is what was learnt about it earlier; `on_learn` is told
    /// each time there is something new to keep.
    ///
    /// # Errors
    /// When the settings cannot work.
    pub fn new(settings: FtpsSettings, profile: Profile, on_learn: OnLearn) -> Result<Self, SettingsError> {
        let dial = TcpDial::new(settings.host.clone(), settings.port, settings.timeouts.connect);
        let dial = dial.through(settings.proxy.clone());
        Self::with_dial(dial, settings, profile, on_learn)
    }
}

impl<D: Dial> FtpsRemote<D> {
    /// As [`FtpsRemote::new`], over other byte streams than TCP; host, port and proxy are then mere names.
    ///
    /// # Errors
    /// When the settings cannot work.
    pub fn with_dial(dial: D, settings: FtpsSettings, profile: Profile, on_learn: OnLearn) -> Result<Self, SettingsError> {
        let FtpsSettings { host, mode, data, proxy, user, password, base, tls, timeouts, throttle, port } = settings;
        if proxy.is_some() && matches!(data, DataMode::Active(_)) {
            return Err(SettingsError::ActiveThroughProxy);
        }
        let credentials = Credentials::new(&user, password.expose_secret())?;
        let base = Base::new(&base)?;
        let account = format!("{user}@{host}:{port}").into();
        let endpoint = Endpoint::new(dial, &host, credentials, &tls, timeouts, profile, on_learn)?;
        let endpoint = Arc::new(endpoint.connecting(mode, data).throttled(throttle));
        Ok(Self { endpoint, base, account, probing: None, looks_only: false })
    }

    /// This, but the first login probes the server if it is not known, or not the one that it was; `clock` dates that.
    #[must_use]
    pub fn with_probe(mut self, clock: fn() -> UnixMillis) -> Self {
        self.probing = Some(clock);
        self
    }

    /// This, but opening a session changes nothing on the server: a directory that is missing stays so, and nothing is probed.
    #[must_use]
    pub fn looking_only(mut self) -> Self {
        (self.probing, self.looks_only) = (None, true);
        self
    }

    /// Another directory on the same server, by the same account: what is learnt, and how many logins are up, is shared.
    ///
    /// # Errors
    /// When `base` is no absolute path that FTP can carry.
    pub fn beside(&self, base: &[u8]) -> Result<Self, SettingsError> {
        let (endpoint, account) = (Arc::clone(&self.endpoint), Arc::clone(&self.account));
        Ok(Self { endpoint, base: Base::new(base)?, account, probing: self.probing, looks_only: self.looks_only })
    }

    /// The server and the account, for what the trait has no verb for.
    pub fn endpoint(&self) -> &Arc<Endpoint<D>> {
        &self.endpoint
    }

    /// Handshakes so far.
    pub fn stats(&self) -> &Stats {
        self.endpoint.stats()
    }

    /// The certificate that the server presents, trusted or not; nothing of the account is sent.
    ///
    /// # Errors
    /// Classified, see [`Class`].
    pub async fn inspect(&self) -> Result<Presented, RemoteError> {
        Ok(self.endpoint.inspect().await?)
    }

    /// Logs in and probes the server, if that is due, or in any case if it is to be `fresh`. The remote's directory is made if
    /// missing, and the scratch directory lies in it for as long as it takes. That the account may not write is no error.
    ///
    /// # Errors
    /// When there is no login, or the connection is lost.
    pub async fn examine(&self, fresh: bool, now: UnixMillis) -> Result<Examined, RemoteError> {
        let mut client = Client::connect(self.endpoint.clone()).await?;
        match self.base.ensure(&mut client).await {
            Err(error) if !error.leaves_connection_usable() => return Err(error.into()),
            _ => {}
        }
        if fresh {
            client.probe_afresh(&self.base.absolute(), now).await?;
        } else {
            client.study(&self.base.absolute(), now).await?;
        }
        let (tls, certificate_expires) = (client.tls_version(), client.certificate_expires());
        let examined = Examined { tls, certificate_expires, greeting: client.greeting(), profile: self.profile() };
        client.quit().await;
        Ok(examined)
    }

    /// What was learnt so far.
    pub fn profile(&self) -> Profile {
        self.endpoint.profile()
    }
}

/// What the mirror is to know of a server with this profile.
pub fn abilities(profile: &Profile) -> Abilities {
    let Profile { folds_case, names, chmod, symlink, set_time_exact, server_copy, .. } = profile;
    Abilities {
        folds_case: *folds_case,
        leading_spaces: names.leading_space,
        trailing_spaces: names.trailing_space,
        controls: names.controls,
        non_utf8: names.bytes,
        chmod: *chmod,
        symlink: *symlink,
        times: *set_time_exact,
        copies: *server_copy,
        patches: profile.patches(),
    }
}

impl<D: Dial> Remote for FtpsRemote<D> {
    type Session = FtpsSession<D>;

    async fn connect(&self) -> Result<FtpsSession<D>, RemoteError> {
        let mut client = Client::connect(self.endpoint.clone()).await?;
        if self.looks_only {
            client.look_only();
            self.base.find(&mut client).await?;
            return Ok(FtpsSession { client, base: self.base.clone(), probing: None, lacks_chmod: false });
        }
        self.base.ensure(&mut client).await.map_err(|error| {
            let error = RemoteError::from(error);
            if error.class == Class::Refused && error.hint.is_none() { error.with_hint(NO_BASE) } else { error }
        })?;
        if let Some(clock) = self.probing {
            client.probe_if_due(&self.base.absolute(), clock()).await?;
        }
        Ok(FtpsSession { client, base: self.base.clone(), probing: self.probing, lacks_chmod: false })
    }

    fn target(&self) -> String {
        format!("{}{}", self.account, self.base.absolute().escape_ascii())
    }

    fn abilities(&self) -> Abilities {
        abilities(&self.profile())
    }

    fn is_to_be_studied(&self) -> bool {
        self.probing.is_some() && self.profile().is_begun()
    }

    fn warnings(&self, now: UnixMillis) -> Vec<String> {
        self.endpoint.expiry_warnings(now.0.div_euclid(1000))
    }
}

impl<D: Dial> FtpsSession<D> {
    /// The TLS version of the control connection, in words.
    pub fn tls_version(&self) -> &'static str {
        self.client.tls_version()
    }

    fn at(&self, path: &RelPath) -> Result<Pathname, RemoteError> {
        self.base.join(path).map_err(|error| Error::Name(error).into())
    }

    /// What is wanted, in the server's words.
    fn there<'p>(&self, wanted: &Wanted<'_>, fresh: &'p Pathname, path: &'p Pathname) -> ftps::Wanted<'p> {
        let mode = wanted.mode.filter(|_| !self.lacks_chmod).map(model::Mode::bits);
        ftps::Wanted { fresh, path, bytes: wanted.bytes, modified: wanted.modified, mode, more: wanted.more }
    }
}

impl<D: Dial> Session for FtpsSession<D> {
    async fn store(&mut self, path: &RelPath, body: &mut dyn Source) -> Result<u64, RemoteError> {
        let path = self.at(path)?;
        Ok(self.client.store(&path, &mut || body.open()).await?)
    }

    async fn append(&mut self, path: &RelPath, body: &mut dyn Source) -> Result<u64, RemoteError> {
        if self.client.endpoint().profile().appe != Some(true) {
            return Err(RemoteError::new(Class::Refused, "the server is not known to add to files (APPE)"));
        }
        let path = self.at(path)?;
        Ok(self.client.append(&path, &mut || body.open()).await?)
    }

    async fn overwrite(&mut self, path: &RelPath, at: u64, body: &mut dyn Source) -> Result<u64, RemoteError> {
        if !self.overwrites() {
            return Err(RemoteError::new(
                Class::Refused,
                "the server is not known to write over bytes inside files (REST, STOR)",
            ));
        }
        let path = self.at(path)?;
        Ok(self.client.overwrite(&path, at, &mut || body.open()).await?)
    }

    fn overwrites(&self) -> bool {
        self.client.endpoint().profile().rest_stor == Some(Tail::Keeps)
    }

    async fn size(&mut self, path: &RelPath) -> Result<Option<u64>, RemoteError> {
        let path = self.at(path)?;
        Ok(self.client.size(&path).await?)
    }

    async fn set_modified(&mut self, path: &RelPath, seconds: i64) -> Result<bool, RemoteError> {
        let path = self.at(path)?;
        Ok(self.client.set_modified(&path, seconds).await?)
    }

    async fn set_mode(&mut self, path: &RelPath, mode: model::Mode) -> Result<bool, RemoteError> {
        let path = self.at(path)?;
        if self.lacks_chmod {
            return Ok(false);
        }
        match self.client.set_mode(&path, mode.bits()).await {
            Err(Error::Lacking(_)) => {
                self.lacks_chmod = true;
                Ok(false)
            }
            result => Ok(result?),
        }
    }

    async fn make_link(&mut self, path: &RelPath, target: &[u8]) -> Result<(), RemoteError> {
        let target = Pathname::new(target).map_err(Error::Name)?;
        let inside = match path.parent() {
            Some(dir) => self.at(&dir)?,
            None => self.base.itself().map_err(Error::Name)?,
        };
        let path = self.at(path)?;
        match self.client.make_link(&inside, &target, &path).await {
            Err(Error::Lacking(what)) => {
                Err(RemoteError::new(Class::Refused, format!("there is no way to {what} on this server")))
            }
            result => Ok(result?),
        }
    }

    async fn rename(&mut self, from: &RelPath, to: &RelPath) -> Result<(), RemoteError> {
        let (from, to) = (self.at(from)?, self.at(to)?);
        Ok(self.client.rename(&from, &to).await?)
    }

    async fn change_all(&mut self, changes: &[Change<'_>]) -> Vec<Result<bool, RemoteError>> {
        changes::all(self, changes).await
    }

    async fn change_in_turn(&mut self, groups: &[Vec<Change<'_>>]) -> Vec<Vec<Result<bool, RemoteError>>> {
        changes::in_turn(self, groups).await
    }

    async fn examine_all(&mut self, paths: &[RelPath]) -> Result<Vec<Option<ServerCopy>>, RemoteError> {
        let paths = paths.iter().map(|path| self.at(path)).collect::<Result<Vec<_>, _>>()?;
        self.client.examine_all(&paths).await?.into_iter().map(|found| found.map(copy).transpose()).collect()
    }

    async fn copy(&mut self, from: &RelPath, to: &RelPath, bytes: u64) -> Result<(), RemoteError> {
        copies::copy(self, from, to, bytes).await
    }

    async fn duplicate(&mut self, from: &RelPath, to: &RelPath, bytes: u64, summed: bool) -> Result<Duplicate, RemoteError> {
        copies::duplicate(self, from, to, bytes, summed).await
    }

    async fn examine_beside(&mut self, base: &[u8], path: &RelPath) -> Result<Option<ServerCopy>, RemoteError> {
        let path = base::beside(base, path)?;
        self.client.examine(&path).await?.map(copy).transpose()
    }

    async fn duplicate_beside(
        &mut self,
        base: &[u8],
        from: &RelPath,
        to: &RelPath,
        bytes: u64,
        summed: bool,
    ) -> Result<Duplicate, RemoteError> {
        copies::duplicate_beside(self, base, from, to, bytes, summed).await
    }

    async fn remove_file(&mut self, path: &RelPath) -> Result<(), RemoteError> {
        let path = self.at(path)?;
        Ok(self.client.remove_file(&path).await?)
    }

    async fn remove_dir(&mut self, path: &RelPath) -> Result<(), RemoteError> {
        let path = self.at(path)?;
        Ok(self.client.remove_dir(&path).await?)
    }

    async fn make_dir(&mut self, path: &RelPath) -> Result<(), RemoteError> {
        let path = self.at(path)?;
        Ok(self.client.make_dir(&path).await?)
    }

    async fn stat(&mut self, path: &RelPath) -> Result<Option<Stat>, RemoteError> {
        let path = self.at(path)?;
        let Some(found) = self.client.find(&path).await? else { return Ok(None) };
        let kind = kind(found.kind)?;
        Ok(Some(Stat { kind, size: found.size.filter(|_| kind == Kind::File) }))
    }

    async fn examine(&mut self, path: &RelPath) -> Result<Option<ServerCopy>, RemoteError> {
        let path = self.at(path)?;
        self.client.examine(&path).await?.map(copy).transpose()
    }

    async fn prove(&mut self, fresh: &RelPath, path: &RelPath) -> Result<(Option<u64>, Option<ServerCopy>), RemoteError> {
        let (fresh, path) = (self.at(fresh)?, self.at(path)?);
        let (size, found) = self.client.prove(&fresh, &path).await?;
        Ok((size, found.map(copy).transpose()?))
    }

    async fn list(&mut self, dir: Option<&RelPath>) -> Result<Listing, RemoteError> {
        let at = match dir {
            Some(dir) => self.at(dir)?,
            None => self.base.itself().map_err(Error::Name)?,
        };
        let listing = self.client.list(&at).await?;
        let doubt = match listing.completeness {
            Completeness::Complete => None,
            Completeness::Capped => Some("the server said that it left names out".to_owned()),
            Completeness::Unknown(doubt) => Some(doubt.to_string()),
        };
        let entries = listing.entries.into_iter().map(|listed| Listed {
            name: listed.name,
            kind: kind(listed.kind).ok(),
            size: listed.size,
            modified: listed.modified,
        });
        Ok(Listing { entries: entries.collect(), doubt })
    }

    async fn fetch(&mut self, path: &RelPath, size: u64, into: mpsc::Sender<Bytes>) -> Result<(), RemoteError> {
        let path = self.at(path)?;
        Ok(self.client.fetch(&path, size, &into).await?)
    }

    async fn checksum(&mut self, path: &RelPath, part: Option<(u64, u64)>) -> Result<Option<Checksum>, RemoteError> {
        let path = self.at(path)?;
        Ok(self.client.sum(&path, part).await?)
    }

    async fn conclude(&mut self, wanted: Wanted<'_>) -> Result<Concluded, RemoteError> {
        let (fresh, path) = (self.at(wanted.fresh)?, self.at(wanted.path)?);
        let there = self.there(&wanted, &fresh, &path);
        let unset = there.mode.is_none();
        let found = self.client.conclude(there).await?;
        concluded(&wanted, found, unset)
    }

    async fn store_next(&mut self, before: Option<(&RelPath, &RelPath)>, wanted: Wanted<'_>, body: &mut dyn Source) -> Both {
        let named = before.map(|(from, to)| Ok::<_, RemoteError>((self.at(from)?, self.at(to)?))).transpose();
        let (before, unnamed) = match named {
            Ok(before) => (before, None),
            Err(e) => (None, Some(Err(e))),
        };
        let (fresh, path) = match (self.at(wanted.fresh), self.at(wanted.path)) {
            (Ok(fresh), Ok(path)) => (fresh, path),
            (Err(e), _) | (_, Err(e)) => {
                let renamed = match &before {
                    Some((from, to)) => Some(self.client.rename(from, to).await.map_err(RemoteError::from)),
                    None => unnamed,
                };
                return (renamed, Some(Err(e)));
            }
        };
        let there = self.there(&wanted, &fresh, &path);
        let unset = there.mode.is_none();
        let before = before.as_ref().map(|(from, to)| (from, to));
        let (renamed, stored) = self.client.store_next(before, there, &mut || body.open()).await;
        let stored = stored.map(|stored| {
            let ftps::Stored { bytes, concluded: found } = stored?;
            // What cannot be told in our words is asked again, and then said.
            let concluded = found.and_then(|found| concluded(&wanted, found, unset).ok());
            Ok(Stored { bytes, concluded })
        });
        (renamed.map(|renamed| renamed.map_err(RemoteError::from)).or(unnamed), stored)
    }

    async fn study(&mut self) -> Result<(), RemoteError> {
        let Some(clock) = self.probing else { return Ok(()) };
        // Boxed: it is large, and lies in futures that are.
        Ok(Box::pin(self.client.study(&self.base.absolute(), clock())).await?)
    }

    async fn ping(&mut self) -> Result<(), RemoteError> {
        Ok(self.client.noop().await?)
    }

    fn is_stale(&self) -> bool {
        self.client.is_stale()
    }

    async fn close(self) {
        self.client.quit().await;
    }
}

fn kind(kind: ListedKind) -> Result<Kind, RemoteError> {
    match kind {
        ListedKind::File => Ok(Kind::File),
        ListedKind::Dir => Ok(Kind::Dir),
        ListedKind::Link => Ok(Kind::Link),
        ListedKind::Other => {
            Err(RemoteError::new(Class::Refused, "there is something on the server that is neither a file nor a directory"))
        }
    }
}

/// What was found, in the mirror's words; `unset` where permissions were not even asked for.
fn concluded(wanted: &Wanted<'_>, found: ftps::Concluded, unset: bool) -> Result<Concluded, RemoteError> {
    let mode_unset = found.mode_unset || (wanted.mode.is_some() && unset);
    Ok(Concluded { size: found.size, found: found.found.map(copy).transpose()?, mode_unset })
}

fn copy(Dated { found, modified }: Dated) -> Result<ServerCopy, RemoteError> {
    let kind = kind(found.kind)?;
    Ok(ServerCopy { kind, size: found.size.filter(|_| kind == Kind::File), modified })
}

#[cfg(test)]
mod tests;
