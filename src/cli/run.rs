//! `towline run`: the daemon, and what becomes of its mirrors when the configuration is read anew.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use tokio::sync::mpsc;
use towline::{
    config::{self, Config},
    control::{
        self, Registry, ReloadOrder, Reloaded,
        notices::{self, Tellers},
    },
    daemon::{Daemon, DaemonError, Signals},
    mirror::{Keeper, MirrorError, Opened, Phase, Settings},
    remote::ftps::FtpsRemote,
};

use super::{Context, Exit, Failure, assemble};

/// The name of the task that answers on the socket.
const SOCKET: &str = "the control socket";

pub(super) async fn run(context: Context) -> Result<Exit, Failure> {
    let signals = Signals::listen().map_err(Failure::failed)?;
    let house = assemble::House::open(&context)?;
    let socket = assemble::own_socket(&context)?;
    let listener = control::bind(&socket).map_err(Failure::failed)?;
    let _socket = Socket(socket.clone());
    let (reloads, asked) = mpsc::channel::<ReloadOrder>(8);
    let mut daemon = Daemon::default();
    let mut fleet = Fleet { context, house, registry: Registry::new(BTreeMap::new(), reloads) };
    for mirror in &fleet.house.config.mirrors {
        let ready = ready(&fleet.house, mirror).await?;
        let opened = fleet.house.opened(mirror)?;
        fleet.start(&mut daemon, mirror, ready, Ok(opened));
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), socket = %socket.display(), "towline runs");
    let registry = fleet.registry.clone();
    daemon.task(SOCKET, |stop| async move { Ok(control::serve(listener, registry, stop).await?) });
    fleet.tell(&mut daemon);
    let registry = fleet.registry.clone();
    daemon.watchdog(move || {
        let mirrors = registry.all();
        async move {
            for handle in mirrors.into_values() {
                handle.turn().await;
            }
        }
    });
    let reload = async |daemon: &mut Daemon| fleet.reload(daemon).await;
    daemon.run(signals, asked, reload).await.map_err(|e| {
        let hint = hint(&e);
        Failure::failed(e).with_hint(hint)
    })?;
    Ok(Exit::Done)
}

/// The name of the task that tells of states.
const NOTICES: &str = "the notices";

/// The mirrors that run.
struct Fleet {
    context: Context,
    house: assemble::House,
    registry: Registry,
}

/// What a mirror needs that can be found wrong before it starts.
type Ready = (Settings, Arc<FtpsRemote>);

async fn ready(house: &assemble::House, mirror: &config::Mirror) -> Result<Ready, Failure> {
    Ok((house.settings(mirror)?, house.remote(mirror).await?))
}

/// What a mirror's task is called.
fn task(name: &str) -> String {
    format!("the mirror {name}")
}

impl Fleet {
    fn start(
        &self,
        daemon: &mut Daemon,
        mirror: &config::Mirror,
        (settings, remote): Ready,
        opened: Result<Opened, towline::index::IndexError>,
    ) {
        let listens = Arc::new(self.house.listens());
        let (keeper, handle) = Keeper::new(settings, self.house.opens(mirror), remote, Some(listens));
        self.registry.add(mirror.name.clone(), handle);
        daemon.task(task(&mirror.name), |stop| async move {
            let last = keeper.run(opened, stop).await?;
            let left = last.tally.pending_files + last.tally.pending_dirs + last.tally.pending_removals;
            tracing::info!(mirror = %last.name, left, "stopped");
            Ok(())
        });
        tracing::info!(mirror = %mirror.name, source = %mirror.source.display(), remote = %mirror.remote, path = %mirror.path, "started");
    }

    /// Has somebody told of states, if anybody is to be.
    fn tell(&self, daemon: &mut Daemon) {
        let config::Notify { command, webhook, after, ping, ping_every } = self.house.config.notify.clone();
        if command.is_none() && webhook.is_none() && ping.is_none() {
            return;
        }
        let tellers = Tellers { command, webhook, after, ping, ping_every };
        let registry = self.registry.clone();
        daemon.task(NOTICES, |stop| async move {
            notices::run(registry, tellers, stop).await;
            Ok(())
        });
    }

    /// Reads the configuration anew. It is read whole and everything that it needs is made before the first mirror is stopped: what
    /// is wrong changes nothing. A mirror that is as it was goes on undisturbed.
    async fn reload(&mut self, daemon: &mut Daemon) -> Result<Reloaded, String> {
        let outcome = self.reloaded(daemon).await;
        match &outcome {
            Ok(Reloaded { started, restarted, stopped, untouched }) => {
                tracing::info!(?started, ?restarted, ?stopped, ?untouched, "the configuration was read anew");
            }
            Err(failure) => {
                tracing::error!("the configuration was read anew and cannot be used; the old one stays: {}", failure.cause());
            }
        }
        outcome.map_err(|failure| {
            let hint = failure.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            format!("{}{hint}", failure.cause())
        })
    }

