//! What is free goes back to the system: a server that was flooded once does not stay large.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) use glibc::{give_back, prepare};

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn prepare() {}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) async fn give_back() {
    std::future::pending().await
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::time::Duration;

    /// Heaps for all threads together. Each reserves 64 MiB of addresses, and by default there may be eight
    /// for each core.
    const ARENAS: i32 = 4;
    /// Larger pieces are mapped by themselves and go back when they are freed. By default the bound grows
    /// with what is freed, up to 32 MiB.
    const MAPPED_FROM: i32 = 256 << 10;
    /// How often it is looked whether the process has grown, and how seldom when it needs what it has.
    const EVERY: Duration = Duration::from_secs(5);
    const SELDOM: Duration = Duration::from_secs(60);
    /// What is worth the trouble.
    const WORTH: u64 = 16 << 20;

    /// Before threads are started.
    #[expect(
        unsafe_code,
        reason = "settings of the allocator have no safe interface"
    )]
    pub(crate) fn prepare() {
        // SAFETY: mallopt changes parameters of the allocator under its own lock; both are documented and
        // the values within their range.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, ARENAS);
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
        }
    }

    /// Gives back what is free between pieces in use while the process is larger than it once was; never
    /// ends.
    pub(crate) async fn give_back() {
        let (mut smallest, mut pause) = (resident(), EVERY);
        loop {
            tokio::time::sleep(pause).await;
            let before = resident();
            if before < smallest.saturating_add(WORTH) {
                smallest = smallest.min(before);
                pause = EVERY;
                continue;
            }
            // It goes through all heaps and holds their locks meanwhile.
            tokio::task::spawn_blocking(trim).await.ok();
            let after = resident();
            smallest = smallest.min(after);
            pause = match before.saturating_sub(after) >= WORTH {
                true => EVERY,
                false => (pause * 2).min(SELDOM),
            };
        }
    }

    #[expect(unsafe_code, reason = "trimming has no safe interface")]
    fn trim() {
        // SAFETY: malloc_trim gives free pages back under the allocator's own locks, and touches no
        // memory in use.
        unsafe {
            libc::malloc_trim(0);
        }
    }

    fn resident() -> u64 {
        let pages = std::fs::read_to_string("/proc/self/statm").ok();
        let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
        pages.unwrap_or_default() * 4096
    }
}
