//! What time it is, and waiting for it to pass: as a trait, so that tests say.
//!
//! A log asks two questions. *What is the time of day?* stamps records and
//! says how old they are; it may jump. *How long have I been up?* decides when
//! the next flush or check is due; it only grows. [`SystemClock`] answers as
//! the machine does. With a [`ManualClock`] time stands still until it is
//! [advanced](ManualClock::advance), which returns when every log that lives by
//! it has done what became due: no test needs to sleep.
//!
//! The only module beside `housekeeper` that waits for time (`INV-F4`).

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::Timestamp;

/// Where a log gets the time from.
///
/// All methods may be called from any thread.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The time of day. May jump in either direction.
    fn now(&self) -> Timestamp;

    /// Time since some moment that never changes. Only grows.
    fn uptime(&self) -> Duration;

    /// Blocks until `alarm` is rung, or [`uptime`](Self::uptime) has come to
    /// `deadline` (`None`: never). May return early.
    fn wait(&self, alarm: &Alarm, deadline: Option<Duration>);

    /// Called before the first wait on `alarm`; again when the housekeeper that
    /// waits on it was stopped and another one begins. Does nothing by default.
    fn attach(&self, _alarm: &Arc<Alarm>) {}
}

/// What the housekeeper of a log sleeps on.
#[derive(Debug, Default)]
pub struct Alarm {
    state: Mutex<AlarmState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct AlarmState {
    is_rung: bool,
    /// Until when somebody sleeps on it; `None` while nobody does.
    asleep_until: Option<Duration>,
    /// Nobody will sleep on it any more.
    is_over: bool,
}

impl Alarm {
    /// Ends the wait that is going on, or else the next one.
    pub fn ring(&self) {
        self.lock().is_rung = true;
        self.changed.notify_all();
    }

    /// Somebody will sleep on it, whatever was before.
    pub(crate) fn begin(&self) {
        *self.lock() = AlarmState::default();
    }

    /// Nobody will sleep on it any more.
    pub(crate) fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, AlarmState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_on<'a>(&self, state: MutexGuard<'a, AlarmState>) -> MutexGuard<'a, AlarmState> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks until it is rung, at most for `timeout`.
    pub fn wait_timeout(&self, timeout: Option<Duration>) {
        let state = self.lock();
        let is_quiet = |state: &mut AlarmState| !state.is_rung;
        let mut state = match timeout {
            None => self
                .changed
                .wait_while(state, is_quiet)
                .unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                self.changed
                    .wait_timeout_while(state, timeout, is_quiet)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        state.is_rung = false;
    }

    /// Blocks until it is rung or `uptime` has come to `deadline`. Whoever
    /// changes what `uptime` answers must call [`look`](Self::look) then.
    fn wait_until(&self, deadline: Duration, uptime: impl Fn() -> Duration) {
        let mut state = self.lock();
        state.asleep_until = Some(deadline);
        self.changed.notify_all();
        while !state.is_rung && uptime() < deadline {
            state = self.wait_on(state);
        }
        state.asleep_until = None;
        state.is_rung = false;
    }

    /// Has the one who sleeps look at the time again.
    fn look(&self) {
        // The lock keeps this from falling between its look and its sleep.
        drop(self.lock());
        self.changed.notify_all();
    }

    /// Blocks until somebody sleeps on it for longer than until `now`.
    fn settle(&self, now: Duration) {
        let mut state = self.lock();
        while !state.is_settled(now) {
            state = self.wait_on(state);
        }
    }
}

impl AlarmState {
    fn is_settled(&self, now: Duration) -> bool {
        let sleeps = self.asleep_until.is_some_and(|until| until > now);
        self.is_over || (sleeps && !self.is_rung)
    }
}

/// The machine's clocks: the time of day, and a monotonic one.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose uptime begins now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[inline]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // None if the clock is set to before 1970.
        Timestamp(nanos(since_epoch.unwrap_or_default()))
    }

    fn uptime(&self) -> Duration {
        self.start.elapsed()
    }

    fn wait(&self, alarm: &Alarm, deadline: Option<Duration>) {
        let timeout = deadline.map(|deadline| deadline.saturating_sub(self.uptime()));
        alarm.wait_timeout(timeout);
    }
}

