//! Hostile inputs for everything that reads what comes from outside: changes of a corpus, by structure where there is one.
//!
//! No input may make a reader panic, keep it busy for more than a second, or cost it more than 64 MiB and a hundred times its
//! own size. `cargo test --test fuzz` is a sample of a second for each reader; `make fuzz` is a minute for each, built so
//! that a million inputs are read in minutes, and shows which lines they reached.
//!
//! ```text
//! fuzz [READER…] [--seconds N] [--inputs N] [--seed N]
//! fuzz --replay READER FILE
//! ```

mod corpus;
mod coverage;
mod inputs;
mod random;
mod text;
mod tree;
mod words;
mod worker;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use windlass::fuzzing::TARGETS;
use worker::{Figures, Work, print};

/// What a sample takes for each reader, where nothing is said.
const SAMPLE: Duration = Duration::from_millis(1200);
/// So often may the process of a reader die before it is given up.
const MOST_DEATHS: u64 = 10;

/// What the command line says.
#[derive(Debug, Clone)]
struct Arguments {
    readers: Vec<String>,
    time: Option<Duration>,
    inputs: Option<usize>,
    seed: Option<u64>,
    replay: bool,
    worker: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = arguments();
    if let Some(directory) = &arguments.worker {
        return work(&arguments, directory);
    }
    if arguments.replay {
        return replay(&arguments.readers);
    }
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // A sample is the same each time: what passes today must not fail tomorrow for no reason.
    let is_sample = arguments.time.is_none() && arguments.inputs.is_none();
    let seed = arguments.seed.unwrap_or(if is_sample { 1 } else { seconds });
    print(&format!("seed {seed}"));
    let chosen = |name: &&str| {
        arguments.readers.is_empty() || arguments.readers.iter().any(|reader| name.contains(reader.as_str()))
    };
    let mut failed = false;
    for name in TARGETS.iter().map(|(name, _)| *name).filter(chosen) {
        let missing = coverage::missing(name);
        if !missing.is_empty() {
            print(&format!(
                "{name}: tests/fuzz/coverage.rs names files that are not there: {}",
                missing.join(", ")
            ));
        }
        let figures = run(name, seed, &arguments);
        failed |= !figures.failures.is_empty() || !missing.is_empty();
        report(name, &figures);
    }
    ExitCode::from(u8::from(failed))
}

/// Other test programs are started with the same words, so that unknown ones are no mistake.
fn arguments() -> Arguments {
    let mut parsed =
        Arguments { readers: Vec::new(), time: None, inputs: None, seed: None, replay: false, worker: None };
    let mut words = std::env::args().skip(1);
    let number = |word: Option<String>| word.and_then(|word| word.parse::<u64>().ok());
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => parsed.time = number(words.next()).map(Duration::from_secs),
            "--inputs" => {
                parsed.inputs = number(words.next()).and_then(|number| usize::try_from(number).ok());
            }
            "--seed" => parsed.seed = number(words.next()),
            "--replay" => parsed.replay = true,
            "--worker" => parsed.worker = words.next().map(PathBuf::from),
            "--test-threads" | "--skip" | "--format" | "--color" => drop(words.next()),
            word if word.starts_with('-') => {}
            _ => parsed.readers.push(word),
        }
    }
    parsed
}

/// Where inputs are kept: beside the program, which is below `target`.
fn directory() -> PathBuf {
    let program = std::env::current_exe().expect("the program has a path");
    let directory = program.parent().and_then(Path::parent).expect("it lies in deps").join("fuzz");
    std::fs::create_dir_all(&directory).expect("the directory can be written");
    directory
}

