//! How much memory something takes, counted by the allocator.

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What something returns, and by how many bytes memory grew at most while it
/// ran. Counts the memory of other threads too.
pub(crate) fn peak_bytes<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let result = work();
    let peak = ALLOCATOR.peak_usage();
    (result, peak.saturating_sub(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_counts_also_if_it_was_given_back() {
        const BYTES: usize = 64 << 20;
        let (length, bytes) = peak_bytes(|| vec![1_u8; BYTES].len());
        assert_eq!(length, BYTES);
        assert!(bytes >= BYTES, "{bytes}");
    }
}
