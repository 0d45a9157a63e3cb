//! From the list of system calls with its reasons (`data/syscalls.list`) to a BPF program. The build script compiles
//! this file too, and so spares every launch the work.
//!
//! The program is a binary search tree over call numbers, since loading runs it once for every number, and each call
//! runs it once more. It is made by hand rather than by `seccompiler`, whose programs are linear, know one errno for
//! all rules and let no rule ask the supervisor. A simulator in the tests holds the program against the list.

use std::str::FromStr;

use syscalls::Sysno;

/// `struct sock_filter`, <linux/filter.h>.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What it does, <linux/bpf_common.h>.
    pub code: u16,
    /// Instructions to skip where a test holds.
    pub jump_true: u8,
    /// Instructions to skip where it does not.
    pub jump_false: u8,
    /// Operand.
    pub k: u32,
}

const LIST: &str = include_str!("../../data/syscalls.list");

#[cfg(target_arch = "x86_64")]
pub const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub const AUDIT_ARCH: u32 = 0xc000_00b7;
/// Calls of the x32 ABI come with the architecture of x86-64 and this bit in their number.
pub const X32_BIT: u32 = 0x4000_0000;

// <linux/seccomp.h>
pub const RET_KILL_PROCESS: u32 = 0x8000_0000;
pub const RET_USER_NOTIF: u32 = 0x7fc0_0000;
pub const RET_ALLOW: u32 = 0x7fff_0000;
pub const RET_ERRNO: u32 = 0x0005_0000;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allow,
    Errno(i32),
}

impl Verdict {
    pub fn action(self) -> u32 {
        match self {
            Self::Allow => RET_ALLOW,
            Self::Errno(errno) => RET_ERRNO | errno as u32,
        }
    }
}

/// A test of one argument's low 32 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(Vec<u32>),
    AnyBit(u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    argument: u8,
    test: Test,
}

#[cfg_attr(not(test), allow(dead_code, reason = "not for the build script"))]
impl Condition {
    fn holds(&self, arguments: &[u64; 6]) -> bool {
        let value = arguments[usize::from(self.argument)] as u32;
        match &self.test {
            Test::In(values) => values.contains(&value),
            Test::AnyBit(mask) => value & mask != 0,
        }
    }
}

/// `VERDICT if CONDITION and …`; holds always without conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Clause {
    verdict: Verdict,
    conditions: Vec<Condition>,
}

/// One call of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    number: u32,
    clauses: Vec<Clause>,
}

impl Entry {
    fn body(&self) -> Result<(u32, Vec<Instruction>), String> {
        let body = body(&self.clauses).map_err(|error| format!("system call {}: {error}", self.number))?;
        Ok((self.number, body))
    }
}

