//! `GET /v1/metrics`: the status as Prometheus reads it (text exposition format 0.0.4). Pure but for the route. `docs/metrics.md` has
//! the same table; a test holds them equal.

use std::{collections::BTreeMap, fmt::Write as _};

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};

use super::{Registry, Status, told_all};
use crate::{
    clock,
    mirror::{MirrorStatus, Phase},
    model::UnixMillis,
};

/// What the exposition format is called.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One metric; every one of them has the label `mirror`.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name; never changes.
    pub name: &'static str,
    /// `gauge` or `counter`. Counters begin with the process.
    pub kind: &'static str,
    /// The label that it has besides, if any.
    pub label: Option<&'static str>,
    /// What it says.
    pub help: &'static str,
    read: fn(&MirrorStatus, UnixMillis) -> Samples,
}

/// Values, each with that of the metric's own label, if it has one.
type Samples = Vec<(String, f64)>;

/// `GET /v1/metrics`.
pub(super) async fn metrics(State(mirrors): State<Registry>) -> Response {
    ([(CONTENT_TYPE, FORMAT)], write(&told_all(&mirrors), clock::now())).into_response()
}

/// All metrics as of `now`.
pub fn write(status: &Status, now: UnixMillis) -> String {
    let mut text = format!(
        "# HELP towline_info The version that runs.\n# TYPE towline_info gauge\ntowline_info{{version=\"{}\"}} 1\n",
        quoted(&status.version)
    );
    for Metric { name, kind, label, help, read } in METRICS {
        let mut samples = String::new();
        for mirror in &status.mirrors {
            for (value, figure) in read(mirror, now) {
                let own = label.map(|label| format!(",{label}=\"{}\"", quoted(&value))).unwrap_or_default();
                // Writing to a string does not fail.
                let _ = writeln!(samples, "{name}{{mirror=\"{}\"{own}}} {figure}", quoted(&mirror.name));
            }
        }
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}");
    }
    text
}

