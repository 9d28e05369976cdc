use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit};

/// Connections that may be open where descriptors and memory are not limited.
const DEFAULT_MAX_CONNECTIONS: usize = 10_000;
/// What a connection without a key costs at worst, roughly.
const MAX_CONNECTION_BYTES: u64 = 128 << 10;
/// Connections may use one part in so many of the available memory.
const SHARE_OF_MEMORY: u64 = 4;
/// Keep-alive between requests ends sooner.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How often refused connections are logged.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// How many connections may be open at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// From everywhere.
    pub all: usize,
    /// From one address, or one network of 64 bits of IPv6; from this machine as many as in all.
    pub per_address: usize,
    /// How long a connection may take to begin a request, or to continue one that it began.
    pub head_timeout: Duration,
}

impl ConnectionLimits {
    /// As configured. Without a setting, `all` is derived from the limits of the process: half of its file
    /// descriptors, and a quarter of its memory.
    #[must_use]
    pub fn of(all: Option<usize>, per_address: Option<usize>) -> Self {
        let all = all.unwrap_or_else(default_max_connections);
        Self {
            all,
            per_address: per_address.unwrap_or(all.div_ceil(2)),
            head_timeout: HEAD_TIMEOUT,
        }
    }
}

fn default_max_connections() -> usize {
    let limit = |resource| getrlimit(resource).map_or(u64::MAX, |(soft, _hard)| soft);
    let files = limit(Resource::RLIMIT_NOFILE) / 2;
    let memory = limit(Resource::RLIMIT_AS).min(control_group_memory());
    let connections = files.min(memory / SHARE_OF_MEMORY / MAX_CONNECTION_BYTES);
    usize::try_from(connections).map_or(DEFAULT_MAX_CONNECTIONS, |count| {
        count.clamp(1, DEFAULT_MAX_CONNECTIONS)
    })
}

/// The limit of the control group, which containers have.
fn control_group_memory() -> u64 {
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let limit = limit.and_then(|text| text.trim().parse().ok());
    limit.unwrap_or(u64::MAX)
}

/// The connections that are open.
pub(super) struct Places {
    limits: ConnectionLimits,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    /// Not those of this machine.
    by_address: HashMap<IpAddr, usize>,
    /// Since the last log line: because of the limit on all, and because of that on an address.
    refused: [u64; 2],
    logged_at: Option<Instant>,
}

/// One connection's place, which is freed when this is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    address: Option<IpAddr>,
}

impl Places {
    pub(super) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            taken: Mutex::default(),
        })
    }

    /// A place for a connection from `peer`, if there is one.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Result<Place, ()> {
        let address = counted_as(peer);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = address.map_or(0, |address| {
            taken.by_address.get(&address).copied().unwrap_or_default()
        });
        let crowded = taken.all >= self.limits.all;
        if crowded || of_address >= self.limits.per_address {
            taken.refused[usize::from(!crowded)] += 1;
            self.log_refused(&mut taken, peer);
            return Err(());
        }
        taken.all += 1;
        if let Some(address) = address {
            *taken.by_address.entry(address).or_default() += 1;
        }
        Ok(Place {
            places: Arc::clone(self),
            address,
        })
    }

    /// One line per interval, not one per connection.
    fn log_refused(&self, taken: &mut Taken, last: IpAddr) {
        if taken
            .logged_at
            .is_some_and(|logged_at| logged_at.elapsed() < LOG_INTERVAL)
        {
            return;
        }
        taken.logged_at = Some(Instant::now());
        let [in_all, for_address] = std::mem::take(&mut taken.refused);
        let ConnectionLimits {
            all, per_address, ..
        } = self.limits;
        tracing::warn!(
            open = taken.all, refused = in_all, refused_for_their_address = for_address, %last,
            max_connections = all, max_connections_per_address = per_address,
            "connections refused: too many are open"
        );
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let taken = self.places.taken.lock();
        let mut taken = taken.unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let Some(address) = self.address else { return };
        if let Some(count) = taken.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

/// The address that a connection counts for: all of an IPv6 network count as one, because one client can
/// have many of them. This machine's own do not count, because a proxy on it serves all clients.
fn counted_as(peer: IpAddr) -> Option<IpAddr> {
    match peer.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            Some(Ipv6Addr::from_bits(network).into())
        }
        address @ IpAddr::V4(_) => Some(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_counted_in_all_and_by_address_and_are_freed() {
        let limits = ConnectionLimits {
            all: 4,
            per_address: 2,
            head_timeout: HEAD_TIMEOUT,
        };
        let places = Places::new(limits);
        let one = address("192.0.2.1");
        let first = places.take(one).unwrap();
        // The same address, as a socket for both families shows it.
        let second = places.take(address("::ffff:192.0.2.1")).unwrap();
        assert!(places.take(one).is_err());
        let network = places.take(address("2001:db8::1")).unwrap();
        let neighbour = places.take(address("2001:db8::ffff:2")).unwrap();
        // The limit on all is reached, for everybody.
        assert!(places.take(address("127.0.0.1")).is_err());
        drop((first, network));
        assert!(places.take(address("2001:db8::3")).is_ok());
        drop((second, neighbour));
        let taken = places.taken.lock().unwrap();
        assert_eq!((taken.all, taken.by_address.len()), (0, 0));
    }

    #[test]
    fn this_machine_counts_only_for_the_limit_on_all() {
        let limits = ConnectionLimits {
            all: 3,
            per_address: 1,
            head_timeout: HEAD_TIMEOUT,
        };
        let places = Places::new(limits);
        let held = ["127.0.0.1", "127.0.0.1", "::1"].map(|peer| places.take(address(peer)));
        assert!(held.iter().all(Result::is_ok));
        assert!(places.take(address("127.0.0.1")).is_err());
    }

    #[test]
    fn settings_are_used_and_one_address_may_have_half_of_all_by_default() {
        assert_eq!(ConnectionLimits::of(Some(7), None).per_address, 4);
        assert_eq!(ConnectionLimits::of(Some(7), Some(9)).per_address, 9);
        let usual = ConnectionLimits::of(None, None);
        assert!(
            (1..=DEFAULT_MAX_CONNECTIONS).contains(&usual.all),
            "{usual:?}"
        );
    }
}
