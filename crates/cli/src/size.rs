//! Sizes as people write them: `10mb`, `1gb`, `64KiB`, `65536`.

use buntime_supervisor::SHM_SIZE_RANGE;

/// Spellings and their values. `kb` is 1024 bytes as `KiB` is: a segment is made of pages.
const UNITS: [(&[&str], usize); 4] =
    [(&["", "b"], 1), (&["k", "kb", "kib"], 1 << 10), (&["m", "mb", "mib"], 1 << 20), (&["g", "gb", "gib"], 1 << 30)];

/// Reads the value of `--shm-size`.
pub fn shm_size(text: &str) -> Result<usize, String> {
    let size = bytes(text)?;
    if SHM_SIZE_RANGE.contains(&size) {
        return Ok(size);
    }
    let (least, most) = (SHM_SIZE_RANGE.start(), SHM_SIZE_RANGE.end());
    Err(format!("{size} bytes, expected {} to {}", display(*least), display(*most)))
}

/// Reads a whole number and a unit.
fn bytes(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits_end);
    let unit = rest.trim_start();
    if number.is_empty() || unit.starts_with(['.', ',']) {
        return Err("expected a whole number and a unit, such as 10mb".to_owned());
    }
    let too_large = || format!("too large, expected at most {}", display(*SHM_SIZE_RANGE.end()));
    let number: usize = number.parse().map_err(|_| too_large())?;
    let (_, factor) = UNITS
        .iter()
        .find(|(spellings, _)| spellings.iter().any(|spelling| unit.eq_ignore_ascii_case(spelling)))
        .ok_or_else(|| format!("unknown unit {unit:?}, expected b, kb, mb or gb"))?;
    number.checked_mul(*factor).ok_or_else(too_large)
}

/// `1gb` for 1,073,741,824.
fn display(size: usize) -> String {
    let (spellings, factor) = UNITS.iter().rev().find(|(_, factor)| size.is_multiple_of(*factor)).unwrap_or(&UNITS[0]);
    format!("{}{}", size / factor, spellings[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("65536", 65_536),
            ("4096b", 4096),
            ("64kb", 65_536),
            ("64KiB", 65_536),
            ("64 K", 65_536),
            ("10mb", 10 << 20),
            ("10M", 10 << 20),
            ("1gb", 1 << 30),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(shm_size(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn errors_say_what_was_found_and_what_was_expected() {
        for (text, expected) in [
            ("", "expected a whole number and a unit, such as 10mb"),
            ("mb", "expected a whole number and a unit, such as 10mb"),
            ("-1", "expected a whole number and a unit, such as 10mb"),
            ("1.5mb", "expected a whole number and a unit, such as 10mb"),
            ("10tb", "unknown unit \"tb\", expected b, kb, mb or gb"),
            ("10mbx", "unknown unit \"mbx\", expected b, kb, mb or gb"),
            ("1kb", "1024 bytes, expected 4kb to 1gb"),
            ("2gb", "2147483648 bytes, expected 4kb to 1gb"),
            ("99999999999999999999", "too large, expected at most 1gb"),
            ("99999999999999gb", "too large, expected at most 1gb"),
        ] {
            assert_eq!(shm_size(text), Err(expected.to_owned()), "{text}");
        }
    }
}
