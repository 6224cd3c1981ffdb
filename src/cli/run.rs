//! `towline run`: the daemon.

use std::collections::BTreeMap;

use towline::{
    control,
    daemon::Daemon,
    mirror::{Mirror, Phase, Until},
    watch::KernelWatcher,
};

use super::{Context, Exit, Failure, assemble};

pub(super) async fn run(context: Context) -> Result<Exit, Failure> {
    let house = assemble::House::open(&context)?;
    let listener = control::bind(&assemble::socket(&context)?).map_err(Failure::failed)?;
    let mut daemon = Daemon::default();
    let mut handles = BTreeMap::new();
    for config in &house.config.mirrors {
        let settings = house.settings(config);
        let watch = |root: std::path::PathBuf| KernelWatcher::start(&root);
        let (mirror, handle) =
            Mirror::new(settings, house.index(config)?, house.remote(config)?, Some(std::sync::Arc::new(watch)))
                .map_err(Failure::config)?;
        handles.insert(config.name.clone(), handle);
        let stop = daemon.stop();
        daemon.task(format!("the mirror {}", config.name), async move {
            let last = mirror.run(Until::Stopped, stop).await?;
            tracing::info!(mirror = %last.name, in_sync = last.phase == Phase::InSync, "stopped");
            Ok(())
        });
    }
    let stop = daemon.stop();
    daemon.task("the control socket", async move { Ok(control::serve(listener, handles, stop).await?) });
    let result = daemon.run().await.map_err(Failure::failed);
    let _ = std::fs::remove_file(assemble::socket(&context)?);
    result.map(|()| Exit::Done)
}
