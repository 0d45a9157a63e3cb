//! Path rules: whole components, and the globs `*`, `?` (inside one component) and `**` (any number of them).
//!
//! A rule covers the path that it names and everything below it: `/tmp` covers `/tmp` and `/tmp/x`, never `/tmpfile`.
//! That holds for globs as well, since a directory that is granted brings what it contains: `/home/*/data` covers
//! `/home/ann/data/x`. Everything here is lexical; symbolic links are the concern of whoever can see the disk.

use std::ffi::OsStr;
use std::path::Path;

/// Whether a rule's reach includes what lies below the paths that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The path and everything below.
    Tree,
    /// The path alone.
    Exact,
}

/// A path, perhaps with globs, lexically normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    absolute: bool,
    components: Vec<Component>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Component {
    Literal(String),
    /// Holds `*` or `?`.
    Glob(String),
    /// `**`.
    AnyDepth,
}

impl PathPattern {
    /// `/`, which covers every path.
    pub(crate) fn root() -> Self {
        Self { absolute: true, components: Vec::new() }
    }

    /// Reads a rule's path. A relative one stays relative until [`PathPattern::absolute`] is called.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::check(text)?;
        let mut pattern = Self { absolute: text.starts_with('/'), components: Vec::new() };
        for part in text.split('/') {
            pattern.push(Component::parse(part)).map_err(|problem| format!("found {text:?}, {problem}"))?;
        }
        Ok(pattern)
    }

    /// Reads a path that means itself, whatever characters it has.
    pub(crate) fn parse_literal(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err("expected an absolute path".to_owned());
        }
        if text.contains('\0') {
            return Err("expected a path without a NUL byte".to_owned());
        }
        let mut path = Self::root();
        for part in text.split('/') {
            path.push(Component::Literal(part.to_owned()))?;
        }
        Ok(path)
    }

    /// A path as the disk has it. A byte that is no UTF-8 becomes a NUL, which no rule can hold: wildcards match it,
    /// and nothing else does.
    pub(crate) fn of_disk(path: &Path) -> Self {
        let names = path.components().filter_map(|component| match component {
            std::path::Component::Normal(name) => Some(Component::Literal(text_of(name))),
            _ => None,
        });
        Self { absolute: true, components: names.collect() }
    }

    fn check(text: &str) -> Result<(), String> {
        let problem = if text.is_empty() {
            "expected a path"
        } else if text.contains('\0') {
            "expected a path without a NUL byte"
        } else if text == "~" || text.starts_with("~/") {
            // Taken literally it would grant, or worse deny, nothing.
            "expected a path without \"~\", which is not expanded here"
        } else {
            return Ok(());
        };
        Err(format!("found {text:?}, {problem}"))
    }

    fn push(&mut self, component: Component) -> Result<(), String> {
        match &component {
            Component::Literal(part) if part.is_empty() || part == "." => {}
            Component::Literal(part) if part == ".." => match self.components.last() {
                None if self.absolute => {}
                Some(Component::Literal(last)) if last != ".." => {
                    self.components.pop();
                }
                None | Some(Component::Literal(_)) => self.components.push(component),
                Some(_) => return Err("expected no \"..\" after a glob".to_owned()),
            },
            _ => self.components.push(component),
        }
        Ok(())
    }

    /// The same pattern from the root, where `base` is the directory that a relative one starts from.
    pub(crate) fn absolute(&self, base: &str) -> Result<Self, String> {
        if self.absolute {
            return Ok(self.clone());
        }
        // The base is a place that exists, not a pattern: its `*` is a plain character.
        let mut path = Self::parse_literal(base).map_err(|problem| format!("base directory {base:?}: {problem}"))?;
        for component in &self.components {
            path.push(component.clone())?;
        }
        Ok(path)
    }

    /// True where the pattern starts at the root.
    pub fn is_absolute(&self) -> bool {
        self.absolute
    }

    /// True where the pattern holds `*`, `?` or `**`.
    pub fn is_glob(&self) -> bool {
        self.components.iter().any(|component| !matches!(component, Component::Literal(_)))
    }

    /// True for `/` without globs, which covers every path.
    pub fn is_root(&self) -> bool {
        self.absolute && self.components.is_empty()
    }

    /// The path up to the first wildcard; all of it where there is none.
    pub fn literal_prefix(&self) -> String {
        let literal = |component: &&Component| matches!(component, Component::Literal(_));
        let components = self.components.iter().take_while(literal).cloned().collect();
        Self { absolute: self.absolute, components }.to_string()
    }

    /// The names up to the first wildcard.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &str> {
        self.components.iter().map_while(|component| match component {
            Component::Literal(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The same with another directory in the place of [`PathPattern::literal_prefix`], as where that is a symlink.
    /// None where `prefix` is no absolute path.
    pub fn with_literal_prefix(&self, prefix: &str) -> Option<Self> {
        let mut path = Self::parse_literal(prefix).ok()?;
        let literal = |component: &&Component| matches!(component, Component::Literal(_));
        path.components.extend(self.components.iter().skip_while(literal).cloned());
        Some(path)
    }

    /// True where a path of the disk is what this names, or lies below.
    pub fn holds(&self, path: &Path) -> bool {
        self.covers(&Self::of_disk(path), Reach::Tree)
    }

    /// Starts to match the names of a directory tree one by one, from the root.
    pub fn progress(&self) -> Progress<'_> {
        Progress::start(&self.components)
    }

    pub(crate) fn file_name(&self) -> Option<&str> {
        match self.components.last() {
            Some(Component::Literal(name)) => Some(name),
            _ => None,
        }
    }

    /// True where everything that `narrower` names is in this pattern's reach. Never true by guess: where two globs
    /// cannot be compared component by component the answer is no.
    pub(crate) fn covers(&self, narrower: &Self, reach: Reach) -> bool {
        if self.absolute != narrower.absolute {
            return false;
        }
        let mut progress = Progress::start(&self.components);
        for component in &narrower.components {
            if reach == Reach::Tree && progress.is_match() {
                return true;
            }
            progress = progress.step(component);
        }
        progress.is_match()
    }
}

/// How far the names on the way down a directory tree match a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress<'a> {
    pattern: &'a [Component],
    /// The positions in the pattern that the names so far can have led to. A set of positions in place of backtracking
    /// keeps the cost at the product of the lengths, whatever a hostile path looks like.
    at: Vec<bool>,
}

