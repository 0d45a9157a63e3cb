//! The addresses that stand for names inside one sandbox.
//!
//! Every name that the resolver answers for gets an address of its own from 198.18.0.0/15, the block that RFC 2544 set
//! aside and that nobody routes. A flow to such an address therefore says which *name* was asked for, on any port and
//! in any protocol, and two names behind one real address stay apart.
//!
//! An address must never come to mean another name while somebody may still use it for the first: the clients' own
//! caches hold it for the TTL of the answer, and connection pools for longer. So addresses are handed out in turn through the
//! whole block, a name keeps its address as long as it is used, and a name in use within [`KEPT`] is never dropped.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use buntime_policy::Name;
use lru::LruCache;

/// First address that is handed out: 198.18.0.0 itself is left alone, as some clients take it for a network.
const FIRST: u32 = u32::from_be_bytes([198, 18, 0, 1]);
/// Last one: 198.19.255.255 would be the block's broadcast address.
const LAST: u32 = u32::from_be_bytes([198, 19, 255, 254]);

/// Most names that have an address at one time. With names of 40 bytes this is about 1 MB for one sandbox.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(8192).expect("not zero");

/// How long after its last use a name keeps its address for certain: well beyond the TTL of an answer (60 s).
pub(crate) const KEPT: Duration = Duration::from_secs(600);

/// One sandbox's names and their addresses.
#[derive(Debug)]
pub struct Names {
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    /// In the order of use.
    entries: LruCache<Name, Entry>,
    by_address: HashMap<Ipv4Addr, Name>,
    /// The address that is tried next.
    next: u32,
}

#[derive(Debug)]
struct Entry {
    address: Ipv4Addr,
    used: Instant,
}

impl Names {
    /// An empty table.
    pub fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    fn with_capacity(capacity: NonZeroUsize) -> Self {
        let table = Table { entries: LruCache::new(capacity), by_address: HashMap::new(), next: FIRST };
        Self { table: Mutex::new(table) }
    }

    /// The name's address, a new one where it has none. None when the table is full of names that were all used within
    /// the last minutes: then the question must fail, as any address would be somebody else's.
    pub fn address_of(&self, name: &Name) -> Option<Ipv4Addr> {
        self.locked().address_of(name, Instant::now())
    }

    /// The name that the address stands for, which counts as a use of it. None for every address that was not given out,
    /// or not lately.
    pub fn name_of(&self, address: IpAddr) -> Option<Name> {
        self.locked().name_of(address, Instant::now())
    }

