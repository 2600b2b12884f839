//! Real programs: their output, their end, and what they leave running.

use std::fs;

use super::*;

fn sh(script: &str) -> Program {
    Program::new("sh").arguments(["-c", script])
}

async fn output(script: &str) -> Result<Vec<u8>, ProgramError> {
    sh(script).environment([("GREETING", "hello")]).output().await
}

/// The id of the process that a script writes into a file.
fn pid_in(file: &Path) -> Pid {
    let text = fs::read_to_string(file).expect("it was written");
    Pid::from_raw(text.trim().parse().expect("a number")).expect("it is not 0")
}

/// Whether a process is there that has not ended; a zombie has.
fn lives(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

async fn until_gone(pid: Pid) {
    let gone = async {
        while lives(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), gone).await.expect("it ends");
}

#[tokio::test]
async fn what_is_printed_comes_back_and_a_failure_says_why() {
    assert_eq!(output("printf $GREETING; echo aside >&2").await.expect("it ends well"), b"hello");
    let fault = output("echo one; echo no key >&2; exit 3").await.expect_err("it fails");
    assert_eq!(fault.sentence("sops"), "`sops` failed (exit status: 3): no key");
    let missing = Program::new("no-such-program").output().await.expect_err("it is missing");
    assert_eq!(missing.sentence("helm"), "`helm` is not installed");
    assert!(matches!(Program::of(&[]), Err(ProgramError::Missing)));
    let broken =
        Program::new("sh").arguments(["a\0b"]).output().await.expect_err("no program can be given this");
    assert!(matches!(broken, ProgramError::Unstartable(_)), "{broken:?}");
}

#[tokio::test]
async fn a_program_that_writes_much_is_read_as_far_as_there_is_room() {
    let printed = output("yes | head -c 1000000; yes | head -c 1000000 >&2").await.expect("it ends well");
    assert_eq!(printed.len(), 1_000_000);
    let fault = sh("yes").most(100_000).output().await.expect_err("it never ends");
    assert_eq!(fault.sentence("helm"), "`helm` printed more than 97 KiB");
    let fault = output("seq 100000 >&2; exit 1").await.expect_err("it fails");
    assert!(fault.sentence("x").ends_with("99995; 99996; 99997; 99998; 99999; 100000"), "{fault:?}");
}

#[tokio::test]
async fn input_is_given_and_one_that_does_not_read_it_is_no_failure() {
    let printed = sh("cat").input("registry.test").output().await.expect("it ends well");
    assert_eq!(printed, b"registry.test");
    let printed = sh("exec <&-; echo ok").input(vec![b'x'; 1 << 20]).output().await.expect("it ends well");
    assert_eq!(printed, b"ok\n");
}

#[tokio::test]
async fn a_grandchild_that_keeps_the_pipe_open_is_not_waited_for() {
    let began = Instant::now();
    let output = sh("sleep 600 & echo $!").run().await.expect("the program itself has ended");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let pid: i32 = String::from_utf8_lossy(&output.printed).trim().parse().expect("a number");
    let pid = Pid::from_raw(pid).expect("it is not 0");
    assert!(lives(pid), "what a program leaves running by purpose goes on");
    kill_process(pid, Signal::KILL).expect("it is ours");
}

#[tokio::test]
async fn at_the_end_of_its_time_the_whole_group_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("pid");
    let script = format!("trap '' TERM; sleep 600 & echo $! > {}; wait; sleep 600", file.display());
    let fault = sh(&script).limit(Duration::from_secs(1)).output().await.expect_err("it takes too long");
    assert_eq!(fault.sentence("helm"), "`helm` did not finish within 1 s");
    until_gone(pid_in(&file)).await;
}

#[tokio::test]
async fn when_nobody_waits_any_more_the_whole_group_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, done) = (directory.path().join("pid"), directory.path().join("done"));
    let script = format!(
        "trap 'touch {}; exit 1' TERM; sleep 600 & echo $! > {}; wait",
        done.display(),
        file.display()
    );
    let running = tokio::spawn(sh(&script).output());
    while fs::read_to_string(&file).unwrap_or_default().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.abort();
    until_gone(pid_in(&file)).await;
    let tidies = async {
        while !done.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), tidies).await.expect("it may tidy up first");
}

#[test]
fn a_runtime_that_ends_ends_its_programs() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("pid");
    let program = sh(&format!("echo $$ > {}; exec sleep 600", file.display()));
    let conversation = runtime.block_on(async { program.converse().expect("it starts") });
    while fs::read_to_string(&file).unwrap_or_default().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    runtime.spawn(async move {
        let _conversation = conversation;
        std::future::pending::<()>().await;
    });
    drop(runtime);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(until_gone(pid_in(&file)));
}