impl<'a> Progress<'a> {
    fn start(pattern: &'a [Component]) -> Self {
        let mut at = vec![false; pattern.len() + 1];
        at[0] = true;
        skip_any_depth(pattern, &mut at);
        Self { pattern, at }
    }

    /// One name further down.
    pub fn enter(&self, name: &OsStr) -> Self {
        self.step(&Component::Literal(text_of(name)))
    }

    fn step(&self, component: &Component) -> Self {
        let mut next = vec![false; self.at.len()];
        for (position, pattern) in self.pattern.iter().enumerate().filter(|(position, _)| self.at[*position]) {
            match pattern {
                Component::AnyDepth => next[position] = true,
                single => next[position + 1] |= single.covers(component),
            }
        }
        skip_any_depth(self.pattern, &mut next);
        Self { pattern: self.pattern, at: next }
    }

    /// The names so far are a match.
    pub fn is_match(&self) -> bool {
        self.at[self.pattern.len()]
    }

    /// Nothing below can match.
    pub fn is_lost(&self) -> bool {
        !self.at.contains(&true)
    }
}

/// A name of the disk, with a NUL for each byte that is no UTF-8.
fn text_of(name: &OsStr) -> String {
    name.as_encoded_bytes()
        .utf8_chunks()
        .flat_map(|chunk| chunk.valid().chars().chain(chunk.invalid().iter().map(|_| '\0')))
        .collect()
}