/// The calls that the list refuses whatever their arguments are; sorted.
#[cfg_attr(not(test), allow(dead_code, reason = "for the build script"))]
pub fn refused() -> Result<Vec<u32>, String> {
    let refused = |entry: &Entry| matches!(entry.clauses[..], [Clause { verdict: Verdict::Errno(_), .. }]);
    let mut numbers: Vec<u32> =
        parse_list(LIST)?.iter().filter(|entry| refused(entry)).map(|entry| entry.number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The calls that a launch may want its supervisor to be asked about without any other being watched: the exec gate's,
/// and those that tell of the host. The build compiles a filter for each set of them.
pub const ASKABLE: [Sysno; 4] = [Sysno::execve, Sysno::uname, Sysno::sysinfo, Sysno::sched_getaffinity];

/// Every set of those, by number; a set's place in the list has a bit for each call in it.
#[allow(dead_code, reason = "for the build script and the tests")]
pub fn askable_sets() -> impl Iterator<Item = Vec<u32>> {
    let calls = || ASKABLE.iter().enumerate();
    (0..1_usize << ASKABLE.len()).map(move |bits| {
        calls().filter(|(index, _)| bits & 1 << index != 0).map(|(_, call)| call.id() as u32).collect()
    })
}

/// The filter of the list, in which each of the calls `asked` has this one answer. An error is one in the list.
pub fn compile(asked: &[u32], answer: u32) -> Result<Vec<Instruction>, String> {
    compile_with_code(asked, false, answer)
}

/// The same; with `code` a file that is mapped as code has that answer, too, and so has memory that is made code later.
pub fn compile_with_code(asked: &[u32], code: bool, answer: u32) -> Result<Vec<Instruction>, String> {
    let maps_code = |number: u32| code && [Sysno::mmap, Sysno::mprotect].iter().any(|call| call.id() as u32 == number);
    let body = |entry: &Entry| {
        let (number, mut body) = entry.body()?;
        if maps_code(number) {
            body.splice(0..0, asks_about_code(number == Sysno::mmap.id() as u32, answer));
        }
        Ok::<_, String>((number, body))
    };
    let mut bodies = parse_list(LIST)?
        .iter()
        .filter(|entry| !asked.contains(&entry.number))
        .map(body)
        .collect::<Result<Vec<_>, _>>()?;
    bodies.extend(asked.iter().map(|number| (*number, vec![step(RETURN, answer, 0, 0)])));
    Ok(assemble(bodies))
}

/// In front of what the list says of mmap(2) or mprotect(2): asks where memory becomes code by it. Of mmap, only where
/// a file is mapped.
fn asks_about_code(maps: bool, answer: u32) -> Vec<Instruction> {
    let argument = |index: u32| ARGUMENTS + 8 * index;
    let mut test = vec![step(LOAD_WORD, argument(2), 0, 0)];
    if maps {
        test.extend([
            step(JUMP_SET, libc::PROT_EXEC as u32, 0, 3),
            step(LOAD_WORD, argument(3), 0, 0),
            step(JUMP_SET, libc::MAP_ANONYMOUS as u32, 1, 0),
        ]);
    } else {
        test.push(step(JUMP_SET, libc::PROT_EXEC as u32, 0, 1));
    }
    test.push(step(RETURN, answer, 0, 0));
    test
}

/// The list, to be asked about single calls.
#[cfg_attr(not(test), allow(dead_code, reason = "not for the build script"))]
pub struct List(Vec<Entry>);

#[cfg_attr(not(test), allow(dead_code, reason = "not for the build script"))]
impl List {
    /// That of the filters.
    pub fn built_in() -> Result<Self, String> {
        parse_list(LIST).map(Self)
    }

    /// With which errno the list refuses a call; `None` where it does not.
    pub fn refusal(&self, number: u32, arguments: &[u64; 6]) -> Option<i32> {
        let Some(entry) = self.0.iter().find(|entry| entry.number == number) else {
            return Some(libc::ENOSYS);
        };
        // The last clause holds always.
        let clause = entry.clauses.iter().find(|clause| clause.conditions.iter().all(|one| one.holds(arguments)))?;
        match clause.verdict {
            Verdict::Allow => None,
            Verdict::Errno(errno) => Some(errno),
        }
    }
}

fn parse_list(text: &str) -> Result<Vec<Entry>, String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .filter_map(|(index, line)| {
            parse_line(line).map_err(|error| format!("syscalls.list:{}: {error}: {line:?}", index + 1)).transpose()
        })
        .collect()
}

/// `None` for a call that this architecture does not have.
fn parse_line(line: &str) -> Result<Option<Entry>, String> {
    let (rule, reason) = line.split_once('|').ok_or("no reason")?;
    let (name, clauses) = rule.trim().split_once(char::is_whitespace).ok_or("no verdict")?;
    if reason.trim().is_empty() {
        return Err("no reason".into());
    }
    let clauses = clauses.split(';').map(|clause| parse_clause(clause.trim())).collect::<Result<Vec<_>, _>>()?;
    if !clauses.last().is_some_and(|last| last.conditions.is_empty()) {
        return Err("the last clause must hold always".into());
    }
    Ok(Sysno::from_str(name).ok().map(|call| Entry { number: call.id() as u32, clauses }))
}

fn parse_clause(text: &str) -> Result<Clause, String> {
    let (verdict, conditions) = text.split_once(" if ").unwrap_or((text, ""));
    let verdict = match verdict.trim() {
        "allow" => Verdict::Allow,
        "EPERM" => Verdict::Errno(libc::EPERM),
        "EINVAL" => Verdict::Errno(libc::EINVAL),
        "EAFNOSUPPORT" => Verdict::Errno(libc::EAFNOSUPPORT),
        "EOPNOTSUPP" => Verdict::Errno(libc::EOPNOTSUPP),
        other => return Err(format!("unknown verdict {other:?}")),
    };
    let conditions = conditions.split(" and ").map(str::trim).filter(|one| !one.is_empty());
    Ok(Clause { verdict, conditions: conditions.map(parse_condition).collect::<Result<_, _>>()? })
}

fn parse_condition(text: &str) -> Result<Condition, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [argument, operator, value] = words[..] else {
        return Err(format!("a condition has three words: {text:?}"));
    };
    let argument = argument.strip_prefix("arg").and_then(|number| number.parse().ok()).filter(|number| *number < 6);
    let argument = argument.ok_or_else(|| format!("no such argument: {text:?}"))?;
    let test = match operator {
        "==" => Test::In(vec![parse_number(value)?]),
        "in" => Test::In(value.split(',').map(parse_number).collect::<Result<_, _>>()?),
        "&" => Test::AnyBit(parse_number(value)?),
        other => return Err(format!("unknown operator {other:?}")),
    };
    Ok(Condition { argument, test })
}

