//! When `ingest` says that a record is safe, and what it does when it cannot
//! go on.

use crate::support::*;

#[test]
fn every_batch_is_acknowledged_once_and_the_rest_at_the_end() {
    let scratch = Scratch::new();
    let file = scratch.file("input", b"0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    let log = scratch.path("log");
    for (run, level) in ["published", "written", "durable"].into_iter().enumerate() {
        let mut command = strata(["ingest", "--batch", "4", "--report-acks", "--ack", level]);
        let output = run_on(command.arg(&file).arg("--log").arg(&log));
        let base = 10 * run;
        let expected = format!("{}\n{}\n{}\n", base + 4, base + 8, base + 10);
        assert_eq!(text(&output.stdout), expected, "INV-F1: {level}");
        assert_says(&text(&output.stderr), &["records       10\n", level]);
    }
}

fn run_on(command: &mut std::process::Command) -> std::process::Output {
    let output = run(command, b"");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    output
}

#[test]
fn what_has_come_is_acknowledged_when_the_input_pauses() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let mut writer = Writer::start(&log, ["--ack", "durable", "--batch", "1000000"]);
    for end in 1..=3 {
        writer.feed(b"a line\n");
        writer.wait_for_ack(end);
    }
    writer.finish();
}

#[test]
fn an_acknowledged_record_is_there_for_everybody() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let mut writer = Writer::start(&log, ["--ack", "written"]);
    for end in 1..=20 {
        writer.feed(format!("line {end}\n").as_bytes());
        writer.wait_for_ack(end);
        assert_eq!(
            lines(&cat(&log)).len() as u64,
            end,
            "INV-F1: written is what others see"
        );
    }
    writer.finish();
}

#[test]
fn records_are_stored_also_when_nobody_listens_to_acknowledgements() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let bytes = b"line\n".repeat(10_000);
    let mut writer = Writer::start(&log, ["--batch", "1"]);
    let mut stdin = writer.stdin.take().unwrap();
    drop(writer.acks);
    std::io::Write::write_all(&mut stdin, &bytes).unwrap();
    drop(stdin);
    assert_eq!(writer.child.wait().unwrap().code(), Some(0));
    assert!(cat(&log) == bytes);
}

#[test]
fn a_line_over_the_limit_is_refused_by_its_number_and_what_came_before_stays() {
    let scratch = Scratch::new();
    let before = [b"one\n".repeat(5), vec![b'x'; 99], b"\n".to_vec()].concat();
    for (name, too_long) in [
        ("ended", [vec![b'y'; 100], b"\nbehind\n".to_vec()].concat()),
        ("endless", vec![b'y'; 1 << 20]),
    ] {
        let input = scratch.file(name, &[before.as_slice(), &too_long].concat());
        let log = scratch.path(&format!("log-{name}"));
        let mut command = strata(["ingest", "--record-bytes-max", "100", "--report-acks"]);
        let output = run(command.arg(&input).arg("--log").arg(&log), b"");
        let said = refusal_of(&command, &output);
        assert_says(
            &said,
            &[
                input.to_str().unwrap(),
                "line 7",
                "100 bytes",
                "stored before it: 6 lines",
            ],
        );
        assert_eq!(output.stdout, b"6\n", "what came before is acknowledged");
        assert!(
            cat(&log) == before,
            "a line of 100 bytes is not too long: {name}"
        );
    }
}

#[test]
fn an_input_that_cannot_be_read_is_named_and_makes_no_log() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    for input in [scratch.path("missing"), scratch.path(".")] {
        let mut command = strata(["ingest"]);
        let said = refusal(command.arg(&input).arg("--log").arg(&log));
        assert_says(&said, &[input.to_str().unwrap(), "name a readable file"]);
        assert!(!log.exists(), "nothing was made");
    }
}
