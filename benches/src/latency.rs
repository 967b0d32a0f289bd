//! How long single calls took.

use std::time::Duration;

/// The times of calls, each of them kept.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    times_ns: Vec<u64>,
}

impl Latencies {
    /// Room for so many calls, so that taking notes costs little.
    #[must_use]
    pub fn with_capacity(calls: usize) -> Self {
        Self {
            times_ns: Vec::with_capacity(calls),
        }
    }

    /// Notes a call.
    pub fn record(&mut self, time: Duration) {
        self.times_ns
            .push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Takes over another's notes.
    pub fn extend(&mut self, other: Self) {
        self.times_ns.extend(other.times_ns);
    }

    /// How many calls were noted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.times_ns.len()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times_ns.is_empty()
    }

    /// For each of `shares` (0.5 is the median, 1 the longest) the time in
    /// nanoseconds that this share of the calls did not exceed; NaN if there
    /// was none.
    #[must_use]
    pub fn percentiles_ns<const N: usize>(mut self, shares: [f64; N]) -> [f64; N] {
        self.times_ns.sort_unstable();
        shares.map(|share| {
            let rank = (share * self.times_ns.len() as f64).ceil() as usize;
            let time = self.times_ns.get(rank.saturating_sub(1));
            time.map_or(f64::NAN, |time| *time as f64)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_smallest_time_that_enough_calls_kept() {
        let mut latencies = Latencies::with_capacity(100);
        for time in (1..=100).rev() {
            latencies.record(Duration::from_nanos(time));
        }
        let percentiles = latencies.percentiles_ns([0.5, 0.99, 1.0]);
        assert_eq!(percentiles, [50.0, 99.0, 100.0]);
        assert!(Latencies::default().percentiles_ns([0.5])[0].is_nan());
    }
}
