//! From a configuration to running parts: the one place where the rooms are joined.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use secrecy::SecretString;
use towline::{
    clock,
    config::{self, Config, PasswordSource},
    ftps::{self, ClientAuth, Pin, Profile, Throttle, Timeouts, TlsSettings},
    index::{Index, Profiles, StateLock},
    mirror::{Drift, Neighbour, OpenState, Opened, Priority, Publish, Scrub, Seats, Settings, Siblings, index_file, marker},
    model::{Abilities, Disposal, Mode, Retention, Versions},
    plan::Budget,
    remote::ftps::{FtpsRemote, FtpsSettings, abilities},
    scan::{Modes, Symlinks, View},
    service::systemd,
    watch::{KernelWatcher, SharedWatches, WatchError},
};

use super::{Context, Exit, Failure};

/// The configuration and the state that belongs to it, held by this process alone.
pub(super) struct House {
    pub(super) config: Config,
    pub(super) state_dir: PathBuf,
    profiles: Arc<Mutex<Profiles>>,
    /// One endpoint for each remote: its mirrors share what is learnt and know of each other's logins.
    remotes: Mutex<BTreeMap<String, Arc<FtpsRemote>>>,
    /// The sessions of each remote, which its mirrors share.
    seats: Mutex<BTreeMap<String, Seats>>,
    /// The mirrors that run, or ran, and what they know of each other's files.
    siblings: Siblings,
    /// The directories that are watched.
    watches: SharedWatches,
    lock: Arc<StateLock>,
}

/// Reads the configuration as it is, with mirrors or without, and says where it is.
pub(super) fn any_config(context: &Context) -> Result<(Config, PathBuf), Failure> {
    let wrong = |e: config::ConfigError| {
        let hint = e.hint();
        Failure::config(e).with_hint(hint)
    };
    let file = Config::find(context.config.as_deref(), &Context::env).map_err(wrong)?;
    Ok((Config::load(&file).map_err(wrong)?, file))
}

/// Reads the configuration.
pub(super) fn config(context: &Context) -> Result<Config, Failure> {
    let (config, file) = any_config(context)?;
    if config.mirrors.is_empty() {
        return Err(Failure::said(Exit::Config, format_args!("{}: no mirror is configured", file.display()))
            .with_hint(Some("add a [[mirror]] with name, source, remote and path")));
    }
    Ok(config)
}

/// The state directory.
pub(super) fn state_dir(context: &Context) -> Result<PathBuf, Failure> {
    config::state_dir(context.state_dir.as_deref(), &Context::env).map_err(no_place)
}

/// The control socket of a daemon with this context.
pub(super) fn own_socket(context: &Context) -> Result<PathBuf, Failure> {
    config::socket_path(&state_dir(context)?, &Context::env).map_err(no_place)
}

/// The control socket to ask: that of this context's daemon, or, where none was made and nothing says which, that of the machine's
/// service. What may not be looked at is there: whoever asks it hears why not.
pub(super) fn socket(context: &Context) -> Result<PathBuf, Failure> {
    let is_there = |path: &Path| path.symlink_metadata().map_or_else(|e| e.kind() == ErrorKind::PermissionDenied, |_| true);
    let (own, named) = (own_socket(context)?, context.state_dir.is_some());
    Ok(config::socket_to_ask(own, named, Path::new(systemd::SYSTEM_SOCKET), &Context::env, is_there))
}

fn no_place(e: config::DirError) -> Failure {
    let hint = e.hint();
    Failure::config(e).with_hint(Some(hint))
}

impl House {
    /// Reads the configuration and takes the state directory.
    pub(super) fn open(context: &Context) -> Result<Self, Failure> {
        let config = config(context)?;
        let state_dir = state_dir(context)?;
        let lock = StateLock::acquire(&state_dir).map_err(|e| {
            let hint = e.hint();
            Failure::failed(e).with_hint(hint)
        })?;
        let profiles = profiles(&state_dir)?;
        let (remotes, seats, siblings) = (Mutex::default(), Mutex::default(), Siblings::default());
        let watches = SharedWatches::default();
        Ok(Self { config, state_dir, profiles, remotes, seats, siblings, watches, lock: Arc::new(lock) })
    }

