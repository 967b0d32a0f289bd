//! How much memory a task takes, in a process of its own that does nothing else.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::contest::{Better, Column, Contest};
use crate::effort::Effort;

/// Tells the second process which task is its own, and where the log lies.
const TASK: &str = "STRATA_BENCH_MEMORY_TASK";
const DIRECTORY: &str = "STRATA_BENCH_MEMORY_DIRECTORY";

/// The most that the process ever had, pages of mapped files included; and what
/// it has in the end without them.
const COLUMNS: &[Column] = &[
    Column {
        name: "peak, MiB",
        digits: 1,
    },
    Column {
        name: "at the end without files, MiB",
        digits: 1,
    },
];

/// What a process is measured at, with its log in the directory. The first one
/// had better do nothing.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// Its name in the table.
    pub name: &'static str,
    /// Does it, and gives back what is still in use when memory is counted.
    pub run: fn(&Path) -> Box<dyn std::any::Any>,
}

/// Whether this is the second process, and was told one of these; then it has
/// done that.
///
/// # Panics
///
/// If the task fails.
#[must_use]
pub fn is_second_process(tasks: &[Task]) -> bool {
    let (Ok(name), Some(directory)) = (env::var(TASK), env::var_os(DIRECTORY)) else {
        return false;
    };
    let Some(task) = tasks.iter().find(|task| task.name == name) else {
        return false;
    };
    let in_use = (task.run)(Path::new(&directory));
    let status = fs::read_to_string("/proc/self/status").expect("Linux says");
    for field in ["VmHWM:", "RssAnon:"] {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = line.map(|line| line.trim_end_matches("kB").trim());
        println!("{}", kib.expect("Linux says"));
    }
    drop(in_use);
    true
}

/// Compares the tasks, each on the log in `directory`.
///
/// # Panics
///
/// If this program cannot be run again.
pub fn compare(effort: &Effort, title: &str, tasks: &[Task], directory: &Path) {
    if !effort.wants(title) {
        return;
    }
    let mut contest = Contest::new(title, Better::Lower, COLUMNS);
    for task in tasks {
        contest.add(task.name, move || {
            let own = env::current_exe().expect("this program has a path");
            let output = Command::new(own)
                .env(TASK, task.name)
                .env(DIRECTORY, directory)
                .output();
            let output = output.expect("it runs");
            let said = String::from_utf8_lossy(&output.stdout);
            let mib = said
                .lines()
                .map(|kib| kib.parse::<f64>().expect("KiB") / 1024.0);
            mib.collect()
        });
    }
    contest.hold(effort);
}
