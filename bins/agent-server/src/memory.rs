//! Returns free memory to the system: a server that was flooded once does not stay large.

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
    /// Larger pieces are mapped separately and returned when they are freed. By default this threshold grows
    /// with what is freed, up to 32 MiB.
    const MMAP_THRESHOLD: i32 = 256 << 10;
    /// How often the size of the process is checked, and how seldom when it needs its memory.
    const CHECK_INTERVAL: Duration = Duration::from_secs(5);
    const MAX_CHECK_INTERVAL: Duration = Duration::from_secs(60);
    /// Less is not worth the effort.
    const MIN_TRIMMED_BYTES: u64 = 16 << 20;
    /// After this time the start is complete.
    const START_DELAY: Duration = Duration::from_secs(1);

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
            libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD);
        }
    }

    /// Returns free memory between pieces in use, while the process is larger than it once was; never ends.
    pub(crate) async fn give_back() {
        tokio::time::sleep(START_DELAY).await;
        unmap_program();
        let (mut smallest, mut pause) = (resident(), CHECK_INTERVAL);
        loop {
            tokio::time::sleep(pause).await;
            let before = resident();
            if before < smallest.saturating_add(MIN_TRIMMED_BYTES) {
                smallest = smallest.min(before);
                pause = CHECK_INTERVAL;
                continue;
            }
            // It goes through all heaps and holds their locks meanwhile.
            tokio::task::spawn_blocking(trim).await.ok();
            let after = resident();
            smallest = smallest.min(after);
            pause = if before.saturating_sub(after) >= MIN_TRIMMED_BYTES {
                CHECK_INTERVAL
            } else {
                (pause * 2).min(MAX_CHECK_INTERVAL)
            };
        }
    }

    /// Removes the program's code from this process's memory. The small part that is used after a start is
    /// loaded again from the page cache when it is called.
    #[expect(unsafe_code, reason = "unmapping pages has no safe interface")]
    fn unmap_program() {
        let Some((from, to)) = program_code() else {
            return;
        };
        // SAFETY: the range is one mapping of this program's file that nobody can write to, so that no page
        // of it differs from the file, and each comes back as it was. Where the kernel refuses, all stays.
        unsafe {
            libc::madvise(
                std::ptr::with_exposed_provenance_mut(from),
                to - from,
                libc::MADV_DONTNEED,
            );
        }
    }

    /// Where the code of the running program is mapped.
    fn program_code() -> Option<(usize, usize)> {
        let program = std::env::current_exe().ok()?;
        let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
        let code = maps.lines().find(|line| {
            line.contains(" r-xp ") && program.to_str().is_some_and(|name| line.ends_with(name))
        })?;
        let (from, to) = code.split_once(' ')?.0.split_once('-')?;
        let number = |digits| usize::from_str_radix(digits, 16).ok();
        Some((number(from)?, number(to)?))
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

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn code_that_was_unmapped_is_loaded_again() {
            let (from, to) = program_code().unwrap();
            let here = (program_code as fn() -> Option<(usize, usize)>) as usize;
            assert!((from..to).contains(&here));
            unmap_program();
            assert_eq!(program_code(), Some((from, to)));
        }
    }
}