fn parse_number(text: &str) -> Result<u32, String> {
    let parsed = if let Some(hex) = text.strip_prefix("0x") {
        u32::from_str_radix(hex, 16)
    } else if let Some(octal) = text.strip_prefix("0o") {
        u32::from_str_radix(octal, 8)
    } else {
        text.parse()
    };
    parsed.map_err(|_| format!("no number: {text:?}"))
}

// <linux/bpf_common.h>
pub const LOAD_WORD: u16 = 0x20;
const JUMP: u16 = 0x05;
pub const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER_EQUAL: u16 = 0x35;
const JUMP_SET: u16 = 0x45;
pub const RETURN: u16 = 0x06;
/// Offsets in `struct seccomp_data`.
pub const NUMBER: u32 = 0;
pub const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

pub fn step(code: u16, k: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction { code, jump_true, jump_false, k }
}

/// From the body of each call that has one.
fn assemble(mut bodies: Vec<(u32, Vec<Instruction>)>) -> Vec<Instruction> {
    bodies.sort_by_key(|(number, _)| *number);
    // Ranges that cover every number, each with one body; neighbours with the same body are one range.
    let unknown = vec![step(RETURN, Verdict::Errno(libc::ENOSYS).action(), 0, 0)];
    let mut ranges: Vec<(u32, Vec<Instruction>)> = vec![(0, unknown.clone())];
    let mut begin = |from: u32, body: Vec<Instruction>| match ranges.last_mut() {
        Some((start, last)) if *start == from => *last = body,
        Some((_, last)) if *last == body => {}
        _ => ranges.push((from, body)),
    };
    for (number, body) in bodies {
        begin(number, body);
        begin(number + 1, unknown.clone());
    }
    let mut program = vec![
        step(LOAD_WORD, ARCH, 0, 0),
        step(JUMP_EQUAL, AUDIT_ARCH, 1, 0),
        step(RETURN, RET_KILL_PROCESS, 0, 0),
        step(LOAD_WORD, NUMBER, 0, 0),
        step(JUMP_GREATER_EQUAL, X32_BIT, 0, 1),
        step(RETURN, Verdict::Errno(libc::ENOSYS).action(), 0, 0),
    ];
    program.extend(tree(&ranges));
    program
}

