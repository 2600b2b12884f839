//! A process that reads input after input: what must hold of each is watched from inside, what ends the process from
//! outside.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::FileExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use windlass::fuzzing::{Signs, TARGETS};

use crate::inputs::Inputs;
use crate::random::Random;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// No input may take longer, in time of the processor: other programs may use it, too. What was built without optimization
/// is ten times as slow.
fn slowest() -> Duration {
    let is_debug = std::env::current_exe()
        .is_ok_and(|program| program.components().any(|part| part.as_os_str() == "debug"));
    Duration::from_secs(if is_debug { 10 } else { 1 })
}
/// Nor may it wait for something.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// So much memory may reading take, and this many times the input.
const MEMORY_FOR_ALL: usize = 64 << 20;
const MEMORY_FOR_EACH: usize = 100;
/// What a process may have at all, so that one input does not take the machine with it.
const MEMORY_OF_PROCESS: u64 = 6 << 30;

/// What is to be done.
pub(crate) struct Work {
    pub(crate) target: String,
    pub(crate) seed: u64,
    pub(crate) inputs: usize,
    pub(crate) time: Duration,
    /// Where inputs are written that must be kept.
    pub(crate) directory: PathBuf,
}

/// What came of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) inputs: usize,
    pub(crate) seconds: f64,
    pub(crate) slowest: f64,
    pub(crate) most_memory: usize,
    /// The most memory of an input in hundredths of what it may take.
    pub(crate) share: usize,
    pub(crate) corpus: usize,
    pub(crate) seeds: usize,
    /// How many different ways inputs took, by what was said of them.
    pub(crate) ways: usize,
    /// What was wrong, once for each place, and the file of the input.
    pub(crate) failures: BTreeMap<String, PathBuf>,
}

/// The reader of this name.
pub(crate) fn reader(target: &str) -> fn(&[u8]) -> Signs {
    TARGETS.iter().find(|(name, _)| *name == target).expect("there is such a reader").1
}

/// Processor time of the whole process: some readers use a thread of their own.
fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

thread_local!(static PANIC: RefCell<Option<String>> = const { RefCell::new(None) });

/// Where and why the last panic was, instead of a message on the screen.
fn note_panics() {
    panic::set_hook(Box::new(|about| {
        let place =
            about.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
        let payload = about.payload();
        let owned = payload.downcast_ref::<String>().map(String::as_str);
        let said = owned.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or_default();
        let said: String = said.chars().take(200).collect();
        PANIC.with(|noted| *noted.borrow_mut() = Some(format!("panic at {place}: {said}")));
    }));
}

/// What one input did.
pub(crate) struct Reading {
    pub(crate) time: Duration,
    pub(crate) memory: usize,
    /// What must not be.
    pub(crate) wrong: Option<String>,
    ways: Signs,
}

/// Reads an input and measures it.
pub(crate) fn read(reader: fn(&[u8]) -> Signs, input: &[u8]) -> Reading {
    MEMORY.reset_peak_usage();
    let (before, start) = (MEMORY.current_usage(), processor_time());
    let read = panic::catch_unwind(AssertUnwindSafe(|| reader(input)));
    let time = processor_time().saturating_sub(start);
    let memory = MEMORY.peak_usage().saturating_sub(before);
    let wrong = if read.is_err() {
        // Of a thread of the reader's own, the message is not known here.
        Some(PANIC.with(|noted| noted.borrow_mut().take()).unwrap_or_else(|| "panic in a thread".to_owned()))
    } else if time > slowest() {
        Some("slow".to_owned())
    } else if memory > allowed(input) {
        Some("memory".to_owned())
    } else {
        None
    };
    Reading { time, memory, wrong, ways: read.unwrap_or_default() }
}

pub(crate) fn allowed(input: &[u8]) -> usize {
    MEMORY_FOR_ALL + MEMORY_FOR_EACH * input.len()
}

