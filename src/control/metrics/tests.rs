use std::{collections::BTreeSet, fs, path::Path};

use super::*;
use crate::{index::Tally, model::Reason, remote::Class};

const ALL: &str = "towline_info";

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn status(mirror: MirrorStatus) -> Status {
    Status { version: "1.2".to_owned(), pid: 7, mirrors: vec![mirror] }
}

#[test]
fn a_mirror_is_told_in_figures() {
    let mut mirror = MirrorStatus {
        name: "a\"b\\c\nd".to_owned(),
        phase: Phase::Waiting,
        tally: Tally { pending_files: 3, ..Tally::default() },
        oldest_pending: Some(UnixMillis(1_000)),
        ..MirrorStatus::default()
    };
    mirror.counters.bytes_saved = 1 << 40;
    mirror.errors.paths.insert(Reason::NotEmpty, 2);
    mirror.errors.link.insert(Class::Transient, 1);
    let text = write(&status(mirror), UnixMillis(61_500));
    let name = r#"a\"b\\c\nd"#;
    for line in [
        "towline_info{version=\"1.2\"} 1".to_owned(),
        format!("towline_phase{{mirror=\"{name}\",phase=\"waiting\"}} 1"),
        format!("towline_in_sync{{mirror=\"{name}\"}} 0"),
        format!("towline_pending_files{{mirror=\"{name}\"}} 3"),
        format!("towline_oldest_pending_seconds{{mirror=\"{name}\"}} 60.5"),
        format!("towline_bytes_saved_total{{mirror=\"{name}\"}} 1099511627776"),
        format!("towline_failures_total{{mirror=\"{name}\",reason=\"not-empty\"}} 2"),
        format!("towline_link_failures_total{{mirror=\"{name}\",class=\"transient\"}} 1"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing:\n{text}");
    }
    assert!(!text.contains("towline_last_success_timestamp_seconds{"), "what never was has no time");
}

/// The format: HELP and TYPE before the samples of a metric, each once; nothing else than that, and a number at every end.
#[test]
fn prometheus_can_read_it() {
    let text = write(&status(MirrorStatus { name: "site".to_owned(), ..MirrorStatus::default() }), UnixMillis(0));
    let mut known = BTreeSet::new();
    let mut current = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            current = rest.split(' ').next().unwrap();
            assert!(known.insert(current), "{current} comes twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, current);
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is called a {kind}");
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert!(sample.starts_with(&format!("{current}{{")) && sample.ends_with('}'), "{line}");
            value.parse::<f64>().unwrap();
        }
    }
    assert_eq!(known.len(), METRICS.len() + 1);
    assert!(text.ends_with('\n'));
}

#[test]
fn the_table_in_the_docs_is_this_one() {
    let row = |metric: &Metric| {
        let label = metric.label.map(|label| format!(", `{label}`")).unwrap_or_default();
        format!("| `{}` | {} | `mirror`{label} | {} |", metric.name, metric.kind, metric.help)
    };
    let docs = file("docs/metrics.md");
    let told: Vec<&str> = docs.lines().filter(|line| line.starts_with("| `towline_") && !line.contains(ALL)).collect();
    let expected: Vec<String> = METRICS.iter().map(row).collect();
    assert_eq!(told, expected, "docs/metrics.md should have:\n{}", expected.join("\n"));
}

/// Every metric that a dashboard or a rule names exists.
#[test]
fn dashboard_and_alerts_name_what_there_is() {
    let known: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).chain([ALL]).collect();
    for name in ["packaging/grafana/towline.json", "packaging/prometheus/alerts.yml"] {
        let text = file(name);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let named: BTreeSet<&str> = words.filter(|word| word.starts_with("towline_")).collect();
        assert!(named.len() > 5, "{name}: {named:?}");
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{name} names {unknown:?}");
    }
    serde_json::from_str::<serde_json::Value>(&file("packaging/grafana/towline.json")).unwrap();
}