/// The binary search among `ranges` for the number in the accumulator.
fn tree(ranges: &[(u32, Vec<Instruction>)]) -> Vec<Instruction> {
    if let Some(block) = block(ranges) {
        return block;
    }
    let (left, right) = ranges.split_at(ranges.len() / 2);
    let (start, left, right) = (right[0].0, tree(left), tree(right));
    // Conditional jumps reach 255 instructions, plain ones any number.
    let mut program = vec![step(JUMP_GREATER_EQUAL, start, 0, 1), step(JUMP, left.len() as u32, 0, 0)];
    program.extend(left);
    program.extend(right);
    program
}

/// A search whose jumps are all short: first the tests, then each different body once. `None` when it is too long.
fn block(ranges: &[(u32, Vec<Instruction>)]) -> Option<Vec<Instruction>> {
    let mut bodies: Vec<&Vec<Instruction>> = Vec::new();
    let mut tests = Vec::new();
    lay_out(ranges, &mut tests, &mut bodies);
    let mut starts = Vec::new();
    let mut end = tests.len();
    for body in &bodies {
        starts.push(end);
        end += body.len();
    }
    let mut program = Vec::new();
    for (at, (start, yes, no)) in tests.iter().enumerate() {
        let distance = |target: &Target| {
            let to = match target {
                Target::Test(index) => *index,
                Target::Body(index) => starts[*index],
            };
            u8::try_from(to - at - 1).ok()
        };
        program.push(step(JUMP_GREATER_EQUAL, *start, distance(yes)?, distance(no)?));
    }
    program.extend(bodies.into_iter().flatten());
    Some(program)
}

#[derive(Clone, Copy)]
enum Target {
    Test(usize),
    Body(usize),
}

/// Appends the tests of a search, each with where it goes from it, and returns where the search begins.
fn lay_out<'a>(
    ranges: &'a [(u32, Vec<Instruction>)],
    tests: &mut Vec<(u32, Target, Target)>,
    bodies: &mut Vec<&'a Vec<Instruction>>,
) -> Target {
    if let [(_, body)] = ranges {
        let known = bodies.iter().position(|known| *known == body);
        return Target::Body(known.unwrap_or_else(|| {
            bodies.push(body);
            bodies.len() - 1
        }));
    }
    let (left, right) = ranges.split_at(ranges.len() / 2);
    let this = tests.len();
    tests.push((right[0].0, Target::Test(0), Target::Test(0)));
    let no = lay_out(left, tests, bodies);
    let yes = lay_out(right, tests, bodies);
    tests[this] = (right[0].0, yes, no);
    Target::Test(this)
}

