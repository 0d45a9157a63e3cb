//! What a worker is told about the system: each answer field by field, the real ones where a policy allows them.
//!
//! Answered are the system calls. What a processor tells by itself (`cpuid`, the clocks, one of which counts from the
//! host's start) no filter can change.

use buntime_policy::{Action, PolicyStack, Query};
use buntime_sandbox::sys::{self, SystemInfo};

use super::calls::told_of_system;

/// What every sandbox says of its kernel. A release that programs know how to deal with, and nobody's.
const RELEASE: &str = "6.1.0";
const VERSION: &str = "#1 SMP";
/// Of the memory: a gigabyte, half of it free.
const MEMORY: u64 = 1 << 30;
/// Length of each field of `struct utsname`, its end included.
const FIELD: usize = 65;

/// What a policy allows to be seen.
#[derive(Clone, Debug)]
pub struct System {
    release: bool,
    uptime: bool,
    load: bool,
    memory: bool,
    processors: bool,
    hostname: String,
}

/// What a call returns, and what it leaves in its caller's memory at the address of one of its arguments.
pub struct Answer {
    pub value: i64,
    pub bytes: Vec<u8>,
    pub argument: usize,
}

impl System {
    /// `None` where all may be seen: then all calls are the kernel's to answer.
    pub fn by(stack: &PolicyStack, hostname: &str) -> Option<Self> {
        let allowed = |name| Query::sys(name).is_ok_and(|query| stack.decide(&query).allowed);
        let system = Self {
            release: allowed("osRelease"),
            uptime: allowed("osUptime"),
            load: allowed("loadavg"),
            memory: allowed("systemMemoryInfo"),
            processors: allowed("cpus"),
            hostname: hostname.to_owned(),
        };
        Some(system).filter(|system| !system.calls().is_empty())
    }

    /// Whether a rule, and not the default alone, denies something that only a listener can hide.
    pub fn is_denied_by_rule(stack: &PolicyStack) -> bool {
        Self::MADE_UP.iter().filter_map(|name| Query::sys(name).ok()).any(|query| {
            let decision = stack.decide(&query);
            !decision.allowed && decision.rule.is_some()
        })
    }

    /// The calls that show what `warn` rules are about.
    pub fn warned_calls(stack: &PolicyStack) -> Vec<&'static str> {
        let is_warned = |name: &&str| Query::sys(name).is_ok_and(|query| stack.decide(&query).action == Action::Warn);
        let calls = ["uname", "sysinfo", "sched_getaffinity"];
        calls.into_iter().filter(|call| told_of_system(call).iter().any(is_warned)).collect()
    }

    /// What only a listener can hide, by the names of `sys` rules.
    pub const MADE_UP: [&'static str; 6] = ["os", "osRelease", "osUptime", "loadavg", "systemMemoryInfo", "cpus"];

    /// The calls that are not the kernel's to answer.
    pub fn calls(&self) -> Vec<&'static str> {
        let calls = [
            ("uname", !self.release),
            ("sysinfo", !(self.uptime && self.load && self.memory)),
            ("sched_getaffinity", !self.processors),
        ];
        calls.into_iter().filter_map(|(name, answered)| answered.then_some(name)).collect()
    }

    /// The answer to such a call, or with which errno it fails; `None` to any other.
    pub fn answer(&self, call: &str, arguments: &[u64; 6]) -> Option<Result<Answer, i32>> {
        if !self.calls().contains(&call) {
            return None;
        }
        Some(match call {
            "uname" => Ok(Answer { value: 0, bytes: self.uname(), argument: 0 }),
            "sysinfo" => sys::system_info()
                .map(|real| Answer { value: 0, bytes: self.sysinfo(real).to_bytes(), argument: 0 })
                .map_err(|error| error.errno),
            _ => one_processor(arguments[1]),
        })
    }

    fn uname(&self) -> Vec<u8> {
        let fields = ["Linux", &self.hostname, RELEASE, VERSION, std::env::consts::ARCH, "(none)"];
        let mut bytes = vec![0; fields.len() * FIELD];
        for (place, field) in bytes.chunks_exact_mut(FIELD).zip(fields) {
            let length = field.len().min(FIELD - 1);
            place[..length].copy_from_slice(&field.as_bytes()[..length]);
        }
        bytes
    }

    fn sysinfo(&self, real: SystemInfo) -> SystemInfo {
        let told = SystemInfo::default();
        let (total, free) = (MEMORY, MEMORY / 2);
        let memory = if self.memory {
            real
        } else {
            SystemInfo { total_memory: total, free_memory: free, memory_unit: 1, ..told }
        };
        SystemInfo {
            uptime: if self.uptime { real.uptime } else { told.uptime },
            loads: if self.load { real.loads } else { told.loads },
            processes: if self.load { real.processes } else { 1 },
            ..memory
        }
    }
}