    /// Whether the address lies in the block that stands for names. One that does and has no [`name_of`] leads nowhere.
    ///
    /// [`name_of`]: Self::name_of
    pub fn is_for_names(address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => matches!(v4.octets(), [198, 18 | 19, _, _]),
            IpAddr::V6(_) => false,
        }
    }

    fn locked(&self) -> MutexGuard<'_, Table> {
        // Every change below is complete before anything could panic, so the table is sound even then.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    fn address_of(&mut self, name: &Name, now: Instant) -> Option<Ipv4Addr> {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.used = now;
            return Some(entry.address);
        }
        if self.entries.len() == self.entries.cap().get() {
            self.drop_oldest(now)?;
        }
        let address = self.free_address();
        self.by_address.insert(address, name.clone());
        self.entries.put(name.clone(), Entry { address, used: now });
        Some(address)
    }

    fn name_of(&mut self, address: IpAddr, now: Instant) -> Option<Name> {
        let IpAddr::V4(address) = address.to_canonical() else {
            return None;
        };
        let name = self.by_address.get(&address)?;
        self.entries.get_mut(name)?.used = now;
        Some(name.clone())
    }

    fn drop_oldest(&mut self, now: Instant) -> Option<()> {
        let (_, oldest) = self.entries.peek_lru()?;
        if now.saturating_duration_since(oldest.used) < KEPT {
            return None;
        }
        let (_, oldest) = self.entries.pop_lru()?;
        self.by_address.remove(&oldest.address);
        Some(())
    }

    /// The next one in turn that nobody has. The block holds sixteen times as many as the table, so there is one.
    fn free_address(&mut self) -> Ipv4Addr {
        loop {
            let address = Ipv4Addr::from(self.next);
            self.next = if self.next == LAST { FIRST } else { self.next + 1 };
            if !self.by_address.contains_key(&address) {
                return address;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn small(capacity: usize) -> Table {
        let names = Names::with_capacity(NonZeroUsize::new(capacity).unwrap());
        names.table.into_inner().unwrap()
    }

    #[test]
    fn a_name_keeps_its_address_and_two_names_never_share_one() {
        let names = Names::new();
        let a = names.address_of(&name("a.example")).unwrap();
        let b = names.address_of(&name("b.example")).unwrap();
        assert_eq!([a, b], [Ipv4Addr::new(198, 18, 0, 1), Ipv4Addr::new(198, 18, 0, 2)]);
        assert_eq!(names.address_of(&name("A.Example.")), Some(a));
        assert_eq!(names.name_of(a.into()), Some(name("a.example")));
        assert_eq!(names.name_of(IpAddr::V6(b.to_ipv6_mapped())), Some(name("b.example")));
        for unknown in ["198.18.0.0", "198.18.0.3", "127.0.0.1", "::1"] {
            assert_eq!(names.name_of(unknown.parse().unwrap()), None, "{unknown}");
        }
    }

    #[test]
    fn a_full_table_refuses_until_its_oldest_name_is_out_of_use() {
        let mut table = small(2);
        let start = Instant::now();
        let a = table.address_of(&name("a.example"), start).unwrap();
        let b = table.address_of(&name("b.example"), start).unwrap();
        assert_eq!(table.address_of(&name("c.example"), start + KEPT / 2), None);
        // A flow counts as a use, so it is b that goes.
        assert!(table.name_of(a.into(), start + KEPT / 2).is_some());
        let c = table.address_of(&name("c.example"), start + KEPT).unwrap();
        assert!(c != a && c != b, "an address is not reused while others are free");
        assert_eq!(table.name_of(b.into(), start + KEPT), None);
        assert_eq!(table.name_of(a.into(), start + KEPT), Some(name("a.example")));
    }

    #[test]
    fn addresses_go_round_the_block_past_those_in_use() {
        let mut table = small(3);
        let now = Instant::now();
        let first = table.address_of(&name("first.example"), now).unwrap();
        table.next = LAST;
        let last = table.address_of(&name("last.example"), now).unwrap();
        let wrapped = table.address_of(&name("wrapped.example"), now).unwrap();
        assert_eq!(first, Ipv4Addr::new(198, 18, 0, 1));
        assert_eq!(last, Ipv4Addr::new(198, 19, 255, 254));
        assert_eq!(wrapped, Ipv4Addr::new(198, 18, 0, 2));
    }

    #[test]
    fn the_block() {
        for (address, expected) in [
            ("198.17.255.255", false),
            ("198.18.0.0", true),
            ("198.19.255.255", true),
            ("::ffff:198.18.0.1", true),
            ("198.20.0.0", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(Names::is_for_names(address.parse().unwrap()), expected, "{address}");
        }
    }

    proptest! {
        /// Whatever is asked in whatever order: both directions agree, and what was handed out within `KEPT` still means
        /// the same name.
        #[test]
        fn no_address_changes_its_meaning_in_use(steps in prop::collection::vec((0u8..12, 0u64..400), 1..200)) {
            let mut table = small(4);
            let mut now = Instant::now();
            let mut given: HashMap<Ipv4Addr, (Name, Instant)> = HashMap::new();
            for (which, seconds) in steps {
                now += Duration::from_secs(seconds);
                let asked = name(&format!("n{which}.example"));
                if let Some(address) = table.address_of(&asked, now) {
                    if let Some((other, used)) = given.get(&address) {
                        prop_assert!(*other == asked || now.duration_since(*used) >= KEPT);
                    }
                    given.insert(address, (asked.clone(), now));
                    prop_assert_eq!(table.name_of(address.into(), now), Some(asked));
                }
                prop_assert!(table.entries.len() <= 4);
                prop_assert_eq!(table.entries.len(), table.by_address.len());
            }
        }
    }
}
