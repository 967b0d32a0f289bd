//! `cargo xtask readme`: the README's quick start, kept true by running it.
//!
//! The commands are the `sh` blocks under the heading that says "quick start".
//! The one that starts with `cargo test` is the test command, the others are
//! the main job. They write to `demo-log` and nowhere else; that folder is
//! removed before and after.

use crate::command::Line;
use crate::markdown::{Part, parts};
use crate::test::{Counted, run_counted};
use crate::{Outcome, workspace};

/// The folder that the README's commands fill.
const DEMO_LOG: &str = "demo-log";

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => {
            let quick_start = QuickStart::read()?;
            quick_start
                .commands
                .iter()
                .for_each(|command| println!("{command}"));
            Ok(())
        }
        ["main-job"] => QuickStart::read()?.run_main_job(),
        ["test"] => {
            println!("{}", QuickStart::read()?.run_tests()?);
            Ok(())
        }
        other => Err(format!(
            "takes `main-job` or `test`, got `{}`",
            other.join(" ")
        )),
    }
}

/// What the README tells a newcomer to type.
#[derive(Debug)]
pub(crate) struct QuickStart {
    commands: Vec<String>,
}

impl QuickStart {
    pub(crate) fn read() -> Outcome<Self> {
        let quick_start = Self::parse(&workspace::read(&workspace::root().join("README.md"))?);
        quick_start.map_err(|problem| format!("README.md: {problem}"))
    }

    fn parse(document: &str) -> Outcome<Self> {
        let commands = commands(document)?;
        if !commands.iter().any(|command| is_test(command)) {
            return Err("the quick start has no `cargo test` command".to_owned());
        }
        if commands.iter().all(|command| is_test(command)) {
            return Err("the quick start does not run the main job".to_owned());
        }
        for command in &commands {
            let words: Vec<_> = command.split_whitespace().collect();
            let logs = words.windows(2).filter(|pair| pair[0] == "--log");
            if let Some(log) = logs.map(|pair| pair[1]).find(|log| *log != DEMO_LOG) {
                return Err(format!(
                    "`{command}` writes to `{log}`, not to `{DEMO_LOG}`"
                ));
            }
        }
        Ok(Self { commands })
    }

    /// Runs everything but the tests, in order, on a fresh demo log.
    pub(crate) fn run_main_job(&self) -> Outcome {
        let demo_log = workspace::root().join(DEMO_LOG);
        workspace::remove_dir(&demo_log)?;
        let mut main_job = self.commands.iter().filter(|command| !is_test(command));
        let outcome = main_job.try_for_each(|command| Line::shell(command).run());
        workspace::remove_dir(&demo_log)?;
        outcome
    }

    /// Runs the test command, and counts what it tested.
    pub(crate) fn run_tests(&self) -> Outcome<Counted> {
        let mut counted = Counted::default();
        for command in self.commands.iter().filter(|command| is_test(command)) {
            counted += run_counted(&Line::shell(command))?;
        }
        counted.some()?;
        Ok(counted)
    }
}

fn is_test(command: &str) -> bool {
    command.starts_with("cargo test")
}

/// The lines of the `sh` blocks under the quick start heading.
fn commands(document: &str) -> Outcome<Vec<String>> {
    let mut commands = Vec::new();
    let mut quick_start = None;
    for part in parts(document) {
        match part {
            Part::Heading { level, text, .. } => {
                let is_ours = text
                    .to_lowercase()
                    .replace('-', " ")
                    .contains("quick start");
                if quick_start.is_some_and(|ours| level <= ours) {
                    break;
                }
                if quick_start.is_none() && is_ours {
                    quick_start = Some(level);
                }
            }
            Part::Fenced {
                language: "sh",
                body,
            } if quick_start.is_some() => {
                commands.extend(shell_lines(&body));
            }
            _ => {}
        }
    }
    quick_start.ok_or("no heading says \"quick start\"")?;
    Ok(commands)
}

/// Commands without comments, prompts and line breaks.
fn shell_lines(body: &[&str]) -> Vec<String> {
    let joined = body.join("\n").replace("\\\n", " ");
    let lines = joined.lines().map(str::trim);
    let commands = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    commands
        .map(|line| line.strip_prefix("$ ").unwrap_or(line).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = "\
# Strata
```sh
not this
```
## Quick start
```sh
# ingest a file
$ cargo run --release --bin strata -- \\
    ingest README.md --log demo-log
```
```rust
fn main() {}
```
### and test
```sh
cargo test --workspace
```
## Later
```sh
nor this
```
";

    #[test]
    fn the_commands_are_those_under_the_quick_start_heading() {
        let quick_start = QuickStart::parse(README).unwrap();
        let [ingest, test] = quick_start.commands.as_slice() else {
            panic!("two commands");
        };
        assert!(ingest.starts_with("cargo run --release --bin strata -- "));
        assert!(ingest.ends_with(" ingest README.md --log demo-log"));
        assert_eq!(test, "cargo test --workspace");
    }

    #[test]
    fn a_readme_that_ci_could_not_run_is_refused() {
        for (from, to, problem) in [
            ("Quick start", "Start", "no heading"),
            ("cargo test", "cargo check", "no `cargo test`"),
            ("demo-log", "/home/me/log", "writes to `/home/me/log`"),
            ("$ cargo run", "# cargo run", "main job"),
        ] {
            let readme = README.replace(from, to).replace("    ingest", " ingest");
            let readme = if from.starts_with('$') {
                readme.replace("\\\n", "")
            } else {
                readme
            };
            let refusal = QuickStart::parse(&readme).unwrap_err();
            assert!(refusal.contains(problem), "{refusal}");
        }
    }
}
