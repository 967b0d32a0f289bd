//! Just enough Markdown: headings and fenced code blocks, told apart.

/// A line of a document that means something here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// `### text`, level 3.
    Heading {
        level: usize,
        text: &'a str,
        line: usize,
    },
    /// What stands between two fences, and the word behind the opening one.
    Fenced {
        language: &'a str,
        body: Vec<&'a str>,
    },
    /// Any other line.
    Text { text: &'a str },
}

/// Splits a document into its parts. Lines count from 1.
pub(crate) fn parts(document: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut lines = document.lines().enumerate();
    while let Some((at, text)) = lines.next() {
        if let Some(language) = text.strip_prefix("```") {
            let inside = lines.by_ref().map(|(_, text)| text);
            let body = inside.take_while(|text| !text.starts_with("```")).collect();
            parts.push(Part::Fenced {
                language: language.trim(),
                body,
            });
        } else if let Some(heading) = heading(text, at + 1) {
            parts.push(heading);
        } else {
            parts.push(Part::Text { text });
        }
    }
    parts
}

fn heading(text: &str, line: usize) -> Option<Part<'_>> {
    let level = text.len() - text.trim_start_matches('#').len();
    let text = text[level..].strip_prefix(' ')?.trim();
    (level > 0).then_some(Part::Heading { level, text, line })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_inside_a_fence_is_not_a_heading() {
        let document = "# Title\ntext\n```sh\n# comment\nrun\n```\n## Next";
        assert_eq!(
            parts(document),
            [
                Part::Heading {
                    level: 1,
                    text: "Title",
                    line: 1
                },
                Part::Text { text: "text" },
                Part::Fenced {
                    language: "sh",
                    body: vec!["# comment", "run"]
                },
                Part::Heading {
                    level: 2,
                    text: "Next",
                    line: 7
                },
            ]
        );
    }
}
