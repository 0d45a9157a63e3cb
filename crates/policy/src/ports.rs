//! Sets of ports: `443`, `80,443`, `8000-9000`, or a mixture.

use std::fmt;

use serde::Serialize;

/// Ports `from` to `to`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PortRange {
    /// First port.
    pub from: u16,
    /// Last port, not below `from`.
    pub to: u16,
}

/// A set of ports, kept sorted and without overlaps, so that equal sets are equal values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports(Vec<PortRange>);

impl Ports {
    /// Every port.
    pub fn any() -> Self {
        Self(vec![PortRange { from: 0, to: u16::MAX }])
    }

    /// Reads the spelling of policy files and flags.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(|part| parse_range(part.trim()))
            .collect::<Result<Vec<_>, _>>()
            .map(Self::new)
            .map_err(|problem| format!("found {text:?}, {problem}"))
    }

    pub(crate) fn new(mut ranges: Vec<PortRange>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<PortRange> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if u32::from(range.from) <= u32::from(last.to) + 1 => last.to = last.to.max(range.to),
                _ => merged.push(range),
            }
        }
        Self(merged)
    }

    /// The ranges, ascending and apart from each other.
    pub fn ranges(&self) -> &[PortRange] {
        &self.0
    }

    /// True where every port is meant.
    pub fn is_any(&self) -> bool {
        *self == Self::any()
    }

    /// A question without a port is about the host as a whole, so that only a rule for every port answers it.
    pub(crate) fn matches(&self, port: Option<u16>) -> bool {
        match port {
            Some(port) => self.0.iter().any(|range| (range.from..=range.to).contains(&port)),
            None => self.is_any(),
        }
    }

    pub(crate) fn covers(&self, narrower: &Self) -> bool {
        // Ranges are merged, so a covered one lies inside a single range.
        narrower.0.iter().all(|inner| self.0.iter().any(|outer| outer.from <= inner.from && inner.to <= outer.to))
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, PortRange { from, to }) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if from == to { write!(f, "{comma}{from}")? } else { write!(f, "{comma}{from}-{to}")? }
        }
        Ok(())
    }
}

fn parse_range(text: &str) -> Result<PortRange, &'static str> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (parse_port(from)?, parse_port(to)?);
    if from > to {
        return Err("expected a range that ascends");
    }
    Ok(PortRange { from, to })
}

fn parse_port(text: &str) -> Result<u16, &'static str> {
    // `u16::from_str` would take "+80".
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(EXPECTED_PORTS);
    }
    text.parse().map_err(|_| EXPECTED_PORTS)
}

const EXPECTED_PORTS: &str = r#"expected ports from 0 to 65535 such as "443", "80,443" or "8000-9000""#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        for (text, shown) in [
            ("443", "443"),
            ("80,443", "80,443"),
            ("443, 80", "80,443"),
            ("8000-9000", "8000-9000"),
            ("80,8000-9000,443", "80,443,8000-9000"),
            ("1-5,6,4-9", "1-9"),
            ("0-65535", "0-65535"),
        ] {
            assert_eq!(Ports::parse(text).unwrap().to_string(), shown, "{text}");
        }
        for text in ["", "80,", "-", "90-80", "65536", "+80", "http", "1-2-3", "*"] {
            assert!(Ports::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sets() {
        let web = Ports::parse("80,443").unwrap();
        assert!(web.matches(Some(80)) && !web.matches(Some(81)));
        assert!(!web.matches(None) && Ports::any().matches(None));
        assert!(Ports::any().covers(&web) && !web.covers(&Ports::any()));
        assert!(web.covers(&Ports::parse("443").unwrap()) && !web.covers(&Ports::parse("443-444").unwrap()));
    }
}