    async fn reloaded(&mut self, daemon: &mut Daemon) -> Result<Reloaded, Failure> {
        let config = assemble::config(&self.context)?;
        let running = self.registry.all();
        let runs = |name: &str| {
            running.get(name).is_some_and(|handle| {
                let phase = handle.status.borrow().phase;
                !handle.commands.is_closed() && phase != Phase::Stopped
            })
        };
        let same = unchanged(&self.house.config, &config, runs);
        let next = self.house.renewed(config, |remote| same.remotes.contains(&remote));
        let mut change = Reloaded::default();
        let mut fresh = Vec::new();
        for mirror in &next.config.mirrors {
            let name = mirror.name.clone();
            if same.mirrors.contains(&mirror.name.as_str()) {
                change.untouched.push(name);
                continue;
            }
            fresh.push((mirror.clone(), ready(&next, mirror).await?));
            if running.contains_key(&name) { change.restarted.push(name) } else { change.started.push(name) }
        }
        let kept = |name: &str| next.config.mirrors.iter().any(|mirror| mirror.name == name);
        change.stopped = running.keys().filter(|name| !kept(name)).cloned().collect();
        let ending: Vec<String> = change.stopped.iter().chain(&change.restarted).map(|name| task(name)).collect();
        daemon.end(&ending).await;
        change.stopped.iter().for_each(|name| self.registry.remove(name));
        let tells_as_before = self.house.config.notify == next.config.notify;
        self.house = next;
        if !tells_as_before {
            daemon.end(&[NOTICES.to_owned()]).await;
            self.tell(daemon);
        }
        for (mirror, ready) in fresh {
            let opens = self.house.opens(&mirror);
            let opened = towline::blocking::run(move || opens(false)).await.unwrap_or(Err(towline::index::IndexError::Lost));
            self.start(daemon, &mirror, ready, opened);
        }
        Ok(change)
    }
}

/// What need not be disturbed.
struct Unchanged<'c> {
    remotes: Vec<&'c str>,
    mirrors: Vec<&'c str>,
}

/// What is the same in both configurations. Of a server, one of whose mirrors does not `run`, nothing is: its password may be
/// another by now.
fn unchanged<'c>(old: &'c Config, new: &Config, runs: impl Fn(&str) -> bool) -> Unchanged<'c> {
    let remotes: Vec<&str> = old
        .remotes
        .iter()
        .filter(|(name, remote)| new.remotes.get(*name) == Some(*remote))
        .filter(|(name, _)| old.mirrors.iter().all(|mirror| mirror.remote != **name || runs(&mirror.name)))
        .map(|(name, _)| name.as_str())
        .collect();
    let same = |mirror: &&config::Mirror| remotes.contains(&mirror.remote.as_str()) && new.mirrors.contains(mirror);
    let mirrors = old.mirrors.iter().filter(same).map(|mirror| mirror.name.as_str()).collect();
    Unchanged { remotes, mirrors }
}

fn hint(error: &DaemonError) -> Option<&'static str> {
    match error.source.downcast_ref() {
        Some(MirrorError::Index(e)) => e.hint(),
        _ => None,
    }
}

/// The name of the socket, which goes when the daemon goes.
struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_as_it_was_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let load = |text: &str| {
            let file = dir.path().join("towline.toml");
            std::fs::write(&file, text).unwrap();
            Config::load(&file).unwrap()
        };
        let remote =
            |name: &str, host: &str| format!("[remote.{name}]\nhost = \"{host}\"\nuser = \"u\"\npassword = {{ file = \"p\" }}\n");
        let mirror = |name: &str, remote: &str, more: &str| {
            format!("[[mirror]]\nname = \"{name}\"\nsource = \"/{name}\"\nremote = \"{remote}\"\npath = \"/{name}\"\n{more}\n")
        };
        let both = [remote("one", "a"), remote("two", "b")].concat();
        let old = load(&[both.clone(), mirror("x", "one", ""), mirror("y", "one", ""), mirror("z", "two", "")].concat());
        let check = |text: String, stopped: &str, remotes: &[&str], mirrors: &[&str]| {
            let new = load(&text);
            let same = unchanged(&old, &new, |name| name != stopped);
            assert_eq!((same.remotes.as_slice(), same.mirrors.as_slice()), (remotes, mirrors), "{text}");
        };
        let all = [mirror("z", "two", ""), mirror("y", "one", ""), mirror("x", "one", "")].concat();
        check(both.clone() + &all, "", &["one", "two"], &["x", "y", "z"]);
        check(both.clone() + &mirror("y", "one", "quiet = \"1s\"") + &mirror("n", "two", ""), "", &["one", "two"], &[]);
        check([remote("one", "other"), remote("two", "b"), all.clone()].concat(), "", &["two"], &["z"]);
        check([&remote("one", "a"), "bandwidth = \"1MiB\"\n", &remote("two", "b"), &all].concat(), "", &["two"], &["z"]);
        check(both + &all, "y", &["two"], &["z"]);
    }
}
