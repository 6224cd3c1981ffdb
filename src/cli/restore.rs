//! `towline restore`: files from the server into a local directory. It needs no daemon and disturbs none: the state is only
//! read, and the server only asked.
//!
//! With `--json` one object is printed. Keys may be added; these stay: `mirror`, `left` (each with `path` and `why`), and the
//! figures of [`towline::mirror::Restored`], of which `left` is `left-behind`.

use std::{
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::json;
use towline::{
    clock, config,
    index::{IndexError, Reader},
    mirror::{self, Left, Progress, Restore, RestoreError, Restored, index_file},
    model::{RelPath, UnixMillis},
};

use super::{
    Context, Exit, Failure, assemble,
    progress::{Measure, Shown},
    show, verify,
};

/// So many paths that did not come back are put into the JSON; the figures count all.
const MOST: usize = 100_000;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  towline restore site --to /tmp/site              everything, each file proven by its digest\n  \
                  towline restore site img/logo.png --to .         one file, as ./img/logo.png\n  \
                  towline restore site --to ~/site --force         replaces what is there\n  \
                  towline restore site docs --at 2d --to /tmp/x    as it was two days ago, with what is in the trash\n\n\
                  Exit codes: 0 everything came back, 3 something did not"
)]
pub(super) struct Args {
    /// The mirror's name
    mirror: String,
    /// Only this file or directory of it
    path: Option<PathBuf>,
    /// Where to; each file keeps its path in the mirror. The directory is made if it is missing
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Replace files that are there and differ
    #[arg(long)]
    force: bool,
    /// Take what the server lists, whatever is recorded; nothing is proven but sizes
    #[arg(long)]
    as_is: bool,
    /// As it was then, as far as the trash holds it: a date, a time, or how long ago (3d, 2h)
    #[arg(long, value_name = "DATE", value_parser = moment, conflicts_with = "as_is")]
    at: Option<UnixMillis>,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn restore(mut context: Context, args: Args) -> Result<Exit, Failure> {
    let config = assemble::config(&context)?;
    let state_dir = assemble::state_dir(&context)?;
    let mirror = assemble::select(&config, std::slice::from_ref(&args.mirror))?[0];
    let only = args.path.as_deref().map(inside).transpose()?;
    let reader = if args.as_is { None } else { reader(&state_dir, mirror)? };
    let remote = verify::looking(&config, mirror, &state_dir).await?;
    if args.at.is_some() && reader.is_none() {
        return Err(Failure::said(
            Exit::Failed,
            format_args!("what is in the trash of {} is not known without its state", args.mirror),
        )
        .with_hint(Some("without --at everything that the server lists comes back")));
    }
    let measure = if reader.is_some() { Measure::Bytes } else { Measure::Unknown };
    let progress = Arc::new(Progress::default());
    let how = Restore { to: args.to.clone(), only, force: args.force, at: args.at, progress: Arc::clone(&progress) };
    let shown = Shown::of(&args.mirror, progress, measure);
    let (mut kept, mut written) = (Vec::new(), Ok(()));
    let out = &mut context.out;
    let restored = Box::pin(mirror::restore(&remote, reader, &how, |left: &Left| {
        if args.json {
            if kept.len() < MOST {
                kept.push(left.clone());
            }
        } else if written.is_ok() {
            written = shown.aside(|| writeln!(out, "  {}: {}", left.path, left.why));
        }
    }))
    .await;
    drop(shown);
    written?;
    let sum = restored.map_err(failed)?;
    if args.json {
        let mut object = serde_json::to_value(&sum).map_err(Failure::failed)?;
        object["left-behind"] = object["left"].take();
        object["left"] = serde_json::to_value(&kept).map_err(Failure::failed)?;
        object["mirror"] = json!(args.mirror);
        writeln!(context.out, "{}", serde_json::to_string_pretty(&object).map_err(Failure::failed)?)?;
    } else {
        write(&mut context, &args, &sum)?;
    }
    Ok(if sum.left == 0 && sum.doubts.is_empty() { Exit::Done } else { Exit::SomeFailed })
}

/// A moment as people write it: `2026-11-20`, `2026-11-20 14:30`, with a zone or without (then it is this machine's), or `3d`: so long
/// ago.
fn moment(text: &str) -> Result<UnixMillis, String> {
    let now = clock::now();
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(UnixMillis(at.as_millisecond()));
    }
    if let Ok(at) = text.parse::<jiff::civil::DateTime>() {
        let at = at.to_zoned(jiff::tz::TimeZone::system()).map_err(|e| e.to_string())?;
        return Ok(UnixMillis(at.timestamp().as_millisecond()));
    }
    let span = text.parse::<jiff::Span>().ok();
    let ago = span.and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok());
    match ago {
        Some(ago) if !ago.is_negative() => {
            Ok(UnixMillis(now.0.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX))))
        }
        _ => Err("give a date such as 2026-11-20, a time such as \"2026-11-20 14:30\", or how long ago, such as 3d".to_owned()),
    }
}

