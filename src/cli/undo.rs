//! `towline undo`: put back what was removed or overwritten, from the trash on the server. Tells the daemon; where none runs, leaves word for
//! the next pass.

use std::{
    io::Write,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use towline::{
    clock,
    config::Mirror,
    control::{
        UndoRequest, Undone,
        client::{Client, ClientError},
    },
    index::{Reader, Undo},
    mirror::{UndoError, index_file},
    model::{RelPath, UnixMillis},
};

use super::{Context, Exit, Failure, assemble, show};

#[derive(Debug, clap::Args)]
#[command(after_help = "What was removed is on the server again and left alone from then on, until a file of that name\n\
                  appears here. An old version, if it was kept, takes the place of the\n\
                  file there; the file here is sent when it changes, or by `towline approve MIRROR PATH`.\n\n\
                  Example:\n  towline undo site --dry-run    what would be put back of the last ten minutes\n  \
                  towline undo site docs         everything below docs that was removed and is in the trash\n  \
                  towline undo site a.html       the last version of a file that was overwritten\n  \
                  towline undo site --since 10m  whatever was removed or overwritten in ten minutes")]
pub(super) struct Args {
    /// The mirror's name
    mirror: String,
    /// Only what was at or below this path: in the source, or relative to it
    path: Option<PathBuf>,
    /// Only what was removed or replaced in this time [default: what was removed in 10m; or, of a path, whatever was removed at or
    /// below it, and its own last version]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// Only show what would be put back
    #[arg(long)]
    dry_run: bool,
}

/// How far back it goes where nobody says what.
const LATELY: Duration = Duration::from_secs(600);

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::Span = text.parse().map_err(|e| format!("{e}; write it like 10m, 2h or 3d"))?;
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|e| e.to_string())?;
    Duration::try_from(duration).map_err(|_| "a duration cannot be negative".to_owned())
}

pub(super) async fn undo(mut context: Context, args: Args) -> Result<Exit, Failure> {
    let socket = assemble::socket(&context)?;
    let config = assemble::config(&context)?;
    let mirror = assemble::select(&config, std::slice::from_ref(&args.mirror))?[0];
    let now = clock::now();
    let since = args.since.or_else(|| args.path.is_none().then_some(LATELY));
    let path = args.path.as_deref().map(|path| relative(mirror, path)).transpose()?.flatten();
    let since = since.map(|since| UnixMillis(now.0.saturating_sub(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))));
    let versions = args.since.is_some();
    let asked = UndoRequest { path: path.as_ref().map(|path| path.as_bytes().to_vec()), since, versions, dry_run: args.dry_run };
    let (undone, when) = match Client::new(&socket).undo(&args.mirror, &asked).await {
        Ok(undone) => (undone, ""),
        Err(ClientError::NotRunning { .. }) => {
            let found = leave_word(&context, mirror, &Undo { path, since, versions }, args.dry_run)?;
            (found, ", with the next `towline sync` or `towline run`")
        }
        Err(e @ ClientError::NoSuchMirror(_)) => return Err(Failure::usage(e)),
        Err(e @ ClientError::Refused(_)) => return Err(Failure::failed(e)),
        Err(e) => return Err(Failure::new(Exit::Unavailable, e)),
    };
    for trashed in &undone.list {
        let (size, ago) = (show::bytes(trashed.size), show::ago(trashed.at, now));
        let what = if trashed.replaces { "replaced" } else { "removed" };
        writeln!(context.out, "  {} ({size}), {what} {ago}", trashed.path)?;
    }
    if undone.files > undone.list.len() as u64 {
        writeln!(context.out, "  ...")?;
    }
    let (files, bytes) = (show::count(undone.files, "file", "files"), show::bytes(undone.bytes));
    match (undone.files, args.dry_run) {
        (0, _) => writeln!(context.out, "{}: there is nothing of it in the trash that could be put back", args.mirror)?,
        (_, true) => writeln!(context.out, "{}: {files} ({bytes}) would be put back", args.mirror)?,
        (_, false) => writeln!(context.out, "{}: {files} ({bytes}) put back on the server{when}", args.mirror)?,
    }
    Ok(Exit::Done)
}

/// Asks the state of the mirror, and notes in it what is wanted.
fn leave_word(context: &Context, mirror: &Mirror, undo: &Undo, dry_run: bool) -> Result<Undone, Failure> {
    let file = index_file(&assemble::state_dir(context)?, &mirror.name);
    if !file.exists() {
        return Ok(Undone::default());
    }
    let found = if dry_run {
        Reader::open(&file).and_then(|reader| reader.undoable(undo))
    } else {
        let house = assemble::House::open(context)?;
        let mut index = house.index(mirror)?;
        let found = index.undoable(undo).map_err(|e| Failure::state(&file, e))?;
        if found.iter().any(|trashed| trashed.replaces) && !house.can_keep(mirror) {
            return Err(Failure::failed(UndoError::CannotCopy));
        }
        index.undo(undo)
    };
    Ok(Undone::from(found.map_err(|e| Failure::state(&file, e))?))
}

/// `path` below the mirror's root; `None` for the root itself. What is gone cannot be resolved, so this goes by the words.
fn relative(mirror: &Mirror, path: &Path) -> Result<Option<RelPath>, Failure> {
    let below = if path.is_absolute() {
        let outside = || Failure::usage(anyhow::anyhow!("{} is not in {}", path.display(), mirror.source.display()));
        path.strip_prefix(&mirror.source).map_err(|_| outside())?
    } else {
        path
    };
    let plain: PathBuf = below.components().filter(|part| *part != Component::CurDir).collect();
    if plain.as_os_str().is_empty() {
        return Ok(None);
    }
    RelPath::new(plain.as_os_str().as_encoded_bytes()).map(Some).map_err(Failure::usage)
}
