mod said;

use std::io::{self, Write};

use super::{
    entry::{Entry, Part, Voice},
    heading::Heading,
    text::{printable, size, time},
};

pub(super) fn begin(heading: &Heading, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# {}\n", line(&heading.name()))?;
    writeln!(out, "- Conversation: `{}`", heading.id)?;
    if let Some(created_at) = heading.created_at {
        writeln!(out, "- Created: {}", time(created_at.0.into()))?;
    }
    Ok(())
}

pub(super) fn entry(entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
    let time = time(entry.time);
    match entry.voice {
        Voice::Status => writeln!(out, "\n*{time} · {}*", line(&entry.title))?,
        Voice::User | Voice::Agent | Voice::Tool | Voice::System | Voice::Error => {
            writeln!(
                out,
                "\n## {}\n\n*{time} · event {}*",
                line(&entry.title),
                entry.seq
            )?;
        }
    }
    entry.parts.iter().try_for_each(|one| part(one, out))
}

pub(super) fn gap(text: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n**{}**", line(text))
}

pub(super) fn end(closing: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n---\n\n{closing}")
}

fn part(part: &Part, out: &mut dyn Write) -> io::Result<()> {
    match part {
        Part::Said(text) => quote(text, out),
        Part::Reasoning(text) => {
            writeln!(out, "\nReasoning:")?;
            quote(text, out)
        }
        Part::Note(text) => writeln!(out, "\n{}", line(text)),
        Part::Field { name, value } => writeln!(out, "\n{}: {}", line(name), code(value)),
        Part::Block {
            label,
            language,
            text,
            detail: _,
        } => {
            if let Some(label) = label {
                writeln!(out, "\n{}:", line(label))?;
            }
            fenced(language, text, out)
        }
        Part::Image(url) => writeln!(out, "\n{}", image(url)),
    }
}

/// In a quotation, so that headings in what was said stay inside it. It is usually Markdown and stays
/// so, as far as that cannot do more than format text: see [`said`].
fn quote(text: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out)?;
    for line in said::inert(&printable(text)).trim_end().lines() {
        if line.is_empty() {
            writeln!(out, ">")?;
        } else {
            writeln!(out, "> {line}")?;
        }
    }
    Ok(())
}

fn fenced(language: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
    let text = printable(text);
    let fence = fence_around(&text);
    writeln!(
        out,
        "\n{fence}{language}\n{}\n{fence}",
        text.trim_end_matches('\n')
    )
}

/// Text in a line of its own making, where what Markdown or HTML would take for more is escaped.
fn line(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let text = printable(text).replace('\n', " ");
    said::escape(text.trim_start(), &['*', '>', '#'], &mut escaped);
    escaped
}

fn code(text: &str) -> String {
    let text = printable(text).replace('\n', " ");
    let ticks = "`".repeat(longest_run(&text) + 1);
    if text.starts_with('`') || text.ends_with('`') {
        format!("{ticks} {text} {ticks}")
    } else {
        format!("{ticks}{text}{ticks}")
    }
}

fn image(url: &str) -> String {
    let link = url.starts_with("https://") || url.starts_with("http://");
    if link && !url.contains(['<', '>', '\\']) && !url.contains(char::is_whitespace) {
        format!("[An image](<{}>)", printable(url))
    } else {
        format!("(an image of {} is part of the event)", size(url.len()))
    }
}

/// Longer than any run of backticks in `text`, so that none of its lines ends the block.
fn fence_around(text: &str) -> String {
    "`".repeat(longest_run(text).max(2) + 1)
}

/// How many backticks follow each other at most.
fn longest_run(text: &str) -> usize {
    let (mut longest, mut run) = (0, 0);
    for character in text.chars() {
        run = if character == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_was_said_cannot_leave_its_quotation() {
        let said = shown(|out| quote("# heading\n\n```\nopen\n", out));
        assert_eq!(said, "\n> # heading\n>\n> ```\n> open\n> ```\n");
    }

    #[test]
    fn a_fence_is_longer_than_any_in_its_text() {
        let said = shown(|out| fenced("md", "a\n````\nb\n", out));
        assert_eq!(said, "\n`````md\na\n````\nb\n`````\n");
    }

    #[test]
    fn titles_are_plain_text() {
        assert_eq!(line("a\n# <b>*c*"), r"a \# \<b\>\*c\*");
        assert_eq!(
            line("~~~ {onload} &lt; R&D"),
            r"\~\~\~ \{onload\} \&lt; R\&D"
        );
        assert_eq!(code("`x`"), "`` `x` ``");
    }

    #[test]
    fn only_web_addresses_become_links() {
        assert_eq!(
            image("https://a.example/x"),
            "[An image](<https://a.example/x>)"
        );
        assert_eq!(
            image("javascript:alert(1)"),
            "(an image of 19 bytes is part of the event)"
        );
    }
}
