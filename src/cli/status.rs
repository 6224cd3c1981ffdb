//! `towline status`: what the running daemon does; `towline status PATH`: how one path is.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    time::Duration,
};

use towline::{
    clock,
    control::{self, client::Client},
    mirror::{MirrorStatus, Phase, ScrubStatus},
    model::UnixMillis,
};

use super::{Context, Exit, Failure, assemble, show, why};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  towline status --json | jq '.mirrors[].phase'\n  towline status ~/site/index.html\n  towline status --watch           until Ctrl-C"
)]
pub(super) struct Args {
    /// A path here, or below the mirror's directory [default: every mirror as a whole]
    path: Option<PathBuf>,
    /// The mirror that holds the path, where that is not clear from the path
    #[arg(long, value_name = "NAME", requires = "path")]
    mirror: Option<String>,
    /// Go on, and show each change; with --json one object a line
    #[arg(long, conflicts_with = "path")]
    watch: bool,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
}

/// How often ages are counted on while nothing happens.
const TICK: Duration = Duration::from_secs(1);

pub(super) async fn status(mut context: Context, args: Args) -> Result<Exit, Failure> {
    if let Some(path) = &args.path {
        return why::tell(context, path, args.mirror.as_deref(), args.json, false).await;
    }
    let client = Client::new(&assemble::socket(&context)?);
    if args.watch {
        return watch(context, &client, args.json).await;
    }
    let status = client.status().await.map_err(|e| Failure::new(Exit::Unavailable, e))?;
    if args.json {
        let json = serde_json::to_string_pretty(&status).map_err(Failure::failed)?;
        writeln!(context.out, "{json}")?;
    } else {
        for mirror in &status.mirrors {
            write_mirror(&mut context.out, mirror, clock::now())?;
        }
    }
    Ok(Exit::Done)
}

/// Shows how everything is, and each change of that, until the daemon ends.
async fn watch(mut context: Context, client: &Client, json: bool) -> Result<Exit, Failure> {
    let unavailable = |e| Failure::new(Exit::Unavailable, e);
    let screen = !json && io::stdout().is_terminal();
    let mut events = client.events().await.map_err(unavailable)?;
    let mut last: Option<control::Status> = None;
    loop {
        let event = tokio::select! {
            event = events.next() => Some(event.map_err(unavailable)?),
            () = tokio::time::sleep(TICK), if screen => None,
        };
        match event {
            Some(None) => return Err(Failure::said(Exit::Unavailable, "the daemon has ended")),
            Some(Some(status)) => last = Some(status),
            None => {}
        }
        let Some(status) = &last else { continue };
        let shown = if json {
            serde_json::to_vec(status).map_err(Failure::failed)?
        } else {
            let mut shown = if screen { CLEAR.to_vec() } else { Vec::new() };
            status.mirrors.iter().try_for_each(|mirror| write_mirror(&mut shown, mirror, clock::now()))?;
            shown
        };
        context.out.write_all(&shown)?;
        if !screen {
            writeln!(context.out)?;
        }
        context.out.flush()?;
    }
}

/// Home, and nothing below.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// One mirror, for people.
pub(super) fn write_mirror(out: &mut impl Write, mirror: &MirrorStatus, now: UnixMillis) -> io::Result<()> {
    let tally = &mirror.tally;
    writeln!(
        out,
        "{}: {}; {} on the server ({})",
        mirror.name,
        mirror.phase.as_str(),
        show::count(tally.recorded_files, "file", "files"),
        show::bytes(tally.recorded_bytes)
    )?;
    write_details(out, mirror, now)
}

