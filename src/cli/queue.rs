//! `towline queue`: what is to be done, in the order in which it comes about. Asks the daemon; where none runs, the state is read.

use std::io::{self, Write};

use towline::{
    clock,
    control::{MOST, client::Client},
    index::Reader,
    mirror::{Queue, index_file, queue_at_rest},
    model::UnixMillis,
};

use super::{Context, Exit, Failure, assemble, pause::running, show, why::refused};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Running jobs come first, then those that are promised, then the others by path; removals are done last.\n\n\
                  Example:\n  towline queue site --limit 1000\n  towline queue --json | jq '.[].problems[].path'"
)]
pub(super) struct Args {
    /// Only these mirrors
    #[arg(value_name = "MIRROR")]
    mirrors: Vec<String>,
    /// Show so many of each kind at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn queue(mut context: Context, args: Args) -> Result<Exit, Failure> {
    let client = Client::new(&assemble::socket(&context)?);
    let limit = args.limit.clamp(1, MOST);
    let mut queues = Vec::new();
    match running(&client, &args.mirrors).await? {
        Some(names) => {
            for name in names {
                queues.push(client.queue(&name, limit).await.map_err(refused)?);
            }
        }
        None => {
            let (config, state_dir) = (assemble::config(&context)?, assemble::state_dir(&context)?);
            for mirror in assemble::select(&config, &args.mirrors)? {
                let file = index_file(&state_dir, &mirror.name);
                if !file.exists() {
                    continue;
                }
                let read = Reader::open(&file).and_then(|reader| queue_at_rest(&mirror.name, &reader, limit, clock::now()));
                queues.push(read.map_err(|e| Failure::state(&file, e))?);
            }
        }
    }
    if args.json {
        let json = serde_json::to_string_pretty(&queues).map_err(Failure::failed)?;
        writeln!(context.out, "{json}")?;
    } else {
        for queue in &queues {
            write_queue(&mut context.out, queue, clock::now())?;
        }
    }
    Ok(Exit::Done)
}

/// One mirror's, for people.
fn write_queue(out: &mut impl Write, queue: &Queue, now: UnixMillis) -> io::Result<()> {
    let tally = &queue.tally;
    let left = tally.pending_files + tally.pending_dirs + tally.pending_removals;
    if left == 0 && queue.in_flight.is_empty() {
        return writeln!(out, "{}: nothing is left to do", queue.mirror);
    }
    let (left, bytes) = (show::count(left, "change", "changes"), show::bytes(tally.pending_bytes));
    writeln!(out, "{}: {left} to do ({bytes} to send at most)", queue.mirror)?;
    for job in &queue.in_flight {
        write!(out, "  now        {} {}", job.verb, job.path)?;
        match job.size.filter(|size| *size > 0) {
            Some(size) => writeln!(out, " ({} of {})", show::bytes(job.sent.min(size)), show::bytes(size))?,
            None => writeln!(out)?,
        }
    }
    for (word, list) in [("next", &queue.next), ("then", &queue.pending)] {
        for one in list {
            write!(out, "  {word:<10} {} {}", one.verb, one.path)?;
            if let Some(size) = one.size {
                write!(out, " ({})", show::bytes(size))?;
            }
            match one.since {
                Some(since) => writeln!(out, ", seen {}", show::ago(since, now))?,
                None => writeln!(out)?,
            }
        }
    }
    for problem in &queue.problems {
        let word = if problem.retry_at.is_some() { "waits" } else { "parked" };
        write!(out, "  {word:<10} {}: {}", problem.path, problem.why)?;
        match problem.retry_at {
            Some(at) => writeln!(out, "; attempt {} in {}", problem.attempts + 1, show::span(at.since(now)))?,
            None => writeln!(out)?,
        }
    }
    let shown = (queue.in_flight.len() + queue.next.len() + queue.pending.len() + queue.problems.len()) as u64;
    let total = tally.pending_files + tally.pending_dirs + tally.pending_removals;
    if shown < total {
        writeln!(out, "  ...        and {} more; --limit shows more of them", show::figure(total - shown))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use towline::{
        index::Tally,
        mirror::{
            Waits,
            status::{InFlight, PathStatus},
        },
    };

    fn told(queue: &Queue) -> String {
        let mut out = Vec::new();
        write_queue(&mut out, queue, UnixMillis(100_000)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_empty_queue_says_so() {
        assert_eq!(told(&Queue { mirror: "site".to_owned(), ..Queue::default() }), "site: nothing is left to do\n");
    }

    #[test]
    fn what_comes_first_stands_first() {
        let waits = |verb: &str, path: &str, size, since: Option<i64>| Waits {
            verb: verb.to_owned(),
            path: path.to_owned(),
            size,
            since: since.map(UnixMillis),
        };
        let problem = |path: &str, retry_at: Option<i64>| PathStatus {
            path: path.to_owned(),
            why: "the server refused it: 550 no".to_owned(),
            hint: String::new(),
            attempts: 2,
            retry_at: retry_at.map(UnixMillis),
        };
        let queue = Queue {
            mirror: "site".to_owned(),
            in_flight: vec![InFlight { verb: "put".to_owned(), path: "a".to_owned(), size: Some(2048), sent: 1024 }],
            next: vec![waits("make directory", "d", None, None)],
            pending: vec![waits("put", "d/b", Some(10), Some(40_000)), waits("remove", "old", None, Some(99_000))],
            problems: vec![problem("x", None), problem("y", Some(107_000))],
            tally: Tally { pending_files: 1_004, pending_dirs: 1, pending_removals: 1, pending_bytes: 4096, ..Tally::default() },
        };
        let expected = "\
site: 1,006 changes to do (4.00 KiB to send at most)
  now        put a (1.00 KiB of 2.00 KiB)
  next       make directory d
  then       put d/b (10 B), seen 1 min 0 s ago
  then       remove old, seen 1 s ago
  parked     x: the server refused it: 550 no
  waits      y: the server refused it: 550 no; attempt 3 in 7 s
  ...        and 1,000 more; --limit shows more of them
";
        assert_eq!(told(&queue), expected);
    }
}
