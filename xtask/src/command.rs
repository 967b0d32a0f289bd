//! A command line that is printed before it runs.
//!
//! Everything runs in the workspace root, so that a printed line can be pasted
//! into a shell there and does the same.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus, Stdio};

use crate::{Outcome, workspace};

/// A program, its arguments and what it finds in its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    environment: Vec<(String, String)>,
    program: String,
    arguments: Vec<String>,
}

impl Line {
    /// Runs `program`.
    pub(crate) fn new(program: &str) -> Self {
        Self {
            environment: Vec::new(),
            program: program.to_owned(),
            arguments: Vec::new(),
        }
    }

    /// Runs cargo with arguments that hold no blanks themselves.
    pub(crate) fn cargo(arguments: &str) -> Self {
        Self::new("cargo").arguments(arguments.split_whitespace())
    }

    /// Runs a line as a person would type it, by the shell.
    pub(crate) fn shell(line: &str) -> Self {
        Self::new("sh").arguments(["-e", "-c", line])
    }

    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(crate) fn arguments<I>(mut self, arguments: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Prints the line and runs it; its output goes where ours goes.
    pub(crate) fn run(&self) -> Outcome {
        self.print();
        let status = self.command().status().map_err(|e| self.unstartable(&e))?;
        self.judge(status)
    }

    /// Prints the line, runs it, and hands each line of its standard output to
    /// `each` after printing it too.
    pub(crate) fn run_watched(&self, mut each: impl FnMut(&str)) -> Outcome {
        self.print();
        let mut child = self
            .command()
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| self.unstartable(&e))?;
        if let Some(stdout) = child.stdout.take() {
            for bytes in BufReader::new(stdout).split(b'\n') {
                let bytes = bytes.map_err(|e| format!("`{self}`: reading its output: {e}"))?;
                let line = String::from_utf8_lossy(&bytes);
                println!("{line}");
                each(&line);
            }
        }
        let status = child.wait().map_err(|e| format!("`{self}`: {e}"))?;
        self.judge(status)
    }

    /// Runs without printing the line; returns its standard output.
    pub(crate) fn read(&self) -> Outcome<Vec<u8>> {
        let output = self
            .command()
            .stderr(Stdio::inherit())
            .output()
            .map_err(|e| self.unstartable(&e))?;
        self.judge(output.status)?;
        Ok(output.stdout)
    }

    /// The command itself, for callers with plans of their own.
    pub(crate) fn command(&self) -> Command {
        // Under `cargo run` this is the very cargo that runs us.
        let own_cargo = std::env::var("CARGO").ok();
        let program = match own_cargo {
            Some(cargo) if self.program == "cargo" => cargo,
            _ => self.program.clone(),
        };
        let mut command = Command::new(program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .current_dir(workspace::root())
            .stdin(Stdio::null());
        command
    }

    /// Shows the line as one would type it.
    pub(crate) fn print(&self) {
        eprintln!("$ {self}");
    }

    fn judge(&self, status: ExitStatus) -> Outcome {
        if status.success() {
            Ok(())
        } else {
            Err(format!("`{self}` failed ({status})"))
        }
    }

    fn unstartable(&self, cause: &std::io::Error) -> String {
        format!("`{self}` did not start: {cause}")
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ("sh", [_, _, line]) = (self.program.as_str(), self.arguments.as_slice()) {
            return f.write_str(line);
        }
        for (name, value) in &self.environment {
            write!(f, "{name}={} ", quoted(value))?;
        }
        f.write_str(&quoted(&self.program))?;
        for argument in &self.arguments {
            write!(f, " {}", quoted(argument))?;
        }
        Ok(())
    }
}

/// `word` as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_prints_as_it_would_be_typed() {
        let line = Line::cargo("test -p log-core")
            .environment("RUSTFLAGS", "--cfg log_loom")
            .arguments(["--test", "loom_*"]);
        assert_eq!(
            line.to_string(),
            "RUSTFLAGS='--cfg log_loom' cargo test -p log-core --test 'loom_*'"
        );
        assert_eq!(Line::shell("echo a  'b'").to_string(), "echo a  'b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_failing_command_is_an_error_that_names_the_line() {
        let problem = Line::shell("exit 3").run().unwrap_err();
        assert!(problem.contains("`exit 3` failed"), "{problem}");
        let problem = Line::new("no-such-program-here").run().unwrap_err();
        assert!(problem.contains("did not start"), "{problem}");
    }

    #[test]
    fn every_line_of_the_output_is_handed_over() {
        let mut seen = Vec::new();
        let outcome =
            Line::shell("printf 'one\\ntwo'").run_watched(|line| seen.push(line.to_owned()));
        assert_eq!(
            (outcome, seen),
            (Ok(()), vec!["one".to_owned(), "two".to_owned()])
        );
    }
}
