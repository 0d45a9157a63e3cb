//! The host's own table of names, `/etc/hosts` (hosts(5)).

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use buntime_policy::Name;

use super::file::Watched;

/// Most addresses of one name that count.
const MOST_ADDRESSES: usize = 16;

/// The table, read again when the file has changed.
#[derive(Debug)]
pub(super) struct Hosts {
    file: Watched,
    by_name: HashMap<Name, Vec<IpAddr>>,
}

impl Hosts {
    pub(super) fn new(path: &Path) -> Self {
        Self { file: Watched::new(path), by_name: HashMap::new() }
    }

    /// The addresses that the file gives the name. A file that is missing or unreadable gives none.
    pub(super) fn addresses_of(&mut self, name: &Name) -> Option<Vec<IpAddr>> {
        if let Some(content) = self.file.changed() {
            self.by_name = parse(&content);
        }
        self.by_name.get(name).cloned()
    }
}

/// Lines that say nothing useful are passed over, as the C library does.
fn parse(content: &[u8]) -> HashMap<Name, Vec<IpAddr>> {
    let mut by_name: HashMap<Name, Vec<IpAddr>> = HashMap::new();
    for line in String::from_utf8_lossy(content).lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
            continue;
        };
        for name in words.filter_map(|word| Name::parse(word).ok()) {
            let addresses = by_name.entry(name).or_default();
            if addresses.len() < MOST_ADDRESSES && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    by_name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table() {
        let content = b"\
# comment
127.0.0.1 localhost
10.0.0.5\tdb  DB.internal # the database
fd00::5   db
10.0.0.5  db
not-an-address other
10.0.0.6
\xff\xfe bad
10.0.0.7 bad\x00name good";
        let table = parse(content);
        let of = |name: &str| table.get(&Name::parse(name).unwrap()).map(|all| format!("{all:?}"));
        assert_eq!(of("db").as_deref(), Some("[10.0.0.5, fd00::5]"));
        assert_eq!(of("db.internal").as_deref(), Some("[10.0.0.5]"));
        assert_eq!(of("good").as_deref(), Some("[10.0.0.7]"));
        assert_eq!(of("other"), None);
        assert_eq!(table.len(), 4, "{table:?}");
    }

    #[test]
    fn one_name_has_so_many_addresses_at_most() {
        let content: String = (0..100).map(|n| format!("10.0.0.{n} many\n")).collect();
        assert_eq!(parse(content.as_bytes())[&Name::parse("many").unwrap()].len(), MOST_ADDRESSES);
    }
}
