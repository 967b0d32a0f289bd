//! Every place where a memory ordering could be weaker, found in the source.
//!
//! One mutation is one step down. An acquire or a release becomes relaxed, an
//! acquire-release becomes each of its halves, and a fence becomes the next
//! weaker one or goes away. A test that notices the small step would notice
//! every larger one, because a weaker ordering allows everything that a
//! stronger one allows. The one exception is a sequentially consistent load,
//! store or exchange: loom takes it for an acquire-release, so it goes all the
//! way to relaxed.

use std::ops::Range;
use std::path::PathBuf;

use crate::source::{Source, balanced, words};

const ORDERINGS: [&str; 4] = ["Acquire", "Release", "AcqRel", "SeqCst"];

/// A change of one ordering in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mutation {
    /// The file, as seen from the workspace root.
    pub(crate) path: PathBuf,
    pub(crate) line: usize,
    pub(crate) function: String,
    /// The call, such as `published.load`.
    pub(crate) call: String,
    /// What becomes of its orderings, such as `Acquire -> Relaxed`.
    pub(crate) change: String,
    /// Its file as it was read: others may go on editing it meanwhile.
    pub(crate) original: String,
    replaced: Range<usize>,
    replacement: String,
}

impl Mutation {
    /// `file | function | call | change`: where and what, without the line,
    /// which changes too often to be written down.
    pub(crate) fn place(&self) -> String {
        let Self {
            path,
            function,
            call,
            change,
            ..
        } = self;
        format!("{} | {function} | {call} | {change}", path.display())
    }

    /// The text of its file with the change made.
    pub(crate) fn mutated(&self) -> String {
        let mut mutated = self.original.clone();
        mutated.replace_range(self.replaced.clone(), &self.replacement);
        mutated
    }
}

/// The functions of `sync` that contain a fence: calling one is a fence too.
pub(crate) fn fence_helpers(sync: &Source) -> Vec<String> {
    let calls = sync
        .words("fence")
        .filter(|at| opens_call(&sync.code, at + "fence".len()));
    let mut helpers: Vec<_> = calls
        .filter_map(|at| sync.function_at(at))
        .map(str::to_owned)
        .collect();
    helpers.sort();
    helpers.dedup();
    helpers
}

/// Every mutation of a file outside its tests, in order of place.
pub(crate) fn mutations(source: &Source, fence_helpers: &[String]) -> Vec<Mutation> {
    let mut found = Vec::new();
    for call in ordered_calls(source) {
        found.extend(call.mutations(source));
    }
    for helper in fence_helpers {
        found.extend(helper_calls(source, helper));
    }
    found.sort_by_key(|mutation| mutation.replaced.start);
    number_twins(&mut found);
    found
}