/// The state of `mirror`; none where it was lost, which is said.
fn reader(state_dir: &Path, mirror: &config::Mirror) -> Result<Option<Reader>, Failure> {
    let file = index_file(state_dir, &mirror.name);
    let why = match file.try_exists().map_err(Failure::failed)? {
        false => "there is none".to_owned(),
        true => match Reader::open(&file) {
            Ok(reader) => return Ok(Some(reader)),
            Err(error @ IndexError::Corrupt(_)) => error.to_string(),
            Err(error) => return Err(Failure::state(&file, error)),
        },
    };
    let _ = writeln!(
        io::stderr(),
        "towline: no state in {} ({why}): restoring what the server lists, proven by size alone",
        file.display()
    );
    Ok(None)
}

/// A path in the mirror as it is typed: a slash at its end, and `./` in front, mean nothing.
fn inside(path: &Path) -> Result<RelPath, Failure> {
    let bytes = path.as_os_str().as_bytes();
    let bytes = bytes.strip_prefix(b"./").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"/").unwrap_or(bytes);
    RelPath::new(bytes).map_err(|error| {
        Failure::usage(error).with_hint(Some("give a path as it is below the mirrored directory, such as img/logo.png"))
    })
}

fn failed(error: RestoreError) -> Failure {
    match error {
        RestoreError::Remote(error) => verify::unreachable(error),
        RestoreError::Index(error) => {
            let hint = error.hint();
            Failure::failed(error).with_hint(hint)
        }
        error @ (RestoreError::Local { .. } | RestoreError::Nothing(_)) => Failure::failed(error),
    }
}

fn write(context: &mut Context, args: &Args, sum: &Restored) -> Result<(), Failure> {
    let out = &mut context.out;
    let (files, bytes) = (show::count(sum.files, "file", "files"), show::bytes(sum.bytes));
    write!(out, "{}: {files} ({bytes}) restored to {}", args.mirror, args.to.display())?;
    let by_size = sum.files.saturating_sub(sum.by_digest);
    let rest = [
        (sum.by_digest, "proven by digest"),
        (by_size, "by size alone"),
        (sum.from_trash, "from the trash"),
        (sum.newer, "modified since then: the present version"),
        (sum.same, "there already"),
        (sum.left, "did not come back"),
    ];
    for (n, what) in rest.iter().filter(|(n, _)| *n > 0) {
        write!(out, "; {n} {what}")?;
    }
    writeln!(out)?;
    verify::write_doubts(out, &sum.doubts, sum.doubts.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_date_or_so_long_ago() {
        assert_eq!(moment("1970-01-02T00:00:00Z"), Ok(UnixMillis(86_400_000)));
        assert!(moment("2026-11-20").unwrap() < moment("2026-11-20 14:30").unwrap());
        assert!(moment("3d").unwrap() < moment("1h").unwrap());
        for wrong in ["", "yesterday", "-3d", "2026-13-01"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_path_is_taken_as_it_is_typed() {
        let typed = |text: &str| inside(Path::new(text)).ok().map(|path| path.to_string());
        assert_eq!(typed("./a/b/").as_deref(), Some("a/b"));
        assert_eq!(typed("a"), Some("a".to_owned()));
        for wrong in ["/a", "../a", "a/../b", ""] {
            assert_eq!(typed(wrong), None, "{wrong}");
        }
    }
}
