use std::io::{self, Write};

use super::{
    entry::{Entry, Part, Voice},
    heading::Heading,
    text::{counted, printable, size, time},
};

/// Longer blocks are folded away.
const OPEN_LINES: usize = 24;
const OPEN_BYTES: usize = 4_000;

const STYLE: &str = include_str!("style.css");

/// No script, no request: a browser that keeps to this shows the page and does nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                      base-uri 'none'; form-action 'none'";

pub(super) fn begin(heading: &Heading, out: &mut dyn Write) -> io::Result<()> {
    let name = escape(&heading.name());
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <title>{name}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header>\n<h1>{name}</h1>"
    )?;
    write!(out, "<p>Conversation <code>{}</code>", heading.id)?;
    if let Some(created_at) = heading.created_at {
        write!(out, ", created {}", moment(created_at.0.into()))?;
    }
    writeln!(out, "</p>\n</header>")
}

pub(super) fn entry(entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
    let Entry { seq, title, .. } = entry;
    let class = class(entry.voice);
    let title = escape(title);
    let time = moment(entry.time);
    if entry.voice == Voice::Status && entry.parts.is_empty() {
        return writeln!(
            out,
            "<p class=\"{class}\" id=\"event-{seq}\">{time} {title}</p>"
        );
    }
    writeln!(
        out,
        "<article class=\"{class}\" id=\"event-{seq}\">\n\
         <h2>{title} <a href=\"#event-{seq}\">{time}</a></h2>"
    )?;
    entry.parts.iter().try_for_each(|one| part(one, out))?;
    writeln!(out, "</article>")
}

pub(super) fn gap(text: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<p class=\"gap\">{}</p>", escape(text))
}

pub(super) fn end(closing: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<footer>{closing}</footer>\n</main>\n</body>\n</html>")
}

fn part(part: &Part, out: &mut dyn Write) -> io::Result<()> {
    match part {
        Part::Said(text) => writeln!(out, "<div class=\"said\">{}</div>", escape(text.trim_end())),
        Part::Reasoning(text) => folded("Reasoning", "reasoning", text, out),
        Part::Note(text) => writeln!(out, "<p class=\"note\">{}</p>", escape(text)),
        Part::Field { name, value } => writeln!(
            out,
            "<p class=\"field\">{}: <code>{}</code></p>",
            escape(name),
            escape(value)
        ),
        Part::Block {
            label,
            language: _,
            text,
            detail,
        } => block(label.as_deref(), text, *detail, out),
        Part::Image(url) => image(url, out),
    }
}

fn block(label: Option<&str>, text: &str, detail: bool, out: &mut dyn Write) -> io::Result<()> {
    let text = text.trim_end_matches('\n');
    let lines = text.lines().count();
    if detail || lines > OPEN_LINES || text.len() > OPEN_BYTES {
        let extent = format!("{}, {}", counted(lines as u64, "line"), size(text.len()));
        let summary = match label {
            Some(label) => format!("{label} ({extent})"),
            None => extent,
        };
        return folded(&summary, "block", text, out);
    }
    if let Some(label) = label {
        writeln!(out, "<p class=\"field\">{}:</p>", escape(label))?;
    }
    preformatted("block", text, out)
}

fn folded(summary: &str, class: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<details><summary>{}</summary>", escape(summary))?;
    preformatted(class, text, out)?;
    writeln!(out, "</details>")
}

/// A browser drops one line feed right after `<pre>`: this one, and none of the text's own.
fn preformatted(class: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<pre class=\"{class}\">\n{}</pre>", escape(text))
}

/// Pictures inside the event are shown; others would be a request to a stranger.
fn image(url: &str, out: &mut dyn Write) -> io::Result<()> {
    const SHOWN: [&str; 4] = ["png", "jpeg", "gif", "webp"];
    let is_picture = SHOWN
        .iter()
        .any(|kind| url.starts_with(&format!("data:image/{kind};base64,")));
    if is_picture {
        return writeln!(out, "<img src=\"{}\" alt=\"An image\">", escape(url));
    }
    if url.starts_with("https://") || url.starts_with("http://") {
        let url = escape(url);
        return writeln!(
            out,
            "<p class=\"note\">An image: <a href=\"{url}\" rel=\"noopener noreferrer\">{url}</a></p>"
        );
    }
    let size = size(url.len());
    writeln!(
        out,
        "<p class=\"note\">An image of {size} is part of the event</p>"
    )
}

fn class(voice: Voice) -> &'static str {
    match voice {
        Voice::User => "user",
        Voice::Agent => "agent",
        Voice::Tool => "tool",
        Voice::System => "system",
        Voice::Error => "error",
        Voice::Status => "status",
    }
}

fn moment(at: core_model::EventTime) -> String {
    format!("<time datetime=\"{at}Z\">{}</time>", time(at))
}

/// Safe between tags and inside double quotes.
fn escape(text: &str) -> String {
    let text = printable(text);
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
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
    fn nothing_that_was_said_becomes_markup() {
        let hostile = "</pre><script>alert('1')</script>&amp;\"";
        for part_of in [
            Part::Said(hostile.to_owned()),
            Part::Reasoning(hostile.to_owned()),
            Part::Note(hostile.to_owned()),
            Part::Field {
                name: hostile.to_owned(),
                value: hostile.to_owned(),
            },
            Part::Block {
                label: Some(hostile.to_owned()),
                language: "",
                text: hostile.repeat(400),
                detail: false,
            },
            Part::Image(format!("https://a.example/{hostile}")),
            Part::Image(format!("data:image/png;base64,{hostile}")),
        ] {
            let html = shown(|out| part(&part_of, out));
            assert!(!html.contains("<script"), "{html}");
            assert!(!html.contains("alert('"), "{html}");
        }
    }

    #[test]
    fn only_pictures_inside_the_event_are_shown() {
        let html = |url: &str| shown(|out| image(url, out));
        assert!(html("data:image/png;base64,AAAA").starts_with("<img "));
        for other in [
            "javascript:alert(1)",
            "data:text/html,x",
            "data:image/svg+xml;base64,A",
        ] {
            let html = html(other);
            assert!(!html.contains("<img") && !html.contains("href"), "{html}");
        }
        assert!(!html("https://a.example/x.png").contains("<img"));
    }

    #[test]
    fn long_output_is_folded_away_and_short_output_is_not() {
        let long = shown(|out| block(None, &"x\n".repeat(100), false, out));
        assert!(long.starts_with("<details><summary>100 lines, "), "{long}");
        let short = shown(|out| block(None, "\nx", false, out));
        assert_eq!(short, "<pre class=\"block\">\n\nx</pre>\n");
    }
}
