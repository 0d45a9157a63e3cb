//! Which rules can be about a question at all, found without looking at the others.
//!
//! Each rule is filed under one key that every question which it matches has among its own: the part of its path
//! before the first wildcard, its host, its block, its name. What is found is a superset in the order of all rules;
//! whether a rule matches is for the rule to say, so that two keys with the same hash cost time and nothing else.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use crate::address::{Cidr, fold};
use crate::flow::Contact;
use crate::names::EnvName;
use crate::net::Host;
use crate::path::PathPattern;
use crate::query::Subject;
use crate::rule::{Program, Rule, Target};
use crate::stack::{PolicyStack, SourceKind};

/// The index of a stack, made when it is first asked and dropped when the stack changes. It is no part of what the
/// stack says.
#[derive(Clone, Default)]
pub(crate) struct Lazy(OnceLock<Arc<Index>>);

pub(crate) struct Index {
    /// Source and place in it of each rule, in the order of [`PolicyStack::all_rules`].
    rules: Vec<(SourceKind, usize)>,
    /// What every question has to look at.
    always: Vec<u32>,
    by_key: HashMap<u64, Vec<u32>>,
    /// Lengths of the prefixes that blocks have, IPv4 and IPv6.
    lengths: [Vec<u8>; 2],
    hasher: RandomState,
}

/// What is filed under a key.
#[derive(Clone, Copy, Hash)]
enum Shelf {
    Fs,
    Ffi,
    Program,
    Command,
    AnyHost,
    Name,
    Below,
    Block,
    Env,
    EnvPrefix,
    Sys,
}

impl PolicyStack {
    /// The rules that can be about the subject, highest source first, then as written.
    pub(crate) fn candidates(&self, subject: &Subject) -> impl Iterator<Item = (SourceKind, &Rule)> {
        let index = self.index.0.get_or_init(|| Arc::new(Index::of(self)));
        let mut found = index.always.clone();
        index.collect(subject, &mut found);
        found.sort_unstable();
        found.dedup();
        let index = index.clone();
        found.into_iter().filter_map(move |number| {
            let (source, place) = *index.rules.get(number as usize)?;
            Some((source, self.rule(source, place)?))
        })
    }
}

impl Index {
    fn of(stack: &PolicyStack) -> Self {
        let mut index = Self {
            rules: stack.places().collect(),
            always: Vec::new(),
            by_key: HashMap::new(),
            lengths: [Vec::new(), Vec::new()],
            hasher: RandomState::new(),
        };
        for (number, (_, rule)) in (0..).zip(stack.all_rules()) {
            match index.key_of(&rule.target) {
                Some(key) => index.by_key.entry(key).or_default().push(number),
                None => index.always.push(number),
            }
            if let Target::Net { host: Host::Cidr(block), .. } = &rule.target {
                let lengths = &mut index.lengths[usize::from(block.network().is_ipv6())];
                if !lengths.contains(&block.bits()) {
                    lengths.push(block.bits());
                }
            }
        }
        index
    }

    /// None: it has to be looked at always.
    fn key_of(&self, target: &Target) -> Option<u64> {
        match target {
            Target::Everything => None,
            Target::Fs { path, .. } => self.of_path(Shelf::Fs, path),
            Target::Ffi(path) => self.of_path(Shelf::Ffi, path),
            Target::Exec { program: Program::Path(path), .. } => self.of_path(Shelf::Program, path),
            Target::Exec { program: Program::Command(name), .. } => Some(self.key(Shelf::Command, name.as_str())),
            Target::Net { host: Host::Any, .. } => Some(self.key(Shelf::AnyHost, ())),
            Target::Net { host: Host::Name(name), .. } => Some(self.key(Shelf::Name, name.as_str())),
            Target::Net { host: Host::Below(name), .. } => Some(self.key(Shelf::Below, name.as_str())),
            Target::Net { host: Host::Cidr(block), .. } => Some(self.key(Shelf::Block, block)),
            Target::Env(EnvName::Exact(name)) => Some(self.key(Shelf::Env, name.as_str())),
            Target::Env(EnvName::Prefix(prefix)) => Some(self.key(Shelf::EnvPrefix, prefix.as_str())),
            Target::Sys(_) => Some(self.key(Shelf::Sys, ())),
        }
    }