/// A clock that stands still until it is told to move, for tests.
///
/// Clones are the same clock.
///
/// ```
/// use std::time::Duration;
/// use log_facade::{Level, Log, ManualClock};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let clock = ManualClock::new();
/// let log = Log::options()
///     .clock(clock.clone())
///     .flush_interval(Duration::from_secs(1))
///     .open(directory.path())?;
/// log.append(b"not on the disk yet")?;
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(log.watermarks().durable_end, log.next_lsn());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    inner: Arc<Manual>,
}

#[derive(Debug)]
struct Manual {
    /// The time of day.
    now_nanos: AtomicU64,
    uptime_nanos: AtomicU64,
    alarms: Mutex<Vec<Arc<Alarm>>>,
}

impl ManualClock {
    /// A clock that says that it is the first second of 2026, and has been up
    /// for no time at all.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Manual {
                now_nanos: AtomicU64::new(1_767_225_600_000_000_000),
                uptime_nanos: AtomicU64::new(0),
                alarms: Mutex::default(),
            }),
        }
    }

    /// Lets `time` pass, for the time of day and for the uptime, and returns
    /// when every log that lives by this clock has done what became due.
    ///
    /// Must not be called from within such a log's work.
    pub fn advance(&self, time: Duration) {
        self.inner
            .now_nanos
            .fetch_add(nanos(time), Ordering::SeqCst);
        self.inner
            .uptime_nanos
            .fetch_add(nanos(time), Ordering::SeqCst);
        for alarm in self.alarms().iter() {
            alarm.look();
        }
        self.settle();
    }

    /// Sets the time of day, as an operator or a time server does, while no
    /// time passes.
    pub fn set_now(&self, now: Timestamp) {
        self.inner.now_nanos.store(now.0, Ordering::SeqCst);
    }

    /// Returns when no log that lives by this clock has anything to do now.
    pub fn settle(&self) {
        let alarms = self.alarms().clone();
        for alarm in alarms {
            alarm.settle(self.uptime());
        }
        self.alarms().retain(|alarm| !alarm.lock().is_over);
    }

    fn alarms(&self) -> MutexGuard<'_, Vec<Arc<Alarm>>> {
        self.inner
            .alarms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.inner.now_nanos.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        Duration::from_nanos(self.inner.uptime_nanos.load(Ordering::SeqCst))
    }

    fn wait(&self, alarm: &Alarm, deadline: Option<Duration>) {
        alarm.wait_until(deadline.unwrap_or(Duration::MAX), || self.uptime());
    }

    fn attach(&self, alarm: &Arc<Alarm>) {
        self.alarms().push(Arc::clone(alarm));
    }
}

/// The length in nanoseconds, or the longest that there is: 584 years.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    #[test]
    fn a_ring_before_the_wait_is_not_lost() {
        let alarm = Alarm::default();
        alarm.ring();
        alarm.wait_timeout(None);
        alarm.ring();
        ManualClock::new().wait(&alarm, None);
    }

    #[test]
    fn an_advance_returns_when_what_became_due_is_done() {
        let clock = ManualClock::new();
        let alarm = Arc::new(Alarm::default());
        clock.attach(&alarm);
        let done = Arc::new(AtomicUsize::new(0));
        let sleeper = thread::spawn({
            let (clock, alarm, done) = (clock.clone(), Arc::clone(&alarm), Arc::clone(&done));
            move || {
                for second in 1..=3 {
                    let deadline = Duration::from_secs(second);
                    while clock.uptime() < deadline {
                        clock.wait(&alarm, Some(deadline));
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                }
                alarm.end();
            }
        });
        clock.advance(Duration::from_millis(999));
        assert_eq!(done.load(Ordering::SeqCst), 0);
        clock.advance(Duration::from_millis(1));
        assert_eq!(done.load(Ordering::SeqCst), 1);
        clock.advance(Duration::from_secs(5));
        assert_eq!(done.load(Ordering::SeqCst), 3);
        sleeper.join().unwrap();
    }
}