/// Reads inputs until it is enough, and prints the figures as JSON.
pub(crate) fn run(work: &Work) -> Figures {
    let limit = Some(MEMORY_OF_PROCESS);
    setrlimit(Resource::As, Rlimit { current: limit, maximum: limit })
        .expect("less memory is always allowed");
    note_panics();
    let reader = reader(&work.target);
    // What is made once and for all is no part of any input.
    reader(b"");
    let current = File::create(work.directory.join("current")).expect("the directory can be written");
    std::thread::spawn(watch);
    let (mut inputs, mut random) = (Inputs::of(&work.target), Random::new(work.seed));
    let (mut figures, mut ways, start) = (Figures::default(), HashSet::new(), Instant::now());
    while figures.inputs < work.inputs && start.elapsed() < work.time {
        let input = inputs.make(figures.inputs, &mut random);
        remember(&current, &input);
        begin();
        let reading = read(reader, &input);
        BEGUN.store(0, Ordering::SeqCst);
        note(&mut figures, &reading, &input, work);
        if is_new(&reading.ways, &mut ways) {
            inputs.keep(&input);
        }
        figures.inputs += 1;
    }
    figures.seconds = start.elapsed().as_secs_f64();
    (figures.corpus, figures.seeds) = inputs.len();
    figures.ways = ways.len();
    figures
}

/// The input that is being read is in a file: whoever finds this process dead knows of what it died.
fn remember(file: &File, input: &[u8]) {
    let written = file.write_all_at(input, 0).and_then(|()| file.set_len(input.len() as u64));
    written.expect("the directory can be written");
}

fn note(figures: &mut Figures, reading: &Reading, input: &[u8], work: &Work) {
    let keep = |name: &str| {
        let file = work.directory.join(name);
        std::fs::write(&file, input).expect("the directory can be written");
        file
    };
    let seconds = reading.time.as_secs_f64();
    if seconds > figures.slowest {
        figures.slowest = seconds;
        if seconds > 0.1 {
            keep(&format!("slowest-{}", work.target));
        }
    }
    let share = reading.memory * 100 / allowed(input);
    if share > figures.share {
        figures.share = share;
        if share > 20 {
            keep(&format!("largest-{}", work.target));
        }
    }
    figures.most_memory = figures.most_memory.max(reading.memory);
    if let Some(wrong) = &reading.wrong
        && !figures.failures.contains_key(wrong)
    {
        let file = keep(&format!("failure-{}-{:08x}", work.target, hash(wrong)));
        figures.failures.insert(wrong.clone(), file);
    }
}

pub(crate) fn hash(value: impl Hash) -> u32 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    u32::try_from(hasher.finish() >> 32).unwrap_or(0)
}

/// Whether an input took a way that none took before: what was said of it, without the names and numbers in it.
fn is_new(signs: &[String], known: &mut HashSet<u32>) -> bool {
    let mut is_new = false;
    for sign in signs {
        let mut plain = String::with_capacity(sign.len());
        for (index, piece) in sign.split('`').enumerate().take(40) {
            if index % 2 == 0 {
                plain.extend(piece.chars().filter(|letter| !letter.is_ascii_digit()));
            }
        }
        is_new |= known.insert(hash(&plain));
    }
    // How often each was said tells ways apart, too, as long as that is not often.
    known.insert(hash((signs.len().min(6), signs.first().map(hash)))) || is_new
}

/// When the input was begun that is being read, in microseconds of the processor and of the clock on the wall; 0 between two.
static BEGUN: AtomicU64 = AtomicU64::new(0);
static BEGUN_WALL: AtomicU64 = AtomicU64::new(0);

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn wall() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    micros(Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0)))
}

fn begin() {
    BEGUN_WALL.store(wall(), Ordering::SeqCst);
    BEGUN.store(micros(processor_time()).max(1), Ordering::SeqCst);
}

/// The exit code of a process that ends itself because an input does not come to its end.
pub(crate) const HANGS: i32 = 97;

/// Ends the process where an input takes ten times what it may: what takes less is told when it is done.
#[expect(clippy::exit, reason = "nothing else ends a loop that has no end")]
fn watch() {
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let begun = BEGUN.load(Ordering::SeqCst);
        if begun == 0 {
            continue;
        }
        let busy = micros(processor_time()).saturating_sub(begun) > micros(10 * slowest());
        let waits = wall().saturating_sub(BEGUN_WALL.load(Ordering::SeqCst)) > micros(LONGEST_WAIT);
        if busy || waits {
            std::process::exit(HANGS);
        }
    }
}

/// Reads one input from a file, again.
pub(crate) fn replay(target: &str, file: &Path) -> Reading {
    let input = std::fs::read(file).expect("the file can be read");
    let reader = reader(target);
    reader(b"");
    let reading = read(reader, &input);
    for way in reading.ways.iter().take(20) {
        print(&way.chars().take(300).collect::<String>());
    }
    reading
}

#[expect(clippy::print_stdout, reason = "it is for people")]
pub(crate) fn print(line: &str) {
    println!("{line}");
}
