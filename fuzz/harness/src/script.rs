//! Inputs as rows of steps.
//!
//! The steps stand one behind the other, each for itself, so that a fuzzer that
//! cuts, repeats or joins inputs gets rows of steps again. A byte that begins
//! no step is passed over.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longer rows take longer and find nothing that shorter ones would not.
const STEPS_MAX: usize = 300;

/// A kind of steps.
pub(crate) trait Script: Serialize + DeserializeOwned + Debug {
    /// Rows to begin with, by the name of what they show.
    fn named_seeds() -> Vec<(&'static str, Vec<Self>)>;
}

/// The steps that are in the bytes.
pub(crate) fn read<Step: DeserializeOwned>(bytes: &[u8]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() && steps.len() < STEPS_MAX {
        match postcard::take_from_bytes(rest) {
            Ok((step, behind)) => {
                steps.push(step);
                rest = behind;
            }
            Err(_) => rest = &rest[1..],
        }
    }
    steps
}

/// The steps that are in the bytes, one a line.
pub(crate) fn show<Step: Script>(bytes: &[u8]) -> String {
    let steps = read::<Step>(bytes).into_iter();
    steps.map(|step| format!("{step:?}\n")).collect()
}

/// The bytes of steps.
pub(crate) fn write<Step: Serialize>(steps: &[Step]) -> Vec<u8> {
    steps.iter().flat_map(encoded).collect()
}

/// Seeds as bytes.
pub(crate) fn seeds<Step: Script>() -> Vec<(&'static str, Vec<u8>)> {
    let encode = |(name, steps): (_, Vec<Step>)| (name, write(&steps));
    Step::named_seeds().into_iter().map(encode).collect()
}

/// Every different step of the seeds by itself.
pub(crate) fn tokens<Step: Script>() -> Vec<Vec<u8>> {
    /// What libFuzzer takes.
    const TOKEN_BYTES_MAX: usize = 64;
    let named = Step::named_seeds();
    let steps = named
        .iter()
        .flat_map(|(_, steps)| steps.iter().map(encoded));
    let mut tokens: Vec<_> = steps.filter(|step| step.len() <= TOKEN_BYTES_MAX).collect();
    tokens.sort();
    tokens.dedup();
    tokens
}

fn encoded<Step: Serialize>(step: &Step) -> Vec<u8> {
    postcard::to_stdvec(step).expect("steps are plain data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_found_again_behind_bytes_that_are_none() {
        let steps = [Some(7_u8), None];
        // An option begins with 0 or 1.
        let bytes = [write(&steps[..1]), vec![5, 9], write(&steps[1..])].concat();
        assert_eq!(read::<Option<u8>>(&bytes), steps);
    }
}