/// The text of a label's value.
fn quoted(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

fn one(value: u64) -> Samples {
    // Exact up to 2^53, as every number of Prometheus.
    vec![(String::new(), value as f64)]
}

fn seconds(at: Option<UnixMillis>) -> Samples {
    at.map(|at| (String::new(), at.0 as f64 / 1000.0)).into_iter().collect()
}

fn age(at: Option<UnixMillis>, now: UnixMillis) -> Samples {
    vec![(String::new(), at.map_or(0.0, |at| now.since(at).as_secs_f64()))]
}

/// By the words that serde has for the kinds.
fn kinds<K: serde::Serialize>(counts: &BTreeMap<K, u64>) -> Samples {
    let word = |kind: &K| serde_json::to_value(kind).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
    counts.iter().map(|(kind, count)| (word(kind), *count as f64)).collect()
}

const fn gauge(name: &'static str, help: &'static str, read: fn(&MirrorStatus, UnixMillis) -> Samples) -> Metric {
    Metric { name, kind: "gauge", label: None, help, read }
}

const fn counter(name: &'static str, help: &'static str, read: fn(&MirrorStatus, UnixMillis) -> Samples) -> Metric {
    Metric { name, kind: "counter", label: None, help, read }
}

const fn by(label: &'static str, metric: Metric) -> Metric {
    Metric { label: Some(label), ..metric }
}

/// Every metric but `towline_info`.
pub const METRICS: &[Metric] = &[
    by(
        "phase",
        gauge("towline_phase", "1 for what the mirror is doing, as status says it.", |m, _| {
            vec![(m.phase.as_str().to_owned(), 1.0)]
        }),
    ),
    gauge("towline_in_sync", "1 when everything that was seen is on the server, else 0.", |m, _| {
        one(matches!(m.phase, Phase::InSync | Phase::AsScanned).into())
    }),
    gauge("towline_pending_files", "Files that are not on the server as they are here.", |m, _| one(m.tally.pending_files)),
    gauge("towline_pending_bytes", "Their bytes.", |m, _| one(m.tally.pending_bytes)),
    gauge("towline_pending_directories", "Directories that are not on the server.", |m, _| one(m.tally.pending_dirs)),
    gauge("towline_pending_removals", "Files and directories that are gone here and not yet there.", |m, _| {
        one(m.tally.pending_removals)
    }),
    gauge(
        "towline_oldest_pending_seconds",
        "Age of the oldest change that is not on the server; 0 when there is none.",
        |m, now| age(m.oldest_pending, now),
    ),
    gauge("towline_waiting_paths", "Paths that failed and wait for their next attempt.", |m, _| one(m.tally.waiting)),
    gauge("towline_parked_paths", "Paths that failed and wait for a change, or for somebody.", |m, _| one(m.tally.parked)),
    gauge("towline_unseen_places", "Places that could not be looked at.", |m, _| one(m.unseen.len() as u64)),
    gauge("towline_held", "1 while removals wait for approve, else 0.", |m, _| one(m.halt.is_some().into())),
    gauge("towline_withheld", "1 while nothing is published since not everything is there, else 0.", |m, _| {
        one(m.release.as_ref().is_some_and(|release| release.withheld.is_some()).into())
    }),
    gauge("towline_paused", "1 while the mirror is paused, else 0.", |m, _| one(m.paused.is_some().into())),
    gauge("towline_stopped", "1 when nothing is tried any more, else 0.", |m, _| one((m.phase == Phase::Stopped).into())),
    gauge("towline_watch_complete", "1 while the kernel tells of every change, else 0.", |m, _| one(m.watch.complete.into())),
    gauge("towline_server_files", "Files on the server.", |m, _| one(m.tally.recorded_files)),
    gauge("towline_server_bytes", "Their bytes.", |m, _| one(m.tally.recorded_bytes)),
    gauge("towline_jobs_running", "Transfers and other jobs that run.", |m, _| one(m.in_flight.len() as u64)),
    gauge("towline_sessions", "Sessions that are open.", |m, _| one(m.link.sessions as u64)),
    gauge("towline_sessions_limit", "Sessions that the server is believed to allow to all mirrors of the remote.", |m, _| {
        one(m.link.limit as u64)
    }),
    gauge("towline_link_failures_in_a_row", "Failed attempts to use the server since it last worked.", |m, _| {
        one(m.link.attempts.into())
    }),
    gauge("towline_last_success_timestamp_seconds", "When a job last succeeded; missing before the first.", |m, _| {
        seconds(m.last_success)
    }),
    gauge(
        "towline_last_full_scan_timestamp_seconds",
        "When everything was last looked at; missing before the first time.",
        |m, _| seconds(m.last_full_scan),
    ),
    by(
        "way",
        gauge("towline_proven_files", "Files whose copy was proven since it was sent, by the way that was done.", |m, _| {
            let Some(scrub) = &m.scrub else { return Vec::new() };
            let ways =
                [("size", scrub.proofs.by_size), ("checksum", scrub.proofs.by_checksum), ("reading", scrub.proofs.by_reading)];
            ways.map(|(way, files)| (way.to_owned(), files as f64)).to_vec()
        }),
    ),
    gauge("towline_oldest_proof_seconds", "Age of the oldest of these proofs; 0 when there is none.", |m, now| {
        age(m.scrub.and_then(|scrub| scrub.proofs.oldest), now)
    }),
    counter("towline_scrub_wrong_total", "Copies that were found missing or changed.", |m, _| {
        one(m.scrub.map_or(0, |scrub| scrub.wrong))
    }),
    counter("towline_files_sent_total", "Files sent.", |m, _| one(m.counters.puts)),
    counter("towline_bytes_sent_total", "Bytes of files sent.", |m, _| one(m.counters.bytes_sent)),
    counter("towline_bytes_saved_total", "Bytes that did not need to be sent: renamed, unchanged, or gone on with.", |m, _| {
        one(m.counters.bytes_saved)
    }),
    counter("towline_files_unchanged_total", "Files that were touched and found unchanged.", |m, _| one(m.counters.unchanged)),
    counter("towline_files_read_total", "Files that were read only to know what they hold.", |m, _| one(m.counters.read)),
    counter(
        "towline_files_shared_total",
        "Files of which another mirror of the same directory knew what they hold: they were not read.",
        |m, _| one(m.counters.shared),
    ),
    counter("towline_directories_scanned_total", "Directories that were looked at by scans of everything.", |m, _| {
        one(m.counters.listed)
    }),
    counter(
        "towline_directories_shared_total",
        "Of these: those that another mirror of the same directory read at that moment, for both.",
        |m, _| one(m.counters.listed_by_others),
    ),
    counter("towline_renames_total", "Files and directories renamed on the server.", |m, _| one(m.counters.renames)),
    counter("towline_directories_made_total", "Directories made.", |m, _| one(m.counters.directories)),
    counter("towline_removals_total", "Files and directories removed, or moved to the trash.", |m, _| one(m.counters.removals)),
    counter("towline_restored_total", "Files put back from the trash.", |m, _| one(m.counters.restored)),
    by("reason", counter("towline_failures_total", "Attempts at single paths that failed.", |m, _| kinds(&m.errors.paths))),
    by("class", counter("towline_link_failures_total", "Attempts to use the server that failed.", |m, _| kinds(&m.errors.link))),
];

#[cfg(test)]
mod tests;
