//! A Rust file, read just far enough to ask questions of its text.
//!
//! Beside the text stands its *code*: the same bytes with every comment and
//! literal blanked out, so that a position means the same in both, and a word
//! found in the code really is code. On top of it: which stretches are tests,
//! and which function a position lies in. No types, no names resolved: this
//! answers "where does it say so?", nothing deeper.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::metadata::Package;
use crate::{Outcome, workspace};

/// One file of the workspace.
#[derive(Debug)]
pub(crate) struct Source {
    /// As seen from the workspace root.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// `text` with blanks in place of comments and literals; same length.
    pub(crate) code: String,
    /// Whether all of it is test code.
    pub(crate) is_test: bool,
    /// The parts that are compiled only into tests.
    tests: Vec<Range<usize>>,
    functions: Vec<Function>,
}

#[derive(Debug)]
struct Function {
    name: String,
    /// From the keyword `fn` to the end of the body.
    range: Range<usize>,
}

/// Every Rust file of `package`; benches and `tests/` count as test code, and
/// so do files that a `#[cfg(test)] mod name;` brings in.
pub(crate) fn of_package(package: &Package) -> Outcome<Vec<Source>> {
    let mut sources = Vec::new();
    for (folder, is_test) in [("src", false), ("tests", true), ("benches", true)] {
        for path in workspace::rust_files(&package.folder.join(folder))? {
            let text = workspace::read(&path)?;
            sources.push(Source::parse(workspace::relative(&path), text, is_test));
        }
    }
    let test_modules: Vec<PathBuf> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        let module = source.path.with_extension("");
        source.is_test |= test_modules.iter().any(|test| module.starts_with(test));
    }
    Ok(sources)
}

impl Source {
    pub(crate) fn parse(path: &Path, text: String, is_test: bool) -> Self {
        let code = blank_out(&text);
        Self {
            path: path.to_owned(),
            tests: test_ranges(&code),
            functions: functions(&code),
            is_test,
            text,
            code,
        }
    }

    /// The line of a position, from 1.
    pub(crate) fn line(&self, position: usize) -> usize {
        let before = self.text.as_bytes().iter().take(position);
        before.filter(|byte| **byte == b'\n').count() + 1
    }

    /// Where `word` stands in the code as a whole identifier.
    pub(crate) fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        words(&self.code, word)
    }

    /// Every function, with the position of its `fn`.
    pub(crate) fn functions(&self) -> impl Iterator<Item = (&str, usize)> {
        let functions = self.functions.iter();
        functions.map(|function| (function.name.as_str(), function.range.start))
    }

    pub(crate) fn is_test_at(&self, position: usize) -> bool {
        self.is_test || self.tests.iter().any(|range| range.contains(&position))
    }

    /// The innermost function around a position, or the one whose attributes
    /// and doc comment it lies in.
    pub(crate) fn function_at(&self, position: usize) -> Option<&str> {
        let around = |function: &&Function| function.range.contains(&position);
        let innermost = self
            .functions
            .iter()
            .filter(around)
            .max_by_key(|f| f.range.start);
        let next = || {
            let next = self.functions.iter().find(|f| f.range.start > position)?;
            let between = self.code.get(position..next.range.start)?;
            let is_attached = !between.contains(['{', '}', ';']) && !self.is_story(position);
            is_attached.then_some(next)
        };
        innermost
            .or_else(next)
            .map(|function| function.name.as_str())
    }

    /// Whether a position is in a `//!` comment, which belongs to the module.
    fn is_story(&self, position: usize) -> bool {
        let before = self.text.get(..position).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        line.trim_start().starts_with("//!")
    }

    /// The files, without their extension, of modules that only tests have.
    fn test_modules(&self) -> Vec<PathBuf> {
        let mut folder = self.path.with_extension("");
        if matches!(
            folder.file_name().and_then(|n| n.to_str()),
            Some("lib" | "main" | "mod")
        ) {
            folder.pop();
        }
        let declared = |range: &Range<usize>| {
            let item = self.code.get(range.clone())?.strip_suffix(';')?;
            let (before, name) = item.trim_end().rsplit_once(char::is_whitespace)?;
            before.ends_with("mod").then(|| folder.join(name))
        };
        self.tests.iter().filter_map(declared).collect()
    }
}