/// sched_getaffinity(2): a set with the first processor in it. As the kernel's, in whole words.
fn one_processor(length: u64) -> Result<Answer, i32> {
    const WORD: usize = size_of::<u64>();
    // The kernel reads the length as 32 bits.
    let length = length as u32 as usize;
    if length < WORD || !length.is_multiple_of(WORD) {
        return Err(libc::EINVAL);
    }
    Ok(Answer { value: WORD as i64, bytes: 1_u64.to_ne_bytes().to_vec(), argument: 2 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use buntime_policy::Permissions;

    fn stack(allow: Option<Option<&str>>) -> PolicyStack {
        let mut flags = Permissions::default();
        allow.into_iter().for_each(|names| flags.sys.allow.add(names));
        let mut stack = PolicyStack::deny_all();
        stack.push_flags(&flags, "/").unwrap();
        stack
    }

    fn system(allow: Option<&str>) -> System {
        System::by(&stack(Some(allow)), "sandbox").unwrap()
    }

    #[test]
    fn rules_that_deny_are_told_from_the_default() {
        assert!(!System::is_denied_by_rule(&stack(None)));
        assert!(!System::is_denied_by_rule(&stack(Some(Some("hostname")))));
        let denying = |names: Option<&str>| {
            let mut flags = Permissions::default();
            flags.sys.deny.add(names);
            let mut stack = PolicyStack::deny_all();
            stack.push_flags(&flags, "/").unwrap();
            System::is_denied_by_rule(&stack)
        };
        assert!(denying(None) && denying(Some("cpus")) && denying(Some("os")));
        assert!(!denying(Some("hostname")), "the host's name is hidden without a listener");
    }

    #[test]
    fn what_is_allowed_is_the_kernels_to_answer() {
        let by = |allow| System::by(&stack(allow), "sandbox");
        assert!(by(Some(None)).is_none(), "all may be seen");
        let nobody = System::by(&PolicyStack::deny_all(), "sandbox").unwrap();
        assert_eq!(nobody.calls(), ["uname", "sysinfo", "sched_getaffinity"], "nobody said anything");
        assert_eq!(system(Some("hostname")).calls(), ["uname", "sysinfo", "sched_getaffinity"]);
        assert_eq!(system(Some("os,cpus")).calls(), ["sysinfo"]);
        assert_eq!(system(Some("os,loadavg,systemMemoryInfo")).calls(), ["sched_getaffinity"]);
        assert!(system(Some("os")).answer("uname", &[0; 6]).is_none());
        assert!(system(Some("cpus")).answer("getpid", &[0; 6]).is_none());
    }

    #[test]
    fn the_kernel_is_nobodys() {
        let answer = system(Some("hostname")).answer("uname", &[7, 0, 0, 0, 0, 0]).unwrap().unwrap();
        assert_eq!((answer.value, answer.bytes.len(), answer.argument), (0, 6 * FIELD, 0));
        let text: Vec<_> = answer.bytes.split(|byte| *byte == 0).filter(|field| !field.is_empty()).collect();
        assert_eq!(text[..4], [&b"Linux"[..], b"sandbox", RELEASE.as_bytes(), VERSION.as_bytes()]);
    }

    #[test]
    fn memory_load_and_uptime_are_told_apart() {
        let real = SystemInfo {
            uptime: 1000,
            loads: [1, 2, 3],
            total_memory: 1 << 40,
            free_memory: 1 << 39,
            total_swap: 1 << 38,
            processes: 500,
            memory_unit: 1,
            ..SystemInfo::default()
        };
        let told = system(Some("hostname")).sysinfo(real);
        assert_eq!((told.uptime, told.loads, told.processes), (0, [0; 3], 1));
        assert_eq!((told.total_memory, told.free_memory, told.total_swap), (MEMORY, MEMORY / 2, 0));
        let told = system(Some("systemMemoryInfo")).sysinfo(real);
        assert_eq!((told.uptime, told.loads, told.total_memory, told.total_swap), (0, [0; 3], 1 << 40, 1 << 38));
        let told = system(Some("osUptime,loadavg")).sysinfo(real);
        assert_eq!((told.uptime, told.loads, told.total_memory), (1000, [1, 2, 3], MEMORY));
    }

    #[test]
    fn there_is_one_processor() {
        let ask = |length| system(Some("os")).answer("sched_getaffinity", &[0, length, 9, 0, 0, 0]).unwrap();
        let answer = ask(128).unwrap();
        assert_eq!((answer.value, answer.bytes, answer.argument), (8, vec![1, 0, 0, 0, 0, 0, 0, 0], 2));
        assert!([0, 4, 12].into_iter().all(|length| ask(length).is_err_and(|errno| errno == libc::EINVAL)));
    }
}