    /// The same with another configuration. Of servers for which `keeps` holds, what is known of them and their sessions is kept.
    pub(super) fn renewed(&self, config: Config, keeps: impl Fn(&str) -> bool) -> Self {
        let remotes = self.remotes.lock().unwrap_or_else(PoisonError::into_inner);
        let seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            config,
            state_dir: self.state_dir.clone(),
            profiles: Arc::clone(&self.profiles),
            remotes: Mutex::new(
                remotes.iter().filter(|(name, _)| keeps(name)).map(|(k, v)| (k.clone(), Arc::clone(v))).collect(),
            ),
            seats: Mutex::new(seats.iter().filter(|(name, _)| keeps(name)).map(|(k, v)| (k.clone(), v.clone())).collect()),
            siblings: self.siblings.clone(),
            watches: self.watches.clone(),
            lock: Arc::clone(&self.lock),
        }
    }

    /// The mirrors called `names`, or all.
    pub(super) fn mirrors(&self, names: &[String]) -> Result<Vec<&config::Mirror>, Failure> {
        select(&self.config, names)
    }

    /// Whether what is overwritten on the server of `mirror` can be kept, as far as that is known.
    pub(super) fn can_keep(&self, mirror: &config::Mirror) -> bool {
        retention(&mirror.trash).can_keep(self.copies(mirror))
    }

    fn copies(&self, mirror: &config::Mirror) -> Option<bool> {
        self.profile(self.config.remotes.get(&mirror.remote)?)?.server_copy
    }

    /// What was learnt of the server of `remote`.
    fn profile(&self, remote: &config::Remote) -> Option<Profile> {
        self.profiles.lock().ok()?.load(&endpoint(remote)).ok()?
    }

    /// The sessions that may be had of the server of `remote`: as many as the configuration allows, and as many as it bore before.
    fn new_seats(&self, remote: &config::Remote) -> Seats {
        let ceiling = usize::from(remote.connections);
        Seats::of_known(ceiling, self.profile(remote).and_then(|known| known.limit).map_or(ceiling, usize::from))
    }

    /// The engine's settings for `mirror`.
    ///
    /// # Errors
    /// As for [`settings`].
    pub(super) fn settings(&self, mirror: &config::Mirror) -> Result<Settings, Failure> {
        let seats = {
            let new = || self.config.remotes.get(&mirror.remote).map_or_else(|| Seats::new(1), |remote| self.new_seats(remote));
            let mut all = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(mirror.remote.clone()).or_insert_with(new).clone()
        };
        let (siblings, neighbours) = (self.siblings.clone(), neighbours(&self.config, mirror, &self.state_dir));
        Ok(Settings { siblings, neighbours, ..settings(mirror, seats, &self.state_dir)? })
    }

    /// How a mirror's directory is listened to: together with all others that mirror it.
    pub(super) fn listens(&self) -> impl Fn(PathBuf) -> Result<KernelWatcher, WatchError> + Send + Sync + 'static {
        let watches = self.watches.clone();
        move |root: PathBuf| watches.listen(&root)
    }

    /// The index of `mirror`. A damaged one is moved aside and begun anew.
    pub(super) fn index(&self, mirror: &config::Mirror) -> Result<Index, Failure> {
        let (index, aside) = self.opened(mirror)?;
        if let Some(aside) = aside {
            tracing::warn!(mirror = %mirror.name, kept = %aside.display(), "the state was damaged and is made anew: everything is sent again, nothing is removed");
        }
        Ok(index)
    }

    /// The same, for somebody who tells of it.
    pub(super) fn opened(&self, mirror: &config::Mirror) -> Result<Opened, Failure> {
        (self.opens(mirror))(false).map_err(|e| Failure::state(&index_file(&self.state_dir, &mirror.name), e))
    }

    /// How the index of `mirror` is opened.
    pub(super) fn opens(&self, mirror: &config::Mirror) -> OpenState {
        let file = index_file(&self.state_dir, &mirror.name);
        Arc::new(move |damaged| {
            let (mut index, aside) = Index::open_anew(&file, clock::now(), damaged)?;
            if let Some(boot) = boot() {
                let doubted = index.booted(&boot, clock::now())?;
                if doubted > 0 {
                    tracing::info!(doubted, "the machine was started anew: what was sent last is read again");
                }
            }
            Ok((index, aside))
        })
    }

    /// The remote of `mirror`, which remembers what it learns in the state directory.
    pub(super) async fn remote(&self, mirror: &config::Mirror) -> Result<Arc<FtpsRemote>, Failure> {
        let remote = remote_of(&self.config, mirror)?;
        if let Some(known) = self.remotes.lock().unwrap_or_else(PoisonError::into_inner).get(&mirror.remote) {
            return Ok(Arc::new(known.beside(mirror.path.as_bytes()).map_err(Failure::config)?));
        }
        let server = Arc::new(known_server(remote, &mirror.path, &self.profiles).await?.with_probe(clock::now));
        self.remotes.lock().unwrap_or_else(PoisonError::into_inner).insert(mirror.remote.clone(), Arc::clone(&server));
        Ok(server)
    }
}

