//! Plays histories of crashes until so many states were explored, and says
//! what they went through. A failure ends with the seed that repeats it.
//!
//! ```text
//! cargo run -p log-wal --example crash -- --states 10000 --seed 0
//! ```

#[path = "../tests/lab/mod.rs"]
mod lab;

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use lab::{Tally, Writing, locked, play};

/// What was asked for.
struct Plan {
    states: u64,
    seed: u64,
}

impl Plan {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut plan = Self {
            states: 10_000,
            seed: 0,
        };
        while let Some(name) = arguments.next() {
            let number = arguments.next().and_then(|number| number.parse().ok());
            let field = match name.as_str() {
                "--states" => &mut plan.states,
                "--seed" => &mut plan.seed,
                _ => return Err(format!("unknown argument `{name}`")),
            };
            *field = number.ok_or(format!("`{name}` wants a number"))?;
        }
        Ok(plan)
    }
}

/// What all threads have done so far.
#[derive(Default)]
struct Progress {
    tally: Mutex<Tally>,
    broken: Mutex<Option<(u64, String)>>,
    histories: AtomicU64,
}

impl Progress {
    /// Plays histories, each from the next seed, until there were enough.
    fn explore(&self, plan: &Plan) {
        while locked(&self.tally).states < plan.states && locked(&self.broken).is_none() {
            // Relaxed: only that no number is taken twice.
            let nth = self.histories.fetch_add(1, Ordering::Relaxed);
            let seed = plan.seed.wrapping_add(nth);
            let writing = Writing::of(seed);
            match catch_unwind(AssertUnwindSafe(|| play(seed, writing))) {
                Ok(Ok(tally)) => *locked(&self.tally) += tally,
                Ok(Err(broken)) => self.fail(seed, broken),
                Err(_) => self.fail(seed, format!("seed {seed}: a panic, see above")),
            }
        }
    }

    /// Keeps the failure with the smallest seed.
    fn fail(&self, seed: u64, broken: String) {
        let mut first = locked(&self.broken);
        if first.as_ref().is_none_or(|(known, _)| seed < *known) {
            *first = Some((seed, broken));
        }
    }
}

fn main() -> ExitCode {
    let plan = match Plan::parse(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(problem) => {
            eprintln!("error: {problem}");
            return ExitCode::from(2);
        }
    };
    let start = Instant::now();
    let progress = Progress::default();
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| progress.explore(&plan));
        }
    });
    let tally = *locked(&progress.tally);
    print!("{tally}");
    println!(
        "{} histories from seed {} on {threads} threads in {:.1} s",
        progress.histories.load(Ordering::Relaxed),
        plan.seed,
        start.elapsed().as_secs_f64()
    );
    let broken = locked(&progress.broken).take();
    let Some((seed, broken)) = broken else {
        println!("every state opened; no acknowledged record was lost, and none invented");
        return ExitCode::SUCCESS;
    };
    println!("\nA promise was broken. {broken}");
    println!("repeat: cargo run -p log-wal --example crash -- --states 1 --seed {seed}");
    ExitCode::FAILURE
}
