//! `towline sync`: mirror once, with a progress bar.

use std::{io::Write, sync::Arc};

use tokio_util::sync::CancellationToken;
use towline::{
    clock, config,
    index::Index,
    mirror::{Mirror, MirrorError, MirrorStatus, Until, index_file, pause},
    plan::Halt,
    watch::KernelWatcher,
};

use super::{Context, Exit, Failure, assemble, progress, show, signals::Signals, status};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  towline sync site && echo everything is on the server\n\n\
                        A mirror that is paused is left alone: 75, if nothing else is wrong. Nothing of it was tried, and nothing failed;\n\
                        a job in cron that may find one paused: towline sync || [ $? -eq 75 ]")]
pub(super) struct Args {
    /// Only these mirrors
    #[arg(value_name = "MIRROR")]
    mirrors: Vec<String>,
}

pub(super) async fn sync(mut context: Context, args: Args) -> Result<Exit, Failure> {
    let mut signals = Signals::new()?;
    let house = assemble::House::open(&context)?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        signals.received().await;
        token.cancel();
    });
    let mut worst = Exit::Done;
    for mirror in house.mirrors(&args.mirrors)? {
        let file = index_file(&house.state_dir, &mirror.name);
        let index = house.index(mirror)?;
        let paused = pause::paused(&index, clock::now()).map_err(|e| Failure::state(&file, e))?;
        if let Some(paused) = paused {
            let _ = writeln!(std::io::stderr(), "{}: paused {}", mirror.name, show::paused(&mirror.name, &paused, clock::now()));
            worst = worst.with(Exit::Paused);
            continue;
        }
        let last = one(&house, mirror, index, &stop).await?;
        let exit = if stop.is_cancelled() { Exit::Failed } else { verdict(&last) };
        match report(&mut context.out, &last, exit) {
            // How it ended counts, whether or not somebody reads of it.
            Err(failure) if !failure.is_closed_pipe() => return Err(failure),
            _ => {}
        }
        worst = worst.with(exit);
        if stop.is_cancelled() {
            break;
        }
    }
    Ok(worst)
}

async fn one(
    house: &assemble::House,
    mirror: &config::Mirror,
    index: Index,
    stop: &CancellationToken,
) -> Result<Arc<MirrorStatus>, Failure> {
    let remote = tokio::select! {
        remote = house.remote(mirror) => remote?,
        () = stop.cancelled() => return Err(Failure::said(Exit::Failed, "interrupted")),
    };
    let (engine, handle) =
        Mirror::<_, KernelWatcher>::new(house.settings(mirror)?, index, remote, None).map_err(Failure::config)?;
    let bar = tokio::spawn(progress::of_pass(mirror.name.clone(), handle.status));
    let last = engine.run(Until::Settled, stop.clone()).await.map_err(|e| {
        let hint = match &e {
            MirrorError::Index(e) => e.hint(),
            MirrorError::Rules(_) => None,
        };
        Failure::failed(e).with_hint(hint)
    });
    let _ = bar.await;
    last
}

/// What the last status of a single pass amounts to.
fn verdict(last: &MirrorStatus) -> Exit {
    if let Some(class) = last.link.class {
        return Exit::of(class);
    }
    if matches!(last.halt.as_ref().map(|h| &h.halt), Some(Halt::RootMissing)) {
        return Exit::Failed;
    }
    if pending(last) > 0 || last.halt.is_some() || !last.unseen.is_empty() { Exit::SomeFailed } else { Exit::Done }
}

fn report(out: &mut impl Write, last: &MirrorStatus, exit: Exit) -> Result<(), Failure> {
    let done = &last.counters;
    let mut parts = vec![format!("{} sent ({})", show::count(done.puts, "file", "files"), show::bytes(done.bytes_sent))];
    for (n, what) in [(done.renames, "renamed"), (done.removals, "removed"), (done.unchanged, "touched but unchanged")] {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    }
    if exit != Exit::Done {
        // The details first: they end the progress, the result ends the run. Nothing can be done if nobody reads them.
        let mut stderr = std::io::stderr();
        let _ = writeln!(stderr, "{}: not everything is on the server", last.name)
            .and_then(|()| status::write_details(&mut stderr, last, clock::now()));
    } else {
        for warning in &last.warnings {
            let _ = writeln!(std::io::stderr(), "{}: warning: {warning}", last.name);
        }
    }
    writeln!(out, "{}: {}; {}", last.name, parts.join(", "), outcome(last, exit))?;
    Ok(())
}

/// How the pass ended, in words.
fn outcome(last: &MirrorStatus, exit: Exit) -> String {
    let left = pending(last);
    match exit {
        Exit::Done => "in sync".into(),
        _ if left > 0 => format!("{} left to do", show::count(left, "change is", "changes are")),
        _ => "not everything could be looked at".into(),
    }
}

fn pending(last: &MirrorStatus) -> u64 {
    last.tally.pending_files + last.tally.pending_dirs + last.tally.pending_removals
}