/// What the system calls this machine; a random name where it has none, and then a state that was lost is nobody's.
fn machine() -> String {
    let id = std::fs::read_to_string("/etc/machine-id").ok().map(|id| id.trim().to_owned());
    id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("{:032x}", fastrand::u128(..)))
}

/// What the system calls the machine's present start.
fn boot() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

/// What was learnt about servers, in the state directory.
const LEARNT: &str = "remotes.db";

/// What the server of `mirror` was found to be able to do; looks at the state and changes nothing.
pub(super) fn known_abilities(config: &Config, mirror: &config::Mirror, state_dir: &Path) -> Abilities {
    let file = state_dir.join(LEARNT);
    let known = || {
        let remote = config.remotes.get(&mirror.remote)?;
        let profiles = file.try_exists().ok()?.then(|| Profiles::open(&file).ok())??;
        profiles.load::<Profile>(&endpoint(remote)).ok()?
    };
    known().map_or(Abilities::UNKNOWN, |profile: Profile| abilities(&profile))
}

/// What was learnt about servers, which is kept in the state directory; whoever else has it open may do so.
pub(super) fn profiles(state_dir: &Path) -> Result<Arc<Mutex<Profiles>>, Failure> {
    let learnt = state_dir.join(LEARNT);
    let (profiles, aside) = Profiles::open_anew(&learnt, clock::now()).map_err(|e| Failure::state(&learnt, e))?;
    if let Some(aside) = aside {
        tracing::warn!(kept = %aside.display(), "what was learnt of the servers was damaged: it is learnt again");
    }
    Ok(Arc::new(Mutex::new(profiles)))
}

/// What is learnt of a server is kept by account: what it allows depends on it.
fn endpoint(remote: &config::Remote) -> String {
    format!("{}@{}:{}", remote.user, remote.host, remote.port)
}

/// The directory `base` on the server of `remote`, with what is known of it, and what will be learnt kept.
pub(super) async fn known_server(
    remote: &config::Remote,
    base: &str,
    profiles: &Arc<Mutex<Profiles>>,
) -> Result<FtpsRemote, Failure> {
    let password = password(remote).await?;
    let endpoint = endpoint(remote);
    let known = profiles.lock().ok().and_then(|profiles| profiles.load::<Profile>(&endpoint).ok().flatten());
    let profiles = Arc::clone(profiles);
    let on_learn = move |profile: &Profile| {
        let saved = profiles.lock().map(|mut profiles| {
            let kept = profiles.load::<Profile>(&endpoint).ok().flatten().unwrap_or_default();
            profiles.save(&endpoint, &profile.or_later_probe(kept), clock::now())
        });
        if let Ok(Err(e)) = saved {
            tracing::warn!(error = %e, "what was learnt of the server could not be kept");
        }
    };
    server(remote, password, base, known.unwrap_or_default(), on_learn)
}

/// The mirrors of `config` called `names`, or all.
pub(super) fn select<'a>(config: &'a Config, names: &[String]) -> Result<Vec<&'a config::Mirror>, Failure> {
    if names.is_empty() {
        return Ok(config.mirrors.iter().collect());
    }
    let find = |name: &String| {
        config.mirrors.iter().find(|m| m.name == *name).ok_or_else(|| {
            let known = config.mirrors.iter().map(|m| m.name.clone()).collect::<Vec<_>>().join(", ");
            Failure::said(Exit::Usage, format_args!("there is no mirror called {name:?}; there is: {known}"))
        })
    };
    names.iter().map(find).collect()
}

