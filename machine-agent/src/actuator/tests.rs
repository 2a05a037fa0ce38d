//! Claims about the hands.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

fn pulse(pulse_ms: u32) -> Pulse {
    Pulse {
        slot: "A1".to_owned(),
        line: 17,
        pulse_ms,
        sequence: 4,
        incarnation: 2,
    }
}

fn levels(path: &Path) -> Vec<u8> {
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<TraceLine>(line).unwrap().level)
        .collect()
}

fn fake(physics: Physics, wait_ms: Option<u64>, pulse_ms: u32) -> (PulseEnd, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let wait = wait_ms.map(Duration::from_millis);
    let fake = FakeActuator::open(&trace, physics, wait).unwrap();
    let end = Actuator::Fake(fake).pulse(&pulse(pulse_ms));
    (end, levels(&trace))
}

#[test]
fn the_drop_sensor_decides_where_there_is_one() {
    let cases = [
        (Physics::Normal, None, Outcome::Dispensed),
        (Physics::Jam, None, Outcome::Dispensed),
        (Physics::Normal, Some(20), Outcome::Dispensed),
        (Physics::Jam, Some(20), Outcome::Failed),
        (Physics::LateDrop(5), Some(20), Outcome::Dispensed),
        (Physics::LateDrop(50), Some(20), Outcome::Failed),
    ];
    for (physics, wait, outcome) in cases {
        let (end, levels) = fake(physics, wait, 3);
        assert_eq!(end.outcome, outcome, "{physics:?} {wait:?}");
        assert_eq!(end.pulses, 1);
        assert_eq!(levels, [1, 0]);
    }
}

#[test]
fn a_pulse_beyond_the_limit_never_touches_the_line() {
    let (end, levels) = fake(Physics::Normal, None, PULSE_MS_MAX + 1);
    assert_eq!((end.outcome, end.pulses), (Outcome::Failed, 0));
    assert!(levels.is_empty());
}

#[test]
fn a_sensor_that_never_rests_fails_the_self_test() {
    let folder = tempfile::tempdir().unwrap();
    let wait = Some(Duration::from_millis(1));
    let path = folder.path().join("trace");
    let fake = FakeActuator::open(&path, Physics::StuckSensor, wait).unwrap();
    assert!(Actuator::Fake(fake).self_test().is_err());
}

#[test]
fn a_panic_in_mid_pulse_puts_the_line_low() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let path = trace.clone();
    let panicked = std::thread::spawn(move || {
        let fake = FakeActuator::open(&path, Physics::Normal, None).unwrap();
        let mut actuator = Actuator::Fake(fake);
        if let Actuator::Fake(fake) = &mut actuator {
            fake.raise_for_test(&pulse(10));
        }
        panic!("as if in the middle of a pulse");
    })
    .join();
    assert!(panicked.is_err());
    assert_eq!(levels(&trace), [1, 0]);
}

fn script(body: &str, timeout_ms: u64) -> PulseEnd {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vend.sh");
    // Written under another name by another process, or the file may still be
    // open for writing in a child that a neighbouring test has just forked.
    let made = std::process::Command::new("/bin/sh")
        .args([
            "-c",
            "printf '%s' \"$1\" > \"$2\" && chmod 700 \"$2\"",
            "sh",
        ])
        .arg(format!("#!/bin/sh\n{body}\n"))
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    let mut actuator = Actuator::Script(ScriptActuator::new(
        &path,
        Duration::from_millis(timeout_ms),
    ));
    actuator.self_test().unwrap();
    actuator.pulse(&pulse(3))
}

#[test]
fn a_program_answers_by_its_exit_code() {
    let arguments = "[ \"$1 $2 $3\" = 'pulse 3 A1' ] && [ -z \"$HOME\" ]";
    assert_eq!(script(arguments, 5_000).outcome, Outcome::Dispensed);
    assert_eq!(script("exit 1", 5_000).outcome, Outcome::Failed);
    assert_eq!(script("exit 7", 5_000).outcome, Outcome::Unknown);
    assert_eq!(script("kill -9 $$", 5_000).outcome, Outcome::Unknown);
    assert_eq!(script("while :; do :; done", 20).outcome, Outcome::Unknown);
}

#[test]
fn a_program_that_is_not_there_or_not_executable_makes_the_machine_not_ready() {
    let missing = Path::new("/nowhere/vend.sh");
    let timeout = Duration::from_millis(1);
    let mut actuator = Actuator::Script(ScriptActuator::new(missing, timeout));
    assert!(actuator.self_test().is_err());
    let end = actuator.pulse(&pulse(1));
    assert_eq!((end.outcome, end.pulses), (Outcome::Failed, 0));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(
        Actuator::Script(ScriptActuator::new(&path, timeout))
            .self_test()
            .is_err()
    );
}

#[test]
fn a_chip_that_is_missing_is_named() {
    let chip = Path::new("/dev/gpiochip-none");
    let opened = GpioActuator::open(chip, [1].into_iter(), None);
    let error = opened.err().unwrap().to_string();
    assert!(error.contains("/dev/gpiochip-none line 1"), "{error}");
}