    /// Adds the numbers of all rules whose key the subject has among its own.
    fn collect(&self, subject: &Subject, found: &mut Vec<u32>) {
        let mut take = |key: u64| found.extend(self.by_key.get(&key).into_iter().flatten());
        match subject {
            Subject::Fs { path, .. } => self.prefixes(Shelf::Fs, path).for_each(take),
            Subject::Ffi(path) => self.prefixes(Shelf::Ffi, path).for_each(take),
            Subject::Run(Program::Path(path)) => {
                self.prefixes(Shelf::Program, path).for_each(&mut take);
                take(self.key(Shelf::Command, path.file_name().unwrap_or_default()));
            }
            Subject::Run(Program::Command(name)) => {
                // Of paths the root alone is about a command.
                self.prefixes(Shelf::Program, &PathPattern::root()).for_each(&mut take);
                take(self.key(Shelf::Command, name.as_str()));
            }
            Subject::Net(contact) => self.of_contact(contact, take),
            Subject::Env(EnvName::Exact(name) | EnvName::Prefix(name)) => {
                take(self.key(Shelf::Env, name.as_str()));
                let ends = name.char_indices().map(|(end, _)| end).chain([name.len()]);
                ends.for_each(|end| take(self.key(Shelf::EnvPrefix, &name[..end])));
            }
            Subject::Sys(_) => take(self.key(Shelf::Sys, ())),
        }
    }

    fn of_contact(&self, contact: &Contact, mut take: impl FnMut(u64)) {
        take(self.key(Shelf::AnyHost, ()));
        // Of addresses rules may speak by this name.
        take(self.key(Shelf::Name, "localhost"));
        if let Some(name) = &contact.name {
            take(self.key(Shelf::Name, name.as_str()));
            name.parents().for_each(|parent| take(self.key(Shelf::Below, parent)));
        }
        if let Some(address) = contact.address {
            let folded = fold(address);
            let mut blocks_of = |address: IpAddr| {
                let lengths = &self.lengths[usize::from(address.is_ipv6())];
                lengths.iter().for_each(|bits| take(self.key(Shelf::Block, Cidr::new(address, *bits))));
            };
            blocks_of(folded);
            if folded != address {
                blocks_of(address);
            }
        }
    }

    fn key(&self, shelf: Shelf, rest: impl Hash) -> u64 {
        self.hasher.hash_one((shelf, rest))
    }

    /// A relative path is never about an absolute one; what it is about is for the rule to say.
    fn of_path(&self, shelf: Shelf, path: &PathPattern) -> Option<u64> {
        path.is_absolute().then(|| self.prefixes(shelf, path).last())?
    }

    /// The keys of the root and of every place on the way to the path's first wildcard.
    fn prefixes(&self, shelf: Shelf, path: &PathPattern) -> impl Iterator<Item = u64> {
        let mut hasher = self.hasher.build_hasher();
        shelf.hash(&mut hasher);
        let root = hasher.finish();
        let below = path.literals().map(move |name| {
            name.hash(&mut hasher);
            hasher.finish()
        });
        std::iter::once(root).chain(below)
    }
}

impl Lazy {
    /// To be called whenever the rules change.
    pub(crate) fn reset(&mut self) {
        self.0 = OnceLock::new();
    }
}

impl PartialEq for Lazy {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Lazy {}

impl fmt::Debug for Lazy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Index")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flags::Permissions;
    use crate::schema::PermissionKind;
    use crate::{Proto, Query};