/// The engine's settings for `mirror`, whose state is in `state_dir`.
///
/// # Errors
/// When the state cannot be told from what is to be mirrored.
pub(super) fn settings(mirror: &config::Mirror, seats: Seats, state_dir: &Path) -> Result<Settings, Failure> {
    let mut ignore = mirror.ignore.clone();
    // The state changes with everything that is done: mirrored, it would never come to rest.
    if let Ok(inside) = resolved(state_dir).strip_prefix(resolved(&mirror.source)) {
        let pattern = inside.to_str().and_then(only).ok_or_else(|| {
            let (name, dir) = (&mirror.name, state_dir.display());
            Failure::said(Exit::Config, format_args!("the source of the mirror {name} holds Towline's own state, {dir}"))
                .with_hint(Some("keep the state elsewhere (--state-dir), or mirror another directory"))
        })?;
        tracing::info!(mirror = %mirror.name, "the state directory lies in the source; it is not mirrored");
        ignore.push(pattern);
    }
    Ok(Settings {
        name: mirror.name.clone(),
        source: mirror.source.clone(),
        view: view(mirror),
        ignore,
        append: mirror.append.clone(),
        quiet: mirror.quiet,
        full_scan: mirror.full_scan,
        identity: marker::identity(&machine(), &index_file(state_dir, &mirror.name)),
        budget: Budget { files: mirror.delete_budget.files.into(), percent: mirror.delete_budget.percent },
        drift: match mirror.drift {
            config::Drift::KeepRemote => Drift::KeepRemote,
            config::Drift::KeepBoth => Drift::KeepBoth,
            config::Drift::Overwrite => Drift::Overwrite,
        },
        publish: match mirror.publish {
            config::Publish::Each => Publish::Each,
            config::Publish::Together => Publish::Together,
        },
        scan: match mirror.scan {
            config::Scan::Background => Priority::Background,
            config::Scan::Normal => Priority::Normal,
        },
        scrub: Scrub { every: mirror.verify.every, read_back: mirror.verify.read_back },
        disposal: match mirror.delete {
            config::Delete::Trash => Disposal::Trash,
            config::Delete::Remove => Disposal::Remove,
            config::Delete::Keep => Disposal::Keep,
        },
        retention: retention(&mirror.trash),
        neighbours: Vec::new(),
        seats,
        siblings: Siblings::default(),
        clock: clock::now,
        observer: None,
    })
}

/// The other mirrors on the server of `mirror`, by the same account.
pub(super) fn neighbours(config: &Config, mirror: &config::Mirror, state_dir: &Path) -> Vec<Neighbour> {
    let account = |mirror: &config::Mirror| config.remotes.get(&mirror.remote).map(endpoint);
    let others = config.mirrors.iter().filter(|other| other.name != mirror.name && account(other) == account(mirror));
    let neighbour = |other: &config::Mirror| Neighbour {
        name: other.name.clone(),
        index: index_file(state_dir, &other.name),
        base: other.path.as_bytes().to_vec(),
    };
    others.map(neighbour).collect()
}

/// What is kept in the trash.
fn retention(trash: &config::Trash) -> Retention {
    Retention {
        age: Duration::from_secs(u64::from(trash.days) * 86_400),
        bytes: trash.size,
        versions: match trash.versions {
            config::Versions::Never => Versions::Never,
            config::Versions::Copied => Versions::Copied,
            config::Versions::Always => Versions::Always,
        },
    }
}

/// How the mirror's directory is looked at.
fn view(mirror: &config::Mirror) -> View {
    let mode = |bits: Option<u16>| bits.map(|bits| Mode::of(bits.into()));
    View {
        symlinks: match mirror.symlinks {
            config::Symlinks::Skip => Symlinks::Skip,
            config::Symlinks::Follow => Symlinks::Follow,
            config::Symlinks::Link => Symlinks::Link,
        },
        modes: match mirror.permissions {
            config::Permissions::Server => Modes::Ignore,
            config::Permissions::Keep => Modes::Keep,
            config::Permissions::Fixed { files, directories } => Modes::Fixed { files: mode(files), dirs: mode(directories) },
        },
    }
}

/// `path` without symlinks, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

/// The gitignore pattern that matches the directory `path` below the root and nothing else; none for the root.
fn only(path: &str) -> Option<String> {
    if path.is_empty() || path.contains(['\n', '\r']) {
        return None;
    }
    let escaped: String = path
        .chars()
        .flat_map(|c| {
            let special = matches!(c, '\\' | '*' | '?' | '[' | ']' | '{' | '}' | '!' | '#' | ' ');
            special.then_some('\\').into_iter().chain([c])
        })
        .collect();
    Some(format!("/{escaped}/"))
}

/// The remote that `mirror` names.
pub(super) fn remote_of<'a>(config: &'a Config, mirror: &config::Mirror) -> Result<&'a config::Remote, Failure> {
    config.remotes.get(&mirror.remote).ok_or_else(|| {
        Failure::said(Exit::Config, format_args!("the mirror {} names an unknown remote {}", mirror.name, mirror.remote))
    })
}

/// What is not in the configuration itself.
pub(super) struct Secrets {
    /// Of the account.
    pub(super) password: SecretString,
    /// Of the client certificate's key, where that is encrypted.
    pub(super) key_password: Option<SecretString>,
    /// Of the account on the proxy.
    pub(super) proxy: Option<SecretString>,
}

/// The passwords of `remote`.
pub(super) async fn password(remote: &config::Remote) -> Result<Secrets, Failure> {
    secrets(remote, |_| true).await
}

