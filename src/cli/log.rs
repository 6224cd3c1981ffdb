//! `towline log`: what was done, and what failed. Asks the daemon; where none runs, the state is read.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde_json::json;
use towline::{
    control::{MOST, client::Client},
    index::Reader,
    mirror::{LogEntry, index_file},
};

use super::{Context, Exit, Failure, assemble, out::Out, pause::running, show, why::refused};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The newest 10,000 of each mirror are kept. Times are this machine's; with --json they are milliseconds since 1970.\n\n\
                  Example:\n  towline log site -n 200\n  towline log --follow             until Ctrl-C\n  \
                  towline log --json | jq 'select(.what == \"failed\")'"
)]
pub(super) struct Args {
    /// Only these mirrors
    #[arg(value_name = "MIRROR")]
    mirrors: Vec<String>,
    /// The last so many of each mirror
    #[arg(short = 'n', long = "limit", value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Go on with what is done from now on
    #[arg(short, long)]
    follow: bool,
    /// Each as JSON, on a line of its own
    #[arg(long)]
    json: bool,
}

/// What was done in the mirror of this name.
type Entries = Vec<(String, LogEntry)>;

pub(super) async fn log(mut context: Context, args: Args) -> Result<Exit, Failure> {
    let client = Client::new(&assemble::socket(&context)?);
    let limit = args.limit.min(MOST);
    let Some(names) = running(&client, &args.mirrors).await? else {
        if args.follow {
            return Err(Failure::new(
                Exit::Unavailable,
                client
                    .status()
                    .await
                    .err()
                    .map_or_else(|| anyhow::anyhow!("the daemon has just started; ask again"), anyhow::Error::new),
            ));
        }
        let entries = at_rest(&context, &args.mirrors, limit)?;
        print(&mut context.out, entries, args.json)?;
        return Ok(Exit::Done);
    };
    // Whoever follows hears of what comes after this, so nothing is missed between the two.
    let events = if args.follow { Some(client.events().await.map_err(refused)?) } else { None };
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    let mut entries = Entries::new();
    for name in &names {
        // What is there is not shown at all where nobody wants it, but it is known where it ends.
        let found = client.log(name, 0, limit.max(1)).await.map_err(refused)?;
        last.insert(name.clone(), found.last().map_or(0, |entry| entry.id));
        entries.extend(found.into_iter().filter(|_| limit > 0).map(|entry| (name.clone(), entry)));
    }
    print(&mut context.out, entries, args.json)?;
    let Some(mut events) = events else { return Ok(Exit::Done) };
    while let Some(status) = events.next().await.map_err(refused)? {
        let mut entries = Entries::new();
        for mirror in &status.mirrors {
            let wanted = args.mirrors.is_empty() || args.mirrors.contains(&mirror.name);
            let known = last.entry(mirror.name.clone()).or_insert(0);
            if !wanted || mirror.logged == *known {
                continue;
            }
            // A state that was begun anew counts from one.
            let after = if mirror.logged < *known { 0 } else { *known };
            let found = client.log(&mirror.name, after, MOST).await.map_err(refused)?;
            *known = found.last().map_or(mirror.logged, |entry| entry.id);
            entries.extend(found.into_iter().map(|entry| (mirror.name.clone(), entry)));
        }
        print(&mut context.out, entries, args.json)?;
    }
    Err(Failure::said(Exit::Unavailable, "the daemon has ended"))
}

fn at_rest(context: &Context, names: &[String], limit: usize) -> Result<Entries, Failure> {
    let (config, state_dir) = (assemble::config(context)?, assemble::state_dir(context)?);
    let mut entries = Entries::new();
    for mirror in assemble::select(&config, names)? {
        let file = index_file(&state_dir, &mirror.name);
        if file.exists() {
            let found = Reader::open(&file).and_then(|reader| reader.logged(0, limit)).map_err(|e| Failure::state(&file, e))?;
            entries.extend(found.into_iter().map(|entry| (mirror.name.clone(), entry.into())));
        }
    }
    Ok(entries)
}

/// In the order of time.
fn print(out: &mut Out, mut entries: Entries, json: bool) -> Result<(), Failure> {
    entries.sort_by_key(|(_, entry)| entry.at);
    for (mirror, entry) in &entries {
        if json {
            let mut object = serde_json::to_value(entry).map_err(Failure::failed)?;
            object["mirror"] = json!(mirror);
            writeln!(out, "{object}")?;
        } else {
            write_entry(out, mirror, entry, &show::time(entry.at))?;
        }
    }
    out.flush()?;
    Ok(())
}

/// One line, for people.
fn write_entry(out: &mut impl Write, mirror: &str, entry: &LogEntry, at: &str) -> io::Result<()> {
    let LogEntry { what, path, other, bytes, size, why, .. } = entry;
    write!(out, "{at}  {mirror}: {what:<9} {path}")?;
    match (what.as_str(), other) {
        ("moved", Some(from)) => write!(out, " (was {from})")?,
        ("restored" | "copied", Some(from)) => write!(out, " (from {from})")?,
        (_, Some(to)) => write!(out, " (to {to})")?,
        (_, None) => {}
    }
    match (bytes, size) {
        (Some(bytes), Some(size)) => write!(out, " ({} of {})", show::bytes(*bytes), show::bytes(*size))?,
        (Some(bytes), None) => write!(out, " ({})", show::bytes(*bytes))?,
        (None, _) => {}
    }
    match why {
        Some(why) => writeln!(out, ": {why}"),
        None => writeln!(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use towline::model::UnixMillis;

    #[test]
    fn each_entry_is_a_line() {
        let entry = |what: &str, other: Option<&str>, bytes, why: Option<&str>| LogEntry {
            id: 1,
            at: UnixMillis(0),
            what: what.to_owned(),
            path: "a/b".to_owned(),
            other: other.map(str::to_owned),
            bytes,
            size: None,
            why: why.map(str::to_owned),
        };
        let told = |entry| {
            let mut out = Vec::new();
            write_entry(&mut out, "site", &entry, "12:00").unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(told(entry("published", None, Some(2048), None)), "12:00  site: published a/b (2.00 KiB)\n");
        assert_eq!(told(entry("moved", Some("c"), None, None)), "12:00  site: moved     a/b (was c)\n");
        assert_eq!(told(entry("copied", Some("c"), None, None)), "12:00  site: copied    a/b (from c)\n");
        let patched = LogEntry { size: Some(4096), ..entry("patched", None, Some(1024), None) };
        assert_eq!(told(patched), "12:00  site: patched   a/b (1.00 KiB of 4.00 KiB)\n");
        assert_eq!(told(entry("trashed", Some(".t/a"), None, None)), "12:00  site: trashed   a/b (to .t/a)\n");
        assert_eq!(told(entry("failed", None, None, Some("put: 550 no"))), "12:00  site: failed    a/b: put: 550 no\n");
    }
}