/// A call's clauses, one after the other. Fails on one so long that a conditional jump, which reaches 255 instructions,
/// does not get past it.
fn body(clauses: &[Clause]) -> Result<Vec<Instruction>, String> {
    let near = |distance: usize| {
        u8::try_from(distance).map_err(|_| format!("a clause of {distance} instructions, expected at most {}", u8::MAX))
    };
    let mut program = Vec::new();
    for clause in clauses {
        // From the last condition to the first, so that each knows how far the next clause is.
        let mut code = vec![step(RETURN, clause.verdict.action(), 0, 0)];
        for condition in clause.conditions.iter().rev() {
            let past = near(code.len())?;
            let mut test = vec![step(LOAD_WORD, ARGUMENTS + 8 * u32::from(condition.argument), 0, 0)];
            match &condition.test {
                Test::AnyBit(mask) => test.push(step(JUMP_SET, *mask, 0, past)),
                Test::In(values) => {
                    for (index, value) in values.iter().enumerate() {
                        let left = near(values.len() - 1 - index)?;
                        test.push(step(JUMP_EQUAL, *value, left, if left == 0 { past } else { 0 }));
                    }
                }
            }
            test.extend(code);
            code = test;
        }
        program.extend(code);
    }
    Ok(program)
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs a program as the kernel does.
    pub fn run(program: &[Instruction], arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let Instruction { code, jump_true, jump_false, k } = program[at];
            at += 1;
            let holds = match code {
                RETURN => return k,
                JUMP => {
                    at += k as usize;
                    continue;
                }
                LOAD_WORD => {
                    accumulator = match k {
                        NUMBER => number,
                        ARCH => arch,
                        low => arguments[((low - ARGUMENTS) / 8) as usize] as u32,
                    };
                    continue;
                }
                JUMP_EQUAL => accumulator == k,
                JUMP_GREATER_EQUAL => accumulator >= k,
                JUMP_SET => accumulator & k != 0,
                other => panic!("no such instruction: {other:#x}"),
            };
            at += usize::from(if holds { jump_true } else { jump_false });
        }
    }

    /// What the list says of a call, read clause by clause.
    fn expected(list: &List, number: u32, arguments: [u64; 6]) -> u32 {
        list.refusal(number, &arguments).map_or(Verdict::Allow, Verdict::Errno).action()
    }

    fn program() -> Vec<Instruction> {
        compile(&[], RET_USER_NOTIF).unwrap()
    }

    #[test]
    fn every_number_does_what_the_list_says() {
        let (program, list) = (program(), List::built_in().unwrap());
        assert!(program.len() < 500, "{} instructions", program.len());
        for number in (0..1200).chain([X32_BIT - 1, X32_BIT, X32_BIT + 1, X32_BIT + 59, u32::MAX]) {
            assert_eq!(run(&program, AUDIT_ARCH, number, [0; 6]), expected(&list, number, [0; 6]), "{number}");
        }
    }

    #[test]
    fn calls_that_are_asked_about_have_one_answer_and_all_else_is_the_same() {
        let number = |name: &str| Sysno::from_str(name).unwrap().id() as u32;
        // Let through, refused by its arguments, refused, and not on the list.
        let asked = ["execve", "clone", "ptrace", "memfd_create"].map(number);
        let (plain, asking) = (program(), compile(&asked, RET_USER_NOTIF).unwrap());
        for number in 0..1200 {
            let verdict = run(&asking, AUDIT_ARCH, number, [0; 6]);
            let expected = run(&plain, AUDIT_ARCH, number, [0; 6]);
            assert_eq!(verdict, if asked.contains(&number) { RET_USER_NOTIF } else { expected }, "{number}");
        }
    }

    #[test]
    fn another_architecture_is_killed() {
        const I386: u32 = 0x4000_0003;
        assert_eq!(run(&program(), I386, 1, [0; 6]), RET_KILL_PROCESS);
    }

    #[test]
    fn arguments_are_compared_as_the_kernel_reads_them() {
        let high = 0xdead_beef_0000_0000_u64;
        let call =
            |name: &str, arguments| run(&program(), AUDIT_ARCH, Sysno::from_str(name).unwrap().id() as u32, arguments);
        let errno = |errno: i32| RET_ERRNO | errno as u32;
        for tiocsti in [0x5412, high | 0x5412] {
            assert_eq!(call("ioctl", [1, tiocsti, 0, 0, 0, 0]), errno(libc::EPERM));
        }
        assert_eq!(call("clone", [0x1000_0011, 0, 0, 0, 0, 0]), errno(libc::EPERM), "a new user namespace");
        assert_eq!(call("clone", [0x3d0f00, 0, 0, 0, 0, 0]), RET_ALLOW, "a thread");
        assert_eq!(call("socket", [2, 1, 262, 0, 0, 0]), errno(libc::EAFNOSUPPORT), "MPTCP");
        assert_eq!(call("socket", [high | 1, 1, 0, 0, 0, 0]), errno(libc::EAFNOSUPPORT), "AF_UNIX");
        assert_eq!(call("socket", [10, 0x80001, 6, 0, 0, 0]), RET_ALLOW);
        assert_eq!(call("openat", [0, 0, 0o101, 0o4755, 0, 0]), errno(libc::EPERM), "a set-user-ID file");
        assert_eq!(call("openat", [0, 0, 0, 0o4755, 0, 0]), RET_ALLOW, "no mode without O_CREAT");
        assert_eq!(call("prlimit64", [1, 0, 0, 0, 0, 0]), errno(libc::EPERM));
        assert_eq!(call("prlimit64", [0, high | 4, 0, 0, 0, 0]), errno(libc::EPERM), "RLIMIT_CORE");
        assert_eq!(call("socketpair", [1, 0x80801, 0, 0, 0, 0]), RET_ALLOW);
        assert_eq!(call("socketpair", [1, 2, 0, 0, 0, 0]), errno(libc::EPERM), "datagrams");
        assert_eq!(call("socketpair", [40, 1, 0, 0, 0, 0]), errno(libc::EPERM), "vsock");
        assert_eq!(call("setsockopt", [3, 6, 31, 0, 0, 0]), errno(libc::EPERM), "TCP_ULP");
        assert_eq!(call("setsockopt", [3, 6, 1, 0, 0, 0]), RET_ALLOW, "TCP_NODELAY");
        assert_eq!(call("execve", [0; 6]), RET_ALLOW, "the exec gate is the filter in front");
        assert_eq!(call("memfd_create", [0; 6]), errno(libc::ENOSYS));
        assert_eq!(call("clone3", [0; 6]), errno(libc::ENOSYS));
        assert_eq!(call("execveat", [0; 6]), errno(libc::ENOSYS));
        assert_eq!(call("openat2", [0; 6]), errno(libc::ENOSYS));
    }

    #[test]
    fn a_clause_that_no_jump_gets_past_is_an_error() {
        let values = |count: u32| (0..count).map(|value| value.to_string()).collect::<Vec<_>>().join(",");
        let compiled = |rule: String| {
            let list = parse_list(&format!("read {rule} ; EPERM | why")).unwrap();
            Ok::<_, String>(assemble(vec![list[0].body()?]))
        };
        let program = compiled(format!("allow if arg1 in {}", values(256))).unwrap();
        let read = libc::SYS_read as u32;
        for (value, verdict) in [(0, RET_ALLOW), (255, RET_ALLOW), (256, RET_ERRNO | libc::EPERM as u32)] {
            assert_eq!(run(&program, AUDIT_ARCH, read, [0, value, 0, 0, 0, 0]), verdict, "{value}");
        }
        let two = |count| format!("allow if arg0 & 1 and arg1 in {}", values(count));
        assert!(compiled(two(253)).is_ok());
        for too_long in [two(254), format!("allow if arg1 in {}", values(257))] {
            let error = compiled(too_long).unwrap_err();
            assert!(error.contains("system call") && error.contains("255"), "{error}");
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn every_name_of_the_list_is_a_call_and_stands_once() {
        let names: Vec<&str> = LIST
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        for (index, name) in names.iter().enumerate() {
            assert!(Sysno::from_str(name).is_ok(), "{name}");
            assert!(!names[..index].contains(name), "{name} stands twice");
        }
    }

    proptest! {
        #[test]
        fn the_program_and_the_list_agree(
            number in 0_u32..600,
            arguments in any::<[u64; 6]>(),
            small in any::<[u8; 6]>(),
        ) {
            let (program, list) = (program(), List::built_in().unwrap());
            for arguments in [arguments, small.map(u64::from)] {
                prop_assert_eq!(run(&program, AUDIT_ARCH, number, arguments), expected(&list, number, arguments));
            }
        }
    }
}
