//! `cargo xtask bench`: the criterion benchmarks of every layer.

use crate::Outcome;
use crate::command::Line;

pub(crate) fn run(arguments: &[String]) -> Outcome {
    line(arguments)?.run()
}

fn line(arguments: &[String]) -> Outcome<Line> {
    let mut line = Line::cargo("bench -p log-benches");
    let mut filter = None;
    for argument in arguments {
        match argument.as_str() {
            "--peers" => line = line.arguments(["--features", "peers"]),
            option if option.starts_with('-') => return Err(format!("no option `{option}`")),
            text if filter.is_none() => filter = Some(text),
            text => return Err(format!("one filter at most, got `{text}` too")),
        }
    }
    Ok(match filter {
        Some(filter) => line.argument("--").argument(filter),
        None => line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(arguments: &[&str]) -> Outcome<String> {
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        line(&arguments).map(|line| line.to_string())
    }

    #[test]
    fn peers_are_compiled_only_when_asked_for() {
        assert_eq!(shown(&[]).unwrap(), "cargo bench -p log-benches");
        assert_eq!(
            shown(&["wal_append", "--peers"]).unwrap(),
            "cargo bench -p log-benches --features peers -- wal_append"
        );
        assert!(shown(&["--peer"]).is_err());
        assert!(shown(&["one", "two"]).is_err());
    }
}