/// A call with its orderings, in the order of its arguments.
struct OrderedCall {
    /// The opening parenthesis.
    open: usize,
    orderings: Vec<(Range<usize>, &'static str)>,
}

fn ordered_calls(source: &Source) -> Vec<OrderedCall> {
    let mut places: Vec<(Range<usize>, &'static str)> = ORDERINGS
        .iter()
        .chain(&["Relaxed"])
        .flat_map(|name| source.words(name).map(|at| (at..at + name.len(), *name)))
        .filter(|(range, _)| !source.is_test_at(range.start) && !is_import(source, range.start))
        .collect();
    places.sort_by_key(|(range, _)| range.start);
    let mut calls: Vec<OrderedCall> = Vec::new();
    for (range, name) in places {
        // Without a call around it, an ordering stands for itself.
        let open = enclosing_call(&source.code, range.start).unwrap_or(range.start);
        match calls.iter_mut().find(|call| call.open == open) {
            Some(call) => call.orderings.push((range, name)),
            None => calls.push(OrderedCall {
                open,
                orderings: vec![(range, name)],
            }),
        }
    }
    calls
}

impl OrderedCall {
    fn mutations(&self, source: &Source) -> Vec<Mutation> {
        let call = callee(&source.code, self.open);
        let is_fence = call == "fence";
        let mut found = Vec::new();
        for (at, (range, ordering)) in self.orderings.iter().enumerate() {
            for weaker in weaker(ordering, is_fence) {
                let shown = |weakened: Option<&str>| {
                    let names = self.orderings.iter().enumerate();
                    let name = |(other, (_, name)): (usize, &(Range<usize>, &'static str))| {
                        if other == at {
                            weakened.unwrap_or(name).to_owned()
                        } else {
                            (*name).to_owned()
                        }
                    };
                    names.map(name).collect::<Vec<_>>().join(", ")
                };
                let (replaced, replacement, after) = match weaker {
                    Weaker::Ordering(weaker) => {
                        (range.clone(), (*weaker).to_owned(), shown(Some(weaker)))
                    }
                    Weaker::Nothing => {
                        let end =
                            balanced(&source.code, self.open).map_or(range.end, |call| call.end);
                        let start = expression_start(&source.code, self.open);
                        (start..end, "()".to_owned(), "nothing".to_owned())
                    }
                };
                let change = format!("{} -> {after}", shown(None));
                found.push(mutation(
                    source,
                    replaced,
                    replacement,
                    call.clone(),
                    change,
                ));
            }
        }
        found
    }
}

/// One step down from an ordering.
enum Weaker {
    Ordering(&'static str),
    /// The whole call goes.
    Nothing,
}

fn weaker(ordering: &str, is_fence: bool) -> &'static [Weaker] {
    use Weaker::{Nothing, Ordering};
    match (ordering, is_fence) {
        ("AcqRel", _) => &[Ordering("Acquire"), Ordering("Release")],
        ("SeqCst", true) => &[Ordering("AcqRel")],
        ("Acquire" | "Release", true) => &[Nothing],
        ("Acquire" | "Release" | "SeqCst", false) => &[Ordering("Relaxed")],
        _ => &[],
    }
}

/// Calls of a function that is a fence by another name; each goes away.
fn helper_calls(source: &Source, helper: &str) -> Vec<Mutation> {
    let is_call = |at: &usize| {
        let is_definition = source.code[..*at].trim_end().ends_with("fn");
        !is_definition && !source.is_test_at(*at) && opens_call(&source.code, at + helper.len())
    };
    let remove = |at: usize| {
        let open = at + helper.len();
        let end = balanced(&source.code, open).map_or(open, |call| call.end);
        let replaced = expression_start(&source.code, open)..end;
        let call = callee(&source.code, open);
        mutation(
            source,
            replaced,
            "()".to_owned(),
            call,
            format!("{helper}() -> nothing"),
        )
    };
    source.words(helper).filter(is_call).map(remove).collect()
}

fn mutation(
    source: &Source,
    replaced: Range<usize>,
    replacement: String,
    call: String,
    change: String,
) -> Mutation {
    Mutation {
        path: source.path.clone(),
        line: source.line(replaced.start),
        function: source.function_at(replaced.start).unwrap_or("-").to_owned(),
        call,
        change,
        original: source.text.clone(),
        replaced,
        replacement,
    }
}

/// Tells apart the same change to the same call in the same function.
fn number_twins(mutations: &mut [Mutation]) {
    let key = |mutation: &Mutation| {
        (
            mutation.function.clone(),
            mutation.call.clone(),
            mutation.change.clone(),
        )
    };
    let keys: Vec<_> = mutations.iter().map(key).collect();
    for (at, mutation) in mutations.iter_mut().enumerate() {
        let earlier = keys[..at].iter().filter(|key| **key == keys[at]).count();
        if earlier > 0 {
            mutation.call.push_str(&format!(" #{}", earlier + 1));
        }
    }
}

fn opens_call(code: &str, at: usize) -> bool {
    code[at..].starts_with('(')
}

/// Whether a position is inside a `use` item.
fn is_import(source: &Source, position: usize) -> bool {
    let before = &source.code[..position];
    let start = before.rfind([';', '}']).map_or(0, |at| at + 1);
    words(&before[start..], "use").next().is_some()
}

/// The opening parenthesis of the innermost call around a position.
fn enclosing_call(code: &str, position: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.as_bytes()[..position].iter().enumerate().rev() {
        match byte {
            b')' | b']' | b'}' => depth += 1,
            b'(' | b'[' | b'{' if depth > 0 => depth -= 1,
            b'(' => return Some(at),
            b'[' | b'{' | b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// What is called at `open`, with the last name that it is called on.
fn callee(code: &str, open: usize) -> String {
    let chain = &code[expression_start(code, open)..open];
    // Arguments and indexes of earlier calls say nothing about the place.
    let mut names = String::new();
    let mut depth = 0_usize;
    for c in chain.chars().filter(|c| !c.is_whitespace()) {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => names.push(c),
            _ => {}
        }
    }
    let mut parts: Vec<_> = names
        .rsplit('.')
        .filter(|name| !is_tuple_field(name))
        .take(2)
        .collect();
    parts.reverse();
    parts
        .join(".")
        .trim_start_matches(['*', '&', '!'])
        .to_owned()
}

fn is_tuple_field(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_digit())
}

/// Where the path or method chain starts whose call opens at `open`.
fn expression_start(code: &str, open: usize) -> usize {
    let bytes = code.as_bytes();
    let mut at = open;
    loop {
        let before = code[..at].trim_end().len();
        let continues = match before.checked_sub(1).map(|last| bytes[last]) {
            Some(b')' | b']') => opening_of(code, before - 1),
            Some(b'.' | b':') => Some(before - 1),
            Some(byte) if byte == b'_' || byte.is_ascii_alphanumeric() => {
                let is_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
                let start = code[..before].trim_end_matches(is_name).len();
                // A name that follows blanks belongs to the chain only if the
                // chain goes on with a dot.
                let joined = before == at || code[at..].starts_with(['.', ':']);
                joined.then_some(start)
            }
            _ => None,
        };
        match continues {
            Some(earlier) => at = earlier,
            None => return at,
        }
    }
}

/// The partner of the closing bracket at `close`.
fn opening_of(code: &str, close: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for at in (0..=close).rev() {
        match code.as_bytes()[at] {
            b')' | b']' | b'}' => depth += 1,
            b'(' | b'[' | b'{' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn source(text: &str) -> Source {
        Source::parse(Path::new("src/a.rs"), text.to_owned(), false)
    }

    /// `call: change` of every mutation, and the text that it leaves.
    fn found(text: &str) -> Vec<(String, String)> {
        let helpers = ["light".to_owned(), "heavy".to_owned()];
        let mutations = mutations(&source(text), &helpers);
        let shown = |mutation: &Mutation| {
            (
                format!("{}: {}", mutation.call, mutation.change),
                mutation.mutated(),
            )
        };
        mutations.iter().map(shown).collect()
    }

    fn one(text: &str) -> (String, String) {
        let mut found = found(text);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    #[test]
    fn an_acquire_or_a_release_becomes_relaxed() {
        let (shown, mutated) = one("fn f() { Lsn(self.end.0.load(Ordering::Acquire)) }");
        assert_eq!(shown, "end.load: Acquire -> Relaxed");
        assert_eq!(
            mutated,
            "fn f() { Lsn(self.end.0.load(Ordering::Relaxed)) }"
        );
        let (shown, _) = one("fn f() { a\n    .b(c)[0]\n    .store(1, Release); }");
        assert_eq!(shown, "b.store: Release -> Relaxed");
    }

    #[test]
    fn an_acquire_release_loses_each_half_in_turn() {
        let shown: Vec<_> = found("fn f() { x.swap(1, Ordering::AcqRel) }")
            .into_iter()
            .map(|(shown, _)| shown)
            .collect();
        assert_eq!(
            shown,
            ["x.swap: AcqRel -> Acquire", "x.swap: AcqRel -> Release"]
        );
    }

    #[test]
    fn each_ordering_of_an_exchange_is_weakened_alone() {
        let text = "fn f() { x.fetch_update(Ordering::Release, Ordering::Acquire, |w| w.load(Ordering::Relaxed)) }";
        let [(success, mutated), (failure, _)] = &found(text)[..] else {
            panic!("two orderings can be weaker");
        };
        assert_eq!(
            success,
            "x.fetch_update: Release, Acquire -> Relaxed, Acquire"
        );
        assert!(mutated.contains("(Ordering::Relaxed, Ordering::Acquire,"));
        assert_eq!(
            failure,
            "x.fetch_update: Release, Acquire -> Release, Relaxed"
        );
        assert!(found("fn f() { x.load(Ordering::Relaxed) }").is_empty());
    }

    #[test]
    fn a_fence_gets_weaker_or_goes() {
        let (shown, mutated) = one("fn f() { fence(Ordering::SeqCst); }");
        assert_eq!(shown, "fence: SeqCst -> AcqRel");
        assert_eq!(mutated, "fn f() { fence(Ordering::AcqRel); }");
        let (shown, mutated) = one("fn f() { a(); fence(Ordering::Acquire); b() }");
        assert_eq!(shown, "fence: Acquire -> nothing");
        assert_eq!(mutated, "fn f() { a(); (); b() }");
    }

    #[test]
    fn a_call_of_a_fence_by_another_name_goes() {
        let (shown, mutated) = one("fn f(&self) { if x { return; } self.fences.light(); light }");
        assert_eq!(shown, "fences.light: light() -> nothing");
        assert_eq!(mutated, "fn f(&self) { if x { return; } (); light }");
        assert!(
            found("fn heavy() {}").is_empty(),
            "a definition is not a call"
        );
    }

    #[test]
    fn tests_imports_and_comments_are_left_alone() {
        let text = "
            use std::sync::atomic::Ordering::{self, Acquire, Release};
            // x.load(Ordering::Acquire)
            #[cfg(test)] mod tests { fn f() { x.load(Ordering::Acquire); y.light() } }
            fn g() { x.load(Ordering::Acquire); }
        ";
        let (shown, mutated) = one(text);
        assert_eq!(shown, "x.load: Acquire -> Relaxed");
        assert!(mutated.ends_with("fn g() { x.load(Ordering::Relaxed); }\n        "));
    }

    #[test]
    fn twins_are_told_apart() {
        let shown: Vec<_> =
            found("fn f() { x.load(Acquire); x.load(Acquire); } fn g() { x.load(Acquire) }")
                .into_iter()
                .map(|(shown, _)| shown)
                .collect();
        let plain = "x.load: Acquire -> Relaxed";
        assert_eq!(shown, [plain, "x.load #2: Acquire -> Relaxed", plain]);
    }

    #[test]
    fn an_ordering_outside_any_call_is_weakened_too() {
        let (_, mutated) = one("const READ: Ordering = Ordering::Acquire;");
        assert_eq!(mutated, "const READ: Ordering = Ordering::Relaxed;");
    }

    #[test]
    fn functions_around_a_fence_are_fences_themselves() {
        let sync = source(
            "use std::fence;
             fn light() { if x { compiler_fence(SeqCst) } else { super::fence(SeqCst) } }
             fn heavy() { fence(SeqCst) } fn other() { light() }",
        );
        assert_eq!(fence_helpers(&sync), ["heavy", "light"]);
    }
}