/// What is left to do, and why.
pub(super) fn write_details(out: &mut impl Write, mirror: &MirrorStatus, now: UnixMillis) -> io::Result<()> {
    let tally = &mirror.tally;
    let pending = tally.pending_files + tally.pending_dirs + tally.pending_removals;
    if pending > 0 {
        write!(out, "  pending    {}", show::count(tally.pending_files, "file", "files"))?;
        write!(out, " ({})", show::bytes(tally.pending_bytes))?;
        if tally.pending_dirs > 0 {
            write!(out, ", {}", show::count(tally.pending_dirs, "directory", "directories"))?;
        }
        if tally.pending_removals > 0 {
            write!(out, ", {}", show::count(tally.pending_removals, "removal", "removals"))?;
        }
        if let Some(oldest) = mirror.oldest_pending {
            write!(out, "; the oldest was seen {}", show::ago(oldest, now))?;
        }
        writeln!(out)?;
    }
    if let Some(release) = &mirror.release {
        if release.staged_files > 0 {
            let files = show::count(release.staged_files, "file", "files");
            writeln!(out, "  staged     {files} ({}), to be published together", show::bytes(release.staged_bytes))?;
        }
        if release.publishing {
            writeln!(out, "  publishing {} so far", show::count(release.published, "change", "changes"))?;
        }
        if let Some(withheld) = &release.withheld {
            writeln!(out, "  withheld   nothing is published: {} (since {})", withheld.why, show::ago(withheld.since, now))?;
            if !withheld.hint.is_empty() {
                writeln!(out, "             {}", withheld.hint)?;
            }
        }
    }
    for job in &mirror.in_flight {
        match job.size.filter(|size| *size > 0) {
            Some(size) => {
                writeln!(out, "  {:<10} {} ({} of {})", job.verb, job.path, show::bytes(job.sent.min(size)), show::bytes(size))?;
            }
            None => writeln!(out, "  {:<10} {}", job.verb, job.path)?,
        }
    }
    // That the account was refused is said with the server.
    if let (Some(why), None) = (&mirror.stopped, &mirror.link.why) {
        writeln!(out, "  stopped    {why}")?;
    }
    if let Some(pause) = &mirror.paused {
        writeln!(out, "  paused     {}", show::paused(&mirror.name, pause, now))?;
    }
    if let Some(halt) = &mirror.halt {
        writeln!(out, "  halted     {} (since {})", halt.why, show::ago(halt.since, now))?;
        writeln!(out, "             {}", halt.hint)?;
        if halt.halt.can_be_rejected() {
            writeln!(out, "             to leave on the server what would be removed, run `towline reject {}`", mirror.name)?;
        }
    }
    if let Some(why) = &mirror.link.why {
        write!(out, "  server     {}: {why}", mirror.link.state)?;
        if let Some(at) = mirror.link.retry_at {
            write!(out, "; attempt {} in {}", mirror.link.attempts + 1, show::span(at.since(now)))?;
        }
        writeln!(out)?;
        if let Some(hint) = &mirror.link.hint {
            writeln!(out, "             {hint}")?;
        }
    }
    if let Some(why) = &mirror.watch.why {
        writeln!(out, "  watch      {why}")?;
    }
    for unseen in &mirror.unseen {
        let path = if unseen.path.is_empty() { "the root" } else { &unseen.path };
        writeln!(out, "  unseen     {path}: {}", unseen.why)?;
    }
    if mirror.unseen.iter().any(|unseen| !unseen.path.is_empty()) {
        writeln!(out, "             mend this, or add it to the ignore rules; what lies below is not mirrored until then")?;
    }
    for problem in &mirror.problems {
        let state = if problem.retry_at.is_some() { "waits" } else { "parked" };
        write!(out, "  {state:<10} {}: {}", problem.path, problem.why)?;
        match problem.retry_at {
            Some(at) => writeln!(out, "; attempt {} in {}", problem.attempts + 1, show::span(at.since(now)))?,
            None => writeln!(out)?,
        }
        writeln!(out, "             {}", problem.hint)?;
    }
    for warning in &mirror.warnings {
        writeln!(out, "  warning    {warning}")?;
    }
    if mirror.keeps_no_versions {
        writeln!(out, "  trash      old versions of what is overwritten are not kept: the server cannot copy files")?;
        writeln!(out, "             trash = {{ versions = \"always\" }} reads them back and sends them there")?;
    }
    write_skipped(out, mirror)?;
    write_proven(out, mirror, now)?;
    match mirror.last_success {
        Some(at) => writeln!(out, "  last       change put on the server {}", show::ago(at, now))?,
        None if matches!(mirror.phase, Phase::InSync | Phase::AsScanned) => {}
        None => writeln!(out, "  last       nothing was put on the server yet")?,
    }
    Ok(())
}

/// How much of what the server holds is proven.
fn write_proven(out: &mut impl Write, mirror: &MirrorStatus, now: UnixMillis) -> io::Result<()> {
    let Some(ScrubStatus { proofs, wrong, .. }) = mirror.scrub.filter(|_| mirror.tally.recorded_files > 0) else {
        return Ok(());
    };
    let ways = [
        (proofs.by_checksum, "by the server's checksum"),
        (proofs.by_reading, "read back"),
        (proofs.by_size, "by size and time"),
    ];
    let ways: Vec<_> = ways.iter().filter(|(n, _)| *n > 0).map(|(n, how)| format!("{n} {how}")).collect();
    write!(out, "  proven     {} of {} since sent", proofs.files(), show::count(mirror.tally.recorded_files, "file", "files"))?;
    if let Some(oldest) = proofs.oldest {
        write!(out, " ({}), the oldest {}", ways.join(", "), show::ago(oldest, now))?;
    }
    if wrong > 0 {
        write!(out, "; {wrong} found missing or changed since the start")?;
    }
    writeln!(out)
}

fn write_skipped(out: &mut impl Write, mirror: &MirrorStatus) -> io::Result<()> {
    let skipped = &mirror.skipped;
    let kinds = [
        (skipped.symlinks, "symlink", "symlinks"),
        (skipped.sockets, "socket", "sockets"),
        (skipped.fifos, "FIFO", "FIFOs"),
        (skipped.devices, "device", "devices"),
    ];
    let mut shown: Vec<_> = kinds.iter().filter(|(n, ..)| *n > 0).map(|(n, one, many)| show::count(*n, one, many)).collect();
    let reasons = [
        (skipped.outside, "outside the directory"),
        (skipped.dangling, "to nothing"),
        (skipped.looping, "in a circle, or too deep"),
    ];
    let why: Vec<_> = reasons.iter().filter(|(n, _)| *n > 0).map(|(n, why)| format!("{n} {why}")).collect();
    if let (false, Some(symlinks)) = (why.is_empty(), shown.first_mut()) {
        *symlinks = format!("{symlinks} (leading {})", why.join(", "));
    }
    if shown.is_empty() { Ok(()) } else { writeln!(out, "  skipped    {}", shown.join(", ")) }
}
