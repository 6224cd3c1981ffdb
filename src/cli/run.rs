//! `towline run`: the daemon.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use towline::{
    control,
    daemon::{Daemon, DaemonError},
    mirror::{Keeper, MirrorError},
    watch::KernelWatcher,
};

use super::{Context, Exit, Failure, assemble};

pub(super) async fn run(context: Context) -> Result<Exit, Failure> {
    let house = assemble::House::open(&context)?;
    let socket = assemble::socket(&context)?;
    let listener = control::bind(&socket).map_err(Failure::failed)?;
    let _socket = Socket(socket.clone());
    let mut daemon = Daemon::default();
    let mut handles = BTreeMap::new();
    for config in &house.config.mirrors {
        let settings = house.settings(config)?;
        let watch = |root: PathBuf| KernelWatcher::start(&root);
        let opened = house.opened(config)?;
        let (mirror, handle) = Keeper::new(settings, house.opens(config), house.remote(config).await?, Some(Arc::new(watch)));
        handles.insert(config.name.clone(), handle);
        let stop = daemon.stop();
        daemon.task(format!("the mirror {}", config.name), async move {
            let last = mirror.run(opened, stop).await?;
            let left = last.tally.pending_files + last.tally.pending_dirs + last.tally.pending_removals;
            tracing::info!(mirror = %last.name, left, "stopped");
            Ok(())
        });
        tracing::info!(mirror = %config.name, source = %config.source.display(), remote = %config.remote, path = %config.path, "started");
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), socket = %socket.display(), "towline runs");
    let stop = daemon.stop();
    daemon.task("the control socket", async move { Ok(control::serve(listener, handles, stop).await?) });
    daemon.run().await.map_err(|e| {
        let hint = hint(&e);
        Failure::failed(e).with_hint(hint)
    })?;
    Ok(Exit::Done)
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
