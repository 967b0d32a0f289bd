//! What a recorder is told (feature `metrics`).
#![cfg(feature = "metrics")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use log_facade::{AsyncLog, Level, Log, Lsn, ManualClock};
use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

type Seen = Arc<Mutex<BTreeMap<String, Vec<f64>>>>;

/// Keeps everything.
#[derive(Debug, Default)]
struct Notebook(Seen);

/// One line of it.
struct Line {
    key: String,
    seen: Seen,
}

impl Line {
    fn of(key: &Key, seen: &Seen) -> Arc<Self> {
        let mut labels: Vec<_> = key
            .labels()
            .map(|it| format!("{}={}", it.key(), it.value()))
            .collect();
        labels.sort();
        Arc::new(Self {
            key: format!("{} {}", key.name(), labels.join(" ")),
            seen: Arc::clone(seen),
        })
    }

    fn note(&self, value: f64) {
        let mut seen = self.seen.lock().unwrap();
        seen.entry(self.key.clone()).or_default().push(value);
    }
}

impl CounterFn for Line {
    fn increment(&self, value: u64) {
        self.note(value as f64);
    }
    fn absolute(&self, _: u64) {
        unreachable!("nothing is counted that way");
    }
}

impl HistogramFn for Line {
    fn record(&self, value: f64) {
        self.note(value);
    }
}

impl Recorder for Notebook {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Line::of(key, &self.0))
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Line::of(key, &self.0))
    }
}

#[test]
fn a_recorder_is_told_what_the_log_did() {
    let directory = tempfile::tempdir().unwrap();
    let notebook = Notebook::default();
    let seen = Arc::clone(&notebook.0);
    let clock = ManualClock::new();
    let options = Log::options()
        .name("orders")
        .stamp(false)
        .rotate_records(2)
        .retain_records(2)
        .retention_interval(Duration::from_secs(1))
        .clock(clock.clone());
    let log = metrics::with_local_recorder(&notebook, || options.open(directory.path()).unwrap());
    log.append(b"three").unwrap();
    log.append_batch(&[b"1", b"22"]).unwrap();
    log.sync().unwrap();
    log.append(b"").unwrap();
    log.append(b"x").unwrap();
    log.flush().unwrap();
    clock.advance(Duration::from_secs(1));
    assert_eq!(log.first_lsn(), Lsn(3));

    let seen = seen.lock().unwrap();
    let sum = |key: &str| seen.get(key).map(|values| values.iter().sum::<f64>());
    assert_eq!(sum("strata_records_appended_total log=orders"), Some(5.0));
    assert_eq!(
        sum("strata_record_bytes_appended_total log=orders"),
        Some(9.0)
    );
    assert_eq!(sum("strata_segments_dropped_total log=orders"), Some(1.0));
    for level in ["written", "durable"] {
        let times = &seen[&format!("strata_commit_seconds level={level} log=orders")];
        assert_eq!(times.len(), 1, "{level}");
        assert!((0.0..600.0).contains(&times[0]), "in seconds");
    }
    assert_eq!(sum("strata_housekeeping_failures_total log=orders"), None);
}

#[test]
fn what_tasks_wait_for_a_level_is_told_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let notebook = Notebook::default();
    let seen = Arc::clone(&notebook.0);
    let open = || Log::options().name("tasks").open(directory.path()).unwrap();
    let log = metrics::with_local_recorder(&notebook, open);
    let log = AsyncLog::new(log).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(async {
        log.append(b"published").await.unwrap();
        log.append_to(Level::Written, b"1").await.unwrap();
        log.append_batch_to(Level::Written, &[b"2"]).await.unwrap();
        log.append_to(Level::Durable, b"3").await.unwrap();
        log.sync().await.unwrap();
        log.append_batch(&[b"4", b"5"]).await.unwrap();
        log.append_batch_to(Level::Durable, &[b"6"]).await.unwrap();
    });
    let seen = seen.lock().unwrap();
    let count = |level: &str| seen[&format!("strata_commit_seconds level={level} log=tasks")].len();
    assert_eq!((count("written"), count("durable")), (2, 3));
    let records = &seen["strata_records_appended_total log=tasks"];
    assert_eq!(records.iter().sum::<f64>(), 7.0);
}