    /// Items of each kind, which overlap in many ways.
    fn items(kind: PermissionKind) -> &'static [&'static str] {
        match kind {
            PermissionKind::Net => &[
                "a.com",
                "*.a.com:443",
                "*.com",
                "b.a.com",
                "10.0.0.0/8",
                "10.1.0.0/16:80",
                "0.0.0.0/0",
                "::/0",
                "[::1]",
                "64:ff9b::/96",
                "localhost",
                ":443",
                "*",
                "127.0.0.1",
            ],
            PermissionKind::Run => &["/a/b", "/a", "/", "b", "/a/*", "/**/b", "./x"],
            PermissionKind::Env => &["A", "A*", "*", "AB", "ÄB*"],
            PermissionKind::Sys => &["uid", "hostname", "os"],
            _ => &["/a/b", "/a", "/", "/ab", "a", "/a/*", "/**/b", "/a/**/c", "/?/b"],
        }
    }

    fn questions() -> Vec<Query> {
        let mut questions = Vec::new();
        for path in ["/", "/a", "/a/b", "/a/b/c", "/b", "/ab", "/x/y/b/z", "/work/a/b"] {
            questions.extend([Query::read(path), Query::write(path), Query::run(path), Query::ffi(path)]);
        }
        questions.extend([Query::run("b"), Query::run("c"), Query::sys("uid"), Query::sys("osRelease")]);
        questions.extend(["A", "AB", "ABC", "B", "ÄBC", "Ä"].map(Query::env));
        for host in ["a.com", "b.a.com", "x.com", "localhost", "10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "::1"]
        {
            questions.extend([None, Some(443), Some(80)].map(|port| Query::net(host, port, Proto::Tcp)));
        }
        questions.into_iter().flatten().collect()
    }

    /// Whether a rule matches, as the decision finds it.
    fn is_about(rule: &Rule, subject: &Subject) -> bool {
        match subject {
            Subject::Net(contact) => contact.is_about(rule),
            subject => rule.matches(subject),
        }
    }

    proptest! {
        #[test]
        fn no_rule_that_matches_is_missed(
            picks in prop::collection::vec((0..7_usize, any::<bool>(), any::<bool>(), 0..14_usize), 0..40), all in any::<bool>()
        ) {
            let mut sources = [Permissions { allow_all: all, ..Permissions::default() }, Permissions::default()];
            for (kind, denied, high, item) in picks {
                let kind = PermissionKind::ALL[kind];
                let grants = sources[usize::from(high)].grants_mut(kind);
                let selection = if denied { &mut grants.deny } else { &mut grants.allow };
                selection.add(Some(items(kind)[item % items(kind).len()]));
            }
            let mut stack = PolicyStack::deny_all();
            stack.push_variables(&sources[0], "/work").expect("known items");
            stack.push_flags(&sources[1], "/work").expect("known items");
            for query in questions() {
                let plain: Vec<_> = stack.all_rules().filter(|(_, rule)| is_about(rule, &query.subject)).collect();
                let indexed: Vec<_> =
                    stack.candidates(&query.subject).filter(|(_, rule)| is_about(rule, &query.subject)).collect();
                prop_assert_eq!(indexed, plain, "{:?}", query);
            }
        }
    }

    #[test]
    fn a_changed_stack_is_asked_anew() {
        let mut flags = Permissions::default();
        flags.read.allow.add(Some("/a"));
        let question = Query::read("/a/x").expect("a path");
        let mut stack = PolicyStack::deny_all();
        assert!(!stack.decide(&question).allowed);
        stack.push_flags(&flags, "/").expect("a path");
        assert!(stack.decide(&question).allowed);
        let moved = stack.clone().with_real_paths(|path| (path == "/a").then(|| "/b".to_owned()));
        assert!(!moved.decide(&question).allowed && stack.decide(&question).allowed);
        assert!(moved.decide(&Query::read("/b/x").expect("a path")).allowed);
    }
}