/// `**` stands for no component at all as well.
fn skip_any_depth(wide: &[Component], at: &mut [bool]) {
    for (position, component) in wide.iter().enumerate() {
        if at[position] && *component == Component::AnyDepth {
            at[position + 1] = true;
        }
    }
}

impl std::fmt::Display for PathPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<&str> = self.components.iter().map(Component::as_str).collect();
        match (self.absolute, parts.is_empty()) {
            (true, _) => write!(f, "/{}", parts.join("/")),
            (false, true) => f.write_str("."),
            (false, false) => f.write_str(&parts.join("/")),
        }
    }
}

impl Component {
    fn parse(part: &str) -> Self {
        if part == "**" {
            Self::AnyDepth
        } else if part.contains(['*', '?']) {
            Self::Glob(part.to_owned())
        } else {
            Self::Literal(part.to_owned())
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Literal(text) | Self::Glob(text) => text,
            Self::AnyDepth => "**",
        }
    }

    fn covers(&self, narrower: &Self) -> bool {
        match (self, narrower) {
            (_, Self::AnyDepth) => false,
            (Self::Glob(glob), Self::Literal(text)) => glob_matches(glob, text),
            (Self::Glob(glob), Self::Glob(other)) => glob.bytes().all(|byte| byte == b'*') || glob == other,
            (Self::Literal(a), Self::Literal(b)) => a == b,
            (Self::Literal(_), Self::Glob(_)) | (Self::AnyDepth, _) => false,
        }
    }
}