/// The passwords of `remote` that are in a `wanted` place; something else for those of accounts that are not.
pub(super) async fn secrets(remote: &config::Remote, wanted: impl Fn(&PasswordSource) -> bool) -> Result<Secrets, Failure> {
    let read = async |source: &PasswordSource| {
        if wanted(source) { secret(source).await } else { Ok(SecretString::from("not read")) }
    };
    let key_password = match remote.tls.client.as_ref().and_then(|client| client.key_password.as_ref()) {
        Some(source) if wanted(source) => Some(secret(source).await?),
        _ => None,
    };
    let proxy = match remote.proxy.as_ref().and_then(|proxy| proxy.user.as_ref()) {
        Some((_, source)) => Some(read(source).await?),
        None => None,
    };
    Ok(Secrets { password: read(&remote.password).await?, key_password, proxy })
}

/// A password; on a thread of its own, since a command may take its time.
async fn secret(source: &PasswordSource) -> Result<SecretString, Failure> {
    let source = source.clone();
    tokio::task::spawn_blocking(move || source.read()).await.map_err(Failure::failed)?.map_err(|e| {
        let hint = e.hint();
        Failure::config(e).with_hint(Some(hint))
    })
}

/// An FTPS remote whose tree begins at `base`.
pub(super) fn server(
    remote: &config::Remote,
    secrets: Secrets,
    base: &str,
    profile: Profile,
    on_learn: impl Fn(&Profile) + Send + Sync + 'static,
) -> Result<FtpsRemote, Failure> {
    let settings = FtpsSettings {
        host: remote.host.clone(),
        port: remote.port,
        mode: match remote.mode {
            config::Mode::Explicit => ftps::Mode::Explicit,
            config::Mode::Implicit => ftps::Mode::Implicit,
        },
        data: data(&remote.data),
        proxy: remote.proxy.as_ref().map(|found| proxy(found, secrets.proxy)),
        user: remote.user.clone(),
        password: secrets.password,
        base: base.as_bytes().to_vec(),
        tls: tls(&remote.tls, secrets.key_password),
        timeouts: Timeouts { connect: remote.timeouts.connect, reply: remote.timeouts.reply, stall: remote.timeouts.stall },
        throttle: Throttle::new(remote.bandwidth.clone(), clock::local),
    };
    FtpsRemote::new(settings, profile, Arc::new(on_learn)).map_err(|e| {
        let hint = e.hint();
        Failure::config(e).with_hint(hint)
    })
}

fn data(data: &config::DataMode) -> ftps::DataMode {
    match data {
        config::DataMode::Passive => ftps::DataMode::Passive,
        config::DataMode::Epsv => ftps::DataMode::Epsv,
        config::DataMode::Pasv => ftps::DataMode::Pasv,
        config::DataMode::Active { ports, address } => {
            ftps::DataMode::Active(ftps::Active { ports: ports.clone().unwrap_or(0..=0), address: *address })
        }
    }
}

fn proxy(proxy: &config::Proxy, password: Option<SecretString>) -> ftps::Proxy {
    ftps::Proxy {
        kind: match proxy.kind {
            config::ProxyKind::Socks5 => ftps::ProxyKind::Socks5,
            config::ProxyKind::Http => ftps::ProxyKind::Http,
        },
        host: proxy.host.clone(),
        port: proxy.port,
        user: proxy.user.as_ref().map(|(user, _)| user.clone()).zip(password),
    }
}

/// Two rooms that do not know each other have the same words for trust.
fn tls(tls: &config::Tls, key_password: Option<SecretString>) -> TlsSettings {
    TlsSettings {
        ca: tls.ca.clone(),
        pins: tls.pins.iter().copied().map(Pin::from).collect(),
        trust: match tls.trust {
            config::Trust::Chain => ftps::Trust::Chain,
            config::Trust::Pin => ftps::Trust::Pin,
        },
        server_name: tls.server_name.clone(),
        min: match tls.min {
            config::TlsVersion::V1_2 => ftps::TlsVersion::V12,
            config::TlsVersion::V1_3 => ftps::TlsVersion::V13,
        },
        client: tls.client.as_ref().map(|client| ClientAuth { cert: client.cert.clone(), key: client.key.clone(), key_password }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_matched_by_name_alone() {
        let of = |path: &str| only(path).unwrap_or_default();
        assert_eq!(of(".local/state/towline"), "/.local/state/towline/");
        assert_eq!(of("a [b]*?!"), r"/a\ \[b\]\*\?\!/");
        assert_eq!(only(""), None);
        assert_eq!(only("a\nb"), None);
    }
}
