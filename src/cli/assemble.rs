//! From a configuration to running parts: the one place where the rooms are joined.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use towline::{
    clock,
    config::{self, Config},
    ftps::{self, Pin, Profile, Timeouts, TlsSettings},
    index::{Index, Profiles, StateLock},
    mirror::{Settings, index_file},
    plan::Budget,
    remote::ftps::{FtpsRemote, FtpsSettings},
};

use super::{Context, Exit, Failure};

/// The configuration and the state that belongs to it, held by this process alone.
pub(super) struct House {
    pub(super) config: Config,
    pub(super) state_dir: PathBuf,
    profiles: Arc<Mutex<Profiles>>,
    /// One endpoint for each remote: its mirrors share what is learnt and know of each other's logins.
    remotes: Mutex<BTreeMap<String, Arc<FtpsRemote>>>,
    _lock: StateLock,
}

/// Reads the configuration.
pub(super) fn config(context: &Context) -> Result<Config, Failure> {
    let file = Config::find(context.config.as_deref(), &Context::env).map_err(Failure::config)?;
    Config::load(&file).map_err(|e| {
        let hint = e.hint();
        Failure::config(e).with_hint(hint)
    })
}

/// The state directory.
pub(super) fn state_dir(context: &Context) -> Result<PathBuf, Failure> {
    config::state_dir(context.state_dir.as_deref(), &Context::env).map_err(Failure::config)
}

/// The control socket.
pub(super) fn socket(context: &Context) -> Result<PathBuf, Failure> {
    config::socket_path(&state_dir(context)?, &Context::env).map_err(Failure::config)
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
        let profiles = Profiles::open(&state_dir.join("remotes.db")).map_err(Failure::failed)?;
        Ok(Self { config, state_dir, profiles: Arc::new(Mutex::new(profiles)), remotes: Mutex::default(), _lock: lock })
    }

    /// The mirrors called `names`, or all.
    pub(super) fn mirrors(&self, names: &[String]) -> Result<Vec<&config::Mirror>, Failure> {
        select(&self.config, names)
    }

    /// The engine's settings for `mirror`.
    pub(super) fn settings(&self, mirror: &config::Mirror) -> Settings {
        let ceiling = self.config.remotes.get(&mirror.remote).map_or(1, |remote| usize::from(remote.connections));
        // The ceiling is the remote's: its mirrors share it evenly.
        let mirrors = self.config.mirrors.iter().filter(|other| other.remote == mirror.remote).count().max(1);
        settings(mirror, (ceiling / mirrors).max(1))
    }

    /// The index of `mirror`.
    pub(super) fn index(&self, mirror: &config::Mirror) -> Result<Index, Failure> {
        Index::open(&index_file(&self.state_dir, &mirror.name), clock::now()).map_err(|e| {
            let hint = e.hint();
            Failure::failed(e).with_hint(hint)
        })
    }

    /// The remote of `mirror`, which remembers what it learns in the state directory.
    pub(super) fn remote(&self, mirror: &config::Mirror) -> Result<Arc<FtpsRemote>, Failure> {
        let remote = remote_of(&self.config, mirror)?;
        let mut remotes = self.remotes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = remotes.get(&mirror.remote) {
            return Ok(Arc::new(known.beside(mirror.path.as_bytes()).map_err(Failure::config)?));
        }
        let endpoint = format!("{}:{}", remote.host, remote.port);
        let known = self.profiles.lock().ok().and_then(|profiles| profiles.load::<Profile>(&endpoint).ok().flatten());
        let profiles = Arc::clone(&self.profiles);
        let on_learn = move |profile: &Profile| {
            let saved = profiles.lock().map(|mut profiles| profiles.save(&endpoint, profile, clock::now()));
            if let Ok(Err(e)) = saved {
                tracing::warn!(error = %e, "what was learnt of the server could not be kept");
            }
        };
        let server = server(remote, &mirror.path, known.unwrap_or_default(), on_learn)?;
        remotes.insert(mirror.remote.clone(), Arc::clone(&server));
        Ok(server)
    }
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

/// The engine's settings for `mirror`.
pub(super) fn settings(mirror: &config::Mirror, connections: usize) -> Settings {
    Settings {
        name: mirror.name.clone(),
        source: mirror.source.clone(),
        ignore: mirror.ignore.clone(),
        quiet: mirror.quiet,
        full_scan: mirror.full_scan,
        budget: Budget { files: mirror.delete_budget.files.into(), percent: mirror.delete_budget.percent },
        connections,
        clock: clock::now,
        observer: None,
    }
}

/// The remote that `mirror` names.
pub(super) fn remote_of<'a>(config: &'a Config, mirror: &config::Mirror) -> Result<&'a config::Remote, Failure> {
    config.remotes.get(&mirror.remote).ok_or_else(|| {
        Failure::said(Exit::Config, format_args!("the mirror {} names an unknown remote {}", mirror.name, mirror.remote))
    })
}

/// An FTPS remote whose tree begins at `base`.
pub(super) fn server(
    remote: &config::Remote,
    base: &str,
    profile: Profile,
    on_learn: impl Fn(&Profile) + Send + Sync + 'static,
) -> Result<Arc<FtpsRemote>, Failure> {
    let password = remote.password.read().map_err(|e| {
        let hint = e.hint();
        Failure::config(e).with_hint(Some(hint))
    })?;
    let settings = FtpsSettings {
        host: remote.host.clone(),
        port: remote.port,
        user: remote.user.clone(),
        password,
        base: base.as_bytes().to_vec(),
        tls: tls(&remote.tls),
        timeouts: Timeouts {
            connect: remote.timeouts.connect,
            reply: remote.timeouts.reply,
            stall: remote.timeouts.stall,
            ..Timeouts::default()
        },
    };
    Ok(Arc::new(FtpsRemote::new(settings, profile, Arc::new(on_learn)).map_err(Failure::config)?))
}

/// Two rooms that do not know each other have the same words for trust.
fn tls(tls: &config::Tls) -> TlsSettings {
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
    }
}