/// `*` and `?` inside one component. On a mismatch only the last `*` needs another try, so the cost is quadratic at
/// most.
fn glob_matches(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut g, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, t));
                g += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == text[t] => {
                g += 1;
                t += 1;
            }
            _ => match &mut star {
                Some((star_g, star_t)) => {
                    *star_t += 1;
                    (g, t) = (*star_g + 1, *star_t);
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str, reach: Reach) -> bool {
        PathPattern::parse(pattern).unwrap().covers(&PathPattern::parse_literal(path).unwrap(), reach)
    }

    #[test]
    fn trees_cover_whole_components() {
        for (pattern, path, expected) in [
            ("/tmp", "/tmp", true),
            ("/tmp", "/tmp/x", true),
            ("/tmp", "/tmp/x/y", true),
            ("/tmp", "/tmpfile", false),
            ("/tmp/", "/tmp", true),
            ("/tmp", "/", false),
            ("/", "/anything/at/all", true),
            ("/", "/", true),
            ("/tmp", "/tmp/../etc", false),
            ("/tmp", "/etc/../tmp/x", true),
            ("/tmp", "//tmp/./x", true),
            ("/tmp", "/../tmp", true),
            ("/data/../tmp", "/tmp/x", true),
            ("/home/*/data", "/home/ann/data", true),
            ("/home/*/data", "/home/ann/data/x", true),
            ("/home/*/data", "/home/ann/b/data", false),
            ("/home/*", "/home", false),
            ("/home/**", "/home", true),
            ("/home/**/data", "/home/data", true),
            ("/home/**/data", "/home/a/b/data/x", true),
            ("/home/**/data", "/home/a/b/dat", false),
            ("/a/?", "/a/b", true),
            ("/a/?", "/a/é", true),
            ("/a/?", "/a/bc", false),
            ("/a/*.txt", "/a/.txt", true),
            ("/a/*.t*t", "/a/b.txt", true),
            ("/a/*.txt", "/a/b.txt.bak", false),
            ("/a/[b]", "/a/[b]", true),
            ("/a/[b]", "/a/b", false),
            ("/**/*/**/*/**/z", "/a/a/a/a/a/a/a/a/a/a", false),
        ] {
            assert_eq!(matches(pattern, path, Reach::Tree), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_byte_that_is_no_utf8_is_matched_by_wildcards_alone() {
        use std::os::unix::ffi::OsStrExt;
        let path = PathPattern::of_disk(Path::new(OsStr::from_bytes(b"/a/x\xff")));
        for (pattern, expected) in [("/a/*", true), ("/a/x?", true), ("/a/x", false), ("/a/x\u{fffd}", false)] {
            assert_eq!(PathPattern::parse(pattern).unwrap().covers(&path, Reach::Tree), expected, "{pattern}");
        }
    }

    #[test]
    fn a_walk_goes_where_a_match_may_be() {
        let pattern = PathPattern::parse("/a/*/x?").unwrap();
        let walk = |names: &[&str]| names.iter().fold(pattern.progress(), |at, name| at.enter(OsStr::new(name)));
        assert!(walk(&["b"]).is_lost() && walk(&["a", "b", "y1"]).is_lost());
        assert!(!walk(&["a", "b"]).is_lost() && !walk(&["a", "b"]).is_match());
        assert!(walk(&["a", "b", "x1"]).is_match());
        assert_eq!(pattern.literal_prefix(), "/a");
        assert_eq!(pattern.with_literal_prefix("/r/s").unwrap().to_string(), "/r/s/*/x?");
    }

    #[test]
    fn exact_stops_at_the_path() {
        assert!(matches("/bin/*", "/bin/ls", Reach::Exact));
        assert!(!matches("/bin/*", "/bin/sub/ls", Reach::Exact));
        assert!(matches("/bin/**", "/bin/sub/ls", Reach::Exact));
    }

    #[test]
    fn a_wildcard_in_a_real_name_is_a_plain_character() {
        assert!(!matches("/a/b", "/a/*", Reach::Tree));
        let below = PathPattern::parse("x").unwrap().absolute("/odd*dir").unwrap();
        assert!(!below.is_glob());
    }

    #[test]
    fn one_pattern_inside_another() {
        for (wide, narrow, expected) in [
            ("/data", "/data/x", true),
            ("/data/x", "/data", false),
            ("/data", "/data/*", true),
            ("/data/*", "/data", false),
            ("/data/*", "/data/x", true),
            ("/data/*", "/data/*", true),
            ("/data/*", "/data/*.txt", true),
            ("/data/*.txt", "/data/*", false),
            ("/data/*/b", "/data/**/b", false),
            ("/data/**/b", "/data/**/b", true),
            ("/data/**/b", "/data/*/b", true),
            ("/data/**", "/data/**/b", true),
        ] {
            let [wide_pattern, narrow_pattern] = [wide, narrow].map(|text| PathPattern::parse(text).unwrap());
            assert_eq!(wide_pattern.covers(&narrow_pattern, Reach::Tree), expected, "{wide} {narrow}");
        }
    }

    #[test]
    fn relative_paths_start_from_the_base() {
        for (path, base, expected) in [
            ("x", "/work", "/work/x"),
            (".", "/work", "/work"),
            ("../x", "/work/a", "/work/x"),
            ("../../../x", "/work", "/x"),
            ("a/../../b", "/work", "/b"),
            ("/abs", "/work", "/abs"),
            ("*.txt", "/work/", "/work/*.txt"),
        ] {
            assert_eq!(PathPattern::parse(path).unwrap().absolute(base).unwrap().to_string(), expected, "{path}");
        }
        assert_eq!(
            PathPattern::parse("x").unwrap().absolute("work").unwrap_err(),
            r#"base directory "work": expected an absolute path"#
        );
    }

    #[test]
    fn refusals() {
        for (path, problem) in [
            ("", r#"found "", expected a path"#),
            ("/a\0b", r#"found "/a\0b", expected a path without a NUL byte"#),
            ("~/x", r#"found "~/x", expected a path without "~", which is not expanded here"#),
            ("/a/*/../b", r#"found "/a/*/../b", expected no ".." after a glob"#),
        ] {
            assert_eq!(PathPattern::parse(path).unwrap_err(), problem);
        }
    }
}
