//! Which process holds a lease, so that another process of the same machine can see that it is dead without waiting for
//! the lease to run out. Nobody else can tell: a pid means something only in its pid namespace, and only until the next boot.

use std::fmt;
use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// A process, and where its number means something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    /// The kernel's boot id, which no other boot and no other machine has.
    boot: String,
    /// The pid namespace, `pid:[4026531836]`. A number is given again only when its namespace, with all its processes, is gone.
    pids: String,
    /// The time namespace: start times are told in its time. `-` on kernels without them.
    time: String,
    pid: u32,
    /// When it was started, in clock ticks since the boot: another process of the same number has another one.
    started: u64,
}

/// What the kernel says of a process.
struct Stat {
    state: char,
    started: u64,
}

impl Process {
    /// This process; `None` where `/proc` does not tell, or is that of another pid namespace.
    pub(super) fn own() -> Option<Self> {
        let pid = std::process::id();
        // A container may see the `/proc` of its host.
        if fs::read_link("/proc/self").ok()?.to_str() != Some(pid.to_string().as_str()) {
            return None;
        }
        let namespace = |name: &str| {
            fs::read_link(format!("/proc/self/ns/{name}")).ok()?.into_os_string().into_string().ok()
        };
        Some(Self {
            boot: fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned(),
            pids: namespace("pid")?,
            time: namespace("time").unwrap_or_else(|| "-".to_owned()),
            pid,
            started: stat(pid)?.started,
        })
    }

    /// What [`fmt::Display`] wrote; `None` for anything else.
    pub(super) fn read(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let [boot, pids, time, pid, started] = words[..] else { return None };
        Some(Self {
            boot: boot.to_owned(),
            pids: pids.to_owned(),
            time: time.to_owned(),
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
        })
    }

    /// Whether it has certainly ended. `false` wherever that cannot be known from here.
    pub(super) fn has_ended(&self) -> bool {
        Self::own().is_some_and(|own| self.has_ended_seen_by(&own))
    }

    fn has_ended_seen_by(&self, own: &Self) -> bool {
        if (&self.boot, &self.pids, &self.time) != (&own.boot, &own.pids, &own.time) {
            return false;
        }
        match stat(self.pid) {
            // A zombie has ended: only its parent has not asked yet how.
            Some(stat) => stat.started != self.started || matches!(stat.state, 'Z' | 'X' | 'x'),
            // `/proc` may hide the processes of others (hidepid); a signal does not.
            None => is_nobody(self.pid),
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { boot, pids, time, pid, started } = self;
        write!(f, "{boot} {pids} {time} {pid} {started}")
    }
}

fn stat(pid: u32) -> Option<Stat> {
    read_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `42 (a name) S 1 …`: the name may itself have spaces and parentheses; state is field 3, start time field 22.
fn read_stat(text: &str) -> Option<Stat> {
    let (_, fields) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    Some(Stat { state: fields.first()?.chars().next()?, started: fields.get(19)?.parse().ok()? })
}

fn is_nobody(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn sleeping() -> Child {
        Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().expect("it can be started")
    }

    fn process(pid: u32) -> Process {
        let started = stat(pid).expect("it runs").started;
        Process { pid, started, ..Process::own().expect("this is Linux") }
    }

    #[test]
    fn what_is_written_is_read() {
        let own = Process::own().expect("this is Linux");
        assert_eq!(Process::read(&own.to_string()), Some(own));
        for text in ["", "a b c", "a b c d e", "a b c 1 -1", "a b c 1 2 3"] {
            assert_eq!(Process::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_process_that_was_killed_has_ended_also_before_its_parent_asks() {
        let mut child = sleeping();
        let process = process(child.id());
        assert!(!process.has_ended());
        child.kill().expect("it can be killed");
        let zombie = || stat(child.id()).is_some_and(|stat| stat.state == 'Z');
        while !zombie() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(process.has_ended(), "a zombie");
        child.wait().expect("it can be waited for");
        assert!(process.has_ended(), "it is gone");
    }

    #[test]
    fn another_process_of_the_same_number_is_not_the_holder() {
        let own = Process::own().expect("this is Linux");
        assert!(!own.has_ended());
        assert!(Process { started: own.started + 1, ..own }.has_ended());
    }

    #[test]
    fn elsewhere_nothing_is_known() {
        let mut child = sleeping();
        let gone = process(child.id());
        child.kill().and_then(|()| child.wait()).expect("it ends");
        assert!(gone.has_ended());
        let other = |text: &str| text.to_owned();
        assert!(
            !Process { boot: other("b"), ..gone.clone() }.has_ended(),
            "another machine, or another boot"
        );
        assert!(!Process { pids: other("pid:[1]"), ..gone.clone() }.has_ended(), "another container");
        assert!(!Process { time: other("time:[1]"), ..gone }.has_ended(), "start times differ");
    }

    #[test]
    fn a_process_of_somebody_else_is_not_taken_for_dead() {
        assert!(!is_nobody(1), "whoever we are");
        assert!(!is_nobody(0));
    }

    #[test]
    fn names_with_parentheses_do_not_confuse() {
        let fields: Vec<String> = (4..=30).map(|field| field.to_string()).collect();
        let stat = read_stat(&format!("42 (a) R (b) S {}", fields.join(" "))).expect("it is well-formed");
        assert_eq!((stat.state, stat.started), ('S', 22));
        assert!(read_stat("42 (a) S 1").is_none());
    }
}
