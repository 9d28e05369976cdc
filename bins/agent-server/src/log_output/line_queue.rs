//! A queue of log lines for standard output or a file, which may accept them late or not at all.

use std::{
    borrow::Cow,
    fs::File,
    io,
    io::Write,
    os::fd::AsFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Most bytes of lines that wait; as many may be in the writing thread's hands besides.
pub(super) const MAX_WAITING_BYTES: usize = 4 << 20;
/// A buffer that held more than this is not kept for the next lines.
const KEPT_BUFFER: usize = 64 << 10;

/// Takes lines from any thread without ever waiting for the output; a separate thread writes them. A line
/// for which there is no room is dropped and counted, and so is one that cannot be written.
pub(super) struct LineQueue {
    lines: Mutex<Lines>,
    filled: Condvar,
    written: Condvar,
    max_bytes: usize,
}

#[derive(Default)]
struct Lines {
    /// Whole lines, one after the other.
    waiting: Vec<u8>,
    /// Whether the thread is writing lines.
    writing: bool,
    /// How many were dropped and not reported yet.
    dropped: u64,
}

impl LineQueue {
    /// Starts the thread that writes to `out`. `report_dropped` is called with the number of dropped lines,
    /// once there is room for a line that says so.
    ///
    /// # Errors
    /// When the system cannot start a thread.
    pub(super) fn start(
        out: impl LogOutput + 'static,
        max_bytes: usize,
        report_dropped: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self {
            lines: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
            max_bytes,
        });
        let of_thread = Arc::clone(&queue);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || of_thread.write_to(out, report_dropped))?;
        Ok(queue)
    }

    fn push(&self, line: &[u8]) {
        let mut lines = self.lock();
        if lines.waiting.len() + line.len() > self.max_bytes {
            lines.dropped += 1;
            return;
        }
        let was_empty = lines.waiting.is_empty();
        lines.waiting.extend_from_slice(line);
        drop(lines);
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// Waits until all lines are written, at most for `timeout`.
    pub(super) fn flush(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut lines = self.lock();
        while lines.writing || !lines.waiting.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            lines = match self.written.wait_timeout(lines, left) {
                Ok((lines, _)) => lines,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    fn write_to(&self, mut out: impl LogOutput, report_dropped: impl Fn(u64)) -> ! {
        let mut output_works = true;
        // The number in a line that is written next.
        let mut being_reported = 0;
        let mut at_line_start = true;
        loop {
            let taken = self.take();
            let reported = if output_works {
                std::mem::take(&mut self.lock().dropped)
            } else {
                0
            };
            if reported > 0 {
                // After the lines that were just taken, which is where others are missing.
                report_dropped(reported);
            }
            let written = write_lines(&mut out, &taken, &mut at_line_start);
            let lost = match written {
                Ok(()) => 0,
                Err(Unwritten(lines)) => lines + being_reported,
            };
            output_works = lost == 0;
            being_reported = reported;
            self.return_buffer(taken, lost);
        }
    }

    /// All that waits, once something does.
    fn take(&self) -> Vec<u8> {
        let mut lines = self.lock();
        while lines.waiting.is_empty() {
            lines = self
                .filled
                .wait(lines)
                .unwrap_or_else(PoisonError::into_inner);
        }
        lines.writing = true;
        std::mem::take(&mut lines.waiting)
    }

    fn return_buffer(&self, mut buffer: Vec<u8>, lost: u64) {
        let mut lines = self.lock();
        lines.dropped += lost;
        lines.writing = false;
        if lines.waiting.capacity() == 0 && buffer.capacity() <= KEPT_BUFFER {
            buffer.clear();
            lines.waiting = buffer;
        }
        drop(lines);
        self.written.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each write is one line, as `tracing_subscriber` writes them.
impl Write for &LineQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where lines go.
pub(super) trait LogOutput: Write + Send {
    /// Waits until there is room, for an output whose writes do not block.
    fn wait_for_room(&self) -> io::Result<()>;
}

impl LogOutput for File {
    fn wait_for_room(&self) -> io::Result<()> {
        let mut room = [PollFd::new(self.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut room, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// How many lines were not written, or only in part.
struct Unwritten(u64);

fn write_lines(
    out: &mut impl LogOutput,
    lines: &[u8],
    at_line_start: &mut bool,
) -> Result<(), Unwritten> {
    // Ends a line that an earlier write left unfinished.
    let text = if *at_line_start {
        Cow::Borrowed(lines)
    } else {
        Cow::Owned([b"\n", lines].concat())
    };
    let mut rest = &text[..];
    while !rest.is_empty() {
        let written = match out.write(rest) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                *at_line_start = rest[written - 1] == b'\n';
                rest = &rest[written..];
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => out.wait_for_room(),
            Err(error) => Err(error),
        };
        if written.is_err() {
            // Without the line end that was put before them.
            let rest = &rest[rest.len().saturating_sub(lines.len())..];
            let lost = rest.iter().filter(|byte| **byte == b'\n').count();
            return Err(Unwritten((lost as u64).max(1)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        sync::{
            atomic::{AtomicBool, AtomicU64, Ordering},
            mpsc,
        },
    };

    use super::*;

    const HANG: Duration = Duration::from_secs(60);

    fn line(number: usize) -> Vec<u8> {
        format!("line {number}\n").into_bytes()
    }

    fn pipe() -> (File, File) {
        let (read, write) = nix::unistd::pipe().unwrap();
        (read.into(), write.into())
    }

    /// A queue that reports dropped lines as the log does: with a line.
    fn queue(out: impl LogOutput + 'static, max_bytes: usize) -> Arc<LineQueue> {
        let (give, take) = mpsc::channel::<Arc<LineQueue>>();
        let own = std::sync::OnceLock::new();
        let queue = LineQueue::start(out, max_bytes, move |count| {
            let queue = own.get_or_init(|| take.recv().unwrap());
            queue.push(format!("dropped {count}\n").as_bytes());
        })
        .unwrap();
        give.send(Arc::clone(&queue)).unwrap();
        queue
    }

    #[test]
    fn every_line_comes_out_in_order() {
        let (mut read, write) = pipe();
        let queue = queue(write, 1 << 20);
        let expected: Vec<u8> = (0..10_000).flat_map(line).collect();
        let mut text = vec![0; expected.len()];
        let reader = thread::spawn(move || {
            read.read_exact(&mut text).unwrap();
            text
        });
        for number in 0..10_000 {
            queue.push(&line(number));
        }
        assert!(reader.join().unwrap() == expected);
    }

    #[test]
    fn without_a_reader_nobody_waits_and_dropped_lines_are_reported_later() {
        const PUSHED: usize = 100_000;
        let (read, write) = pipe();
        let queue = queue(write, 10_000);
        for number in 0..PUSHED {
            queue.push(&line(number));
        }
        assert!(queue.lock().waiting.len() <= 10_000);
        // A flush does not wait forever either.
        queue.flush(Duration::from_millis(10));

        let (lines, reported) = read_until_reported(read, PUSHED);
        assert!(lines < PUSHED, "the pipe cannot hold them all");
        assert_eq!(lines + reported, PUSHED);
    }

    /// Reads lines until all `pushed` ones are accounted for: how many came, and how many are reported to
    /// be missing.
    fn read_until_reported(read: File, pushed: usize) -> (usize, usize) {
        use std::io::BufRead;
        let (mut lines, mut reported) = (0, 0);
        for text in io::BufReader::new(read).lines() {
            match text.unwrap().strip_prefix("dropped ") {
                Some(count) => reported += count.parse::<usize>().unwrap(),
                None => lines += 1,
            }
            if lines + reported == pushed {
                break;
            }
        }
        (lines, reported)
    }

    /// A disk that is full at times, and takes a part of what is written then.
    #[derive(Clone, Default)]
    struct Disk {
        text: Arc<Mutex<Vec<u8>>>,
        is_full: Arc<AtomicBool>,
        refused: Arc<AtomicU64>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.is_full.load(Ordering::Acquire) {
                let mut text = self.text.lock().unwrap();
                if text.ends_with(b"\n") {
                    text.extend(&bytes[..3]);
                    return Ok(3);
                }
                self.refused.fetch_add(1, Ordering::AcqRel);
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.text.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl LogOutput for Disk {
        fn wait_for_room(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_loses_lines_and_the_next_ones_start_on_a_new_line() {
        let disk = Disk::default();
        let queue = queue(disk.clone(), 1 << 20);
        let write = |number| {
            queue.push(&line(number));
            queue.flush(HANG);
        };
        write(0);
        disk.is_full.store(true, Ordering::Release);
        write(1);
        write(2);
        disk.is_full.store(false, Ordering::Release);
        write(3);
        write(4);
        let text = String::from_utf8(disk.text.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "line 0\nlin\nline 3\nline 4\ndropped 2\n");
        assert_eq!(disk.refused.load(Ordering::Acquire), 2);
    }

    #[test]
    fn without_a_reader_lines_are_dropped_and_nothing_waits() {
        let (read, write) = pipe();
        drop(read);
        let queue = queue(write, 1000);
        for number in 0..1000 {
            queue.push(&line(number));
            queue.flush(HANG);
        }
        let lines = queue.lock();
        assert_eq!((lines.dropped, lines.waiting.len()), (1000, 0));
    }

    #[test]
    fn a_pipe_that_does_not_block_is_waited_for() {
        let (read, write) = pipe();
        nix::fcntl::fcntl(&write, nix::fcntl::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
        let queue = queue(write, 1 << 22);
        const PUSHED: usize = 20_000;
        for number in 0..PUSHED {
            queue.push(&line(number));
        }
        assert_eq!(read_until_reported(read, PUSHED), (PUSHED, 0));
    }
}