/// Whether a byte can be part of an identifier; non-ASCII ones count.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// Where `word` stands in `code` with no identifier character on either side.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| {
            let before = at.checked_sub(1).and_then(|before| bytes.get(before));
            let after = bytes.get(at + word.len());
            !before.is_some_and(|byte| is_word(*byte)) && !after.is_some_and(|byte| is_word(*byte))
        })
}

/// `text` with every comment and literal turned into blanks, line ends kept.
fn blank_out(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = b' ';
    while let Some(first) = rest.chars().next() {
        let hidden = hidden_bytes(rest, previous);
        let taken = if hidden > 0 { hidden } else { first.len_utf8() };
        let (now, later) = rest.split_at(taken);
        if hidden > 0 {
            let blank = |byte| if byte == b'\n' { '\n' } else { ' ' };
            code.extend(now.bytes().map(blank));
        } else {
            code.push(first);
        }
        previous = now.bytes().last().unwrap_or(b' ');
        rest = later;
    }
    code
}

/// How many bytes at the start of `rest` are a comment or a literal; 0 if it
/// starts with code. `previous` is the byte before.
fn hidden_bytes(rest: &str, previous: u8) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_bytes(rest);
    }
    if rest.starts_with('\'') {
        return char_literal_bytes(rest);
    }
    if is_word(previous) && !rest.starts_with('"') {
        return 0;
    }
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| {
        let after = rest.strip_prefix(prefix).unwrap_or_default();
        let after = if prefix.ends_with('r') {
            after.trim_start_matches('#')
        } else {
            after
        };
        after.starts_with('"')
    });
    match prefix {
        Some(raw) if raw.ends_with('r') => raw.len() + raw_string_bytes(&rest[raw.len()..]),
        Some(prefix) => prefix.len() + string_bytes(&rest[prefix.len()..]),
        None => 0,
    }
}