/// Lets processes read inputs until it is enough: one that dies is followed by another.
fn run(target: &str, seed: u64, arguments: &Arguments) -> Figures {
    let directory = directory();
    forget_profiles(target, &directory);
    let time = match (arguments.time, arguments.inputs) {
        (Some(time), _) => time,
        (None, Some(_)) => Duration::MAX,
        (None, None) => SAMPLE,
    };
    let (start, mut all) = (Instant::now(), Figures::default());
    for death in 0..MOST_DEATHS {
        let left = time.saturating_sub(start.elapsed());
        let inputs = arguments.inputs.unwrap_or(usize::MAX).saturating_sub(all.inputs);
        match one(target, seed + death, left, inputs, &directory) {
            Ok(figures) => {
                add(&mut all, figures);
                break;
            }
            Err(why) => {
                let file = directory.join(format!("failure-{target}-{:08x}", worker::hash((&why, death))));
                let _ = std::fs::copy(directory.join(format!("{target}/current")), &file);
                all.failures.insert(format!("{why} (process {death})"), file);
            }
        }
    }
    all
}

fn add(all: &mut Figures, figures: Figures) {
    let failures = std::mem::take(&mut all.failures);
    *all = figures;
    all.failures.extend(failures);
}

/// What a process came to, or of what it died.
fn one(target: &str, seed: u64, time: Duration, inputs: usize, directory: &Path) -> Result<Figures, String> {
    // A reader that may start programs finds none, and is where there is nothing.
    let own = directory.join(target);
    std::fs::create_dir_all(&own).map_err(|error| error.to_string())?;
    let output = Command::new(std::env::current_exe().map_err(|error| error.to_string())?)
        .args([target, "--worker"])
        .arg(&own)
        .args(["--seed", &seed.to_string(), "--inputs", &inputs.to_string()])
        .args(["--seconds", &time.as_secs_f64().ceil().min(1e9).to_string()])
        .env_clear()
        .env("LLVM_PROFILE_FILE", directory.join(format!("{target}-%p.profraw")))
        .current_dir(&own)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.code() == Some(worker::HANGS) {
        return Err("hangs".to_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|_| format!("died: {}", output.status))
}

fn forget_profiles(target: &str, directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&format!("{target}-")) && name.ends_with(".profraw") {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn work(arguments: &Arguments, directory: &Path) -> ExitCode {
    let figures = worker::run(&Work {
        target: arguments.readers.first().cloned().unwrap_or_default(),
        seed: arguments.seed.unwrap_or_default(),
        inputs: arguments.inputs.unwrap_or(usize::MAX),
        time: arguments.time.unwrap_or(SAMPLE),
        directory: directory.to_path_buf(),
    });
    print(&serde_json::to_string(&figures).expect("figures are plain JSON"));
    ExitCode::SUCCESS
}

fn report(name: &str, figures: &Figures) {
    print(&format!(
        "{name:<17} {:>8} inputs {:>6.1} s  slowest {:>5.0} ms  memory {:>5.1} MiB ({:>2} % of the limit)  corpus {} of {} seeds, {} ways  coverage {}",
        figures.inputs,
        figures.seconds,
        figures.slowest * 1000.0,
        mib(figures.most_memory),
        figures.share,
        figures.corpus,
        figures.seeds,
        figures.ways,
        coverage::of(name, &directory()).unwrap_or_else(|| "not measured".to_owned()),
    ));
    for (what, file) in &figures.failures {
        print(&format!("  FAILED {what}"));
        let program = std::env::current_exe().unwrap_or_default();
        print(&format!("    again: {} --replay {name} {}", program.display(), file.display()));
    }
}

fn mib(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) / 1024.0
}

fn replay(words: &[String]) -> ExitCode {
    let [target, file] = words else {
        print("--replay READER FILE");
        return ExitCode::from(2);
    };
    let file = Path::new(file).canonicalize().expect("there is such a file");
    std::env::set_current_dir(directory()).expect("it was made");
    let reading = worker::replay(target, &file);
    print(&format!("{:.3} s, {:.1} MiB", reading.time.as_secs_f64(), mib(reading.memory)));
    match reading.wrong {
        None => ExitCode::SUCCESS,
        Some(wrong) => {
            print(&wrong);
            ExitCode::FAILURE
        }
    }
}