fn block_comment_bytes(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(left) = rest.get(at..).filter(|left| !left.is_empty()) {
        if left.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if left.starts_with("*/") {
            (depth, at) = (depth.saturating_sub(1), at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += left.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// A character literal, or 0 for a lifetime or a label.
fn char_literal_bytes(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            chars.next(); // what is escaped, perhaps a quote
            let closing = chars.find(|(_, c)| *c == '\'');
            closing.map_or(rest.len(), |(at, _)| at + 1)
        }
        Some(_) => match chars.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        None => 0,
    }
}

/// A string that starts with its opening quote.
fn string_bytes(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A raw string that starts with its hashes.
fn raw_string_bytes(rest: &str) -> usize {
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let closing = format!("\"{}", "#".repeat(hashes));
    let opened = hashes + 1;
    let body = rest.get(opened..).unwrap_or_default();
    body.find(&closing)
        .map_or(rest.len(), |at| opened + at + closing.len())
}

/// The items behind an attribute that only tests satisfy.
fn test_ranges(code: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for (start, _) in code.match_indices("#[") {
        let Some(attribute) = balanced(code, start + 1) else {
            continue;
        };
        let inside: String = code[start + 2..attribute.end - 1]
            .chars()
            .filter(|c| !c.is_whitespace())
            .collect();
        let is_test = inside == "test"
            || inside.ends_with("::test")
            || inside
                .strip_prefix("cfg(")
                .is_some_and(|cfg| implies_test(cfg.strip_suffix(')').unwrap_or(cfg)));
        if is_test {
            ranges.push(start..item_end(code, attribute.end));
        }
    }
    ranges
}

/// Whether a cfg predicate (without blanks) can hold in tests only.
fn implies_test(predicate: &str) -> bool {
    let inside = |name: &str| predicate.strip_prefix(name)?.strip_suffix(')');
    if let Some(all) = inside("all(") {
        predicates(all).into_iter().any(implies_test)
    } else if let Some(any) = inside("any(") {
        predicates(any).into_iter().all(implies_test)
    } else {
        predicate == "test"
    }
}

/// A list of predicates, split at its outermost commas.
fn predicates(list: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let split = list.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    split.filter(|predicate| !predicate.is_empty()).collect()
}

/// Where the item ends that starts (perhaps with more attributes) at `start`.
fn item_end(code: &str, start: usize) -> usize {
    let mut at = start;
    while let Some(byte) = code.as_bytes().get(at) {
        match byte {
            b';' => return at + 1,
            b'{' => return balanced(code, at).map_or(code.len(), |range| range.end),
            b'(' | b'[' => at = balanced(code, at).map_or(code.len(), |range| range.end),
            _ => at += 1,
        }
    }
    code.len()
}

fn functions(code: &str) -> Vec<Function> {
    let function = |start: usize| {
        let name: String = code[start + 2..]
            .trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        // Without a name it is a type, such as `fn(u32)`.
        let range = start..item_end(code, start);
        (!name.is_empty()).then_some(Function { name, range })
    };
    words(code, "fn").filter_map(function).collect()
}

/// From the bracket at `open` to just behind its partner.
pub(crate) fn balanced(code: &str, open: usize) -> Option<Range<usize>> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(open..at + 1);
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

    fn source(text: &str) -> Source {
        Source::parse(Path::new("src/a.rs"), text.to_owned(), false)
    }

    #[test]
    fn comments_and_literals_are_blanked_and_positions_stay() {
        let cases = [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (
                r#"f("a\"b", 'x', '\'', b'y')"#,
                "f(      ,    ,     , b   )",
            ),
            (r###"r#"a " b"# c"###, "           c"),
            (r#"r"\" x(br"y\")"#, "     x(      )"),
            (
                "fn f<'a>(x: &'a str) { 'l: loop {} }",
                "fn f<'a>(x: &'a str) { 'l: loop {} }",
            ),
            ("r#fn four\"a\"", "r#fn four   "),
            ("é 'é' ü", "é      ü"),
            ("\"never closed", "             "),
        ];
        for (text, expected) in cases {
            let code = blank_out(text);
            assert_eq!(code, expected, "{text}");
            assert_eq!(code.len(), text.len(), "{text}");
        }
    }

    #[test]
    fn only_what_tests_alone_compile_is_test_code() {
        let text = "
            #[cfg(test)] mod a { fn in_a() {} }
            #[cfg(all(test, not(log_loom)))] fn b() {}
            #[cfg(any(test, feature = \"sim\"))] fn c() {}
            #[cfg(not(test))] fn d() {}
            #[test] #[ignore] fn e() { in_e() }
            #[cfg(any(test, all(unix, test)))] use f::{g, h};
            fn i() {}
        ";
        let source = source(text);
        let is_test = |word| source.is_test_at(source.words(word).next().unwrap());
        for word in ["in_a", "b", "in_e", "g"] {
            assert!(is_test(word), "{word} is a test");
        }
        for word in ["c", "d", "i"] {
            assert!(!is_test(word), "{word} ships");
        }
    }

    #[test]
    fn a_module_file_of_a_test_module_is_found() {
        let text = "#[cfg(test)]\nmod tests;\nmod other;\n#[cfg(all(test, log_loom))] mod loom_x ;";
        let of = |path: &str| {
            let source = Source::parse(Path::new(path), text.to_owned(), false);
            source.test_modules()
        };
        assert_eq!(
            of("src/lib.rs"),
            ["src/tests", "src/loom_x"].map(PathBuf::from)
        );
        assert_eq!(
            of("src/a/mod.rs"),
            ["src/a/tests", "src/a/loom_x"].map(PathBuf::from)
        );
        assert_eq!(
            of("src/a.rs"),
            ["src/a/tests", "src/a/loom_x"].map(PathBuf::from)
        );
    }

    #[test]
    fn a_position_belongs_to_the_innermost_function_or_the_one_it_documents() {
        let text = "
            //! MODULE
            use x;
            /// DOC
            #[test]
            pub(crate) fn outer(x: [u8; 2]) -> fn(u32) { /* BODY */ fn inner() { INNER } LATE }
            const AFTER: u8 = 0;
        ";
        let source = source(text);
        let at = |word| source.function_at(text.find(word).unwrap());
        assert_eq!(at("DOC"), Some("outer"));
        assert_eq!(at("BODY"), Some("outer"));
        assert_eq!(at("INNER"), Some("inner"));
        assert_eq!(at("LATE"), Some("outer"));
        assert_eq!(at("MODULE"), None);
        assert_eq!(at("AFTER"), None);
        assert_eq!(source.line(text.find("DOC").unwrap()), 4);
    }

    #[test]
    fn words_are_whole() {
        let found: Vec<_> = words("unsafe_code unsafe {} not_unsafe unsafe", "unsafe").collect();
        assert_eq!(found, [12, 33]);
    }
}
