use std::{
    io::{self, IsTerminal, Write},
    time::Instant,
};

use core_model::Event;

use super::printer::{Style, lines};

const FRAMES: [char; 8] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧'];

/// Standard output: lines, with colour and a spinner on a terminal only.
pub(super) struct Screen {
    terminal: bool,
    colour: bool,
    frame: usize,
    spinning: bool,
    last_event: Instant,
}

impl Screen {
    pub(super) fn on_stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        Self {
            terminal,
            colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            frame: 0,
            spinning: false,
            last_event: Instant::now(),
        }
    }

    /// Prints an event, if it is of interest to a person.
    pub(super) fn event(&mut self, event: &Event) {
        self.last_event = Instant::now();
        for (style, line) in lines(event) {
            self.line(style, &line);
        }
    }

    /// Shows that something is under way, and for how long.
    pub(super) fn spin(&mut self) {
        if !self.terminal {
            return;
        }
        self.frame = (self.frame + 1) % FRAMES.len();
        let waited = self.last_event.elapsed().as_secs();
        self.write(&format!(
            "\r\x1b[2K{} working {waited} s",
            FRAMES[self.frame]
        ));
        self.spinning = true;
    }

    pub(super) fn title(&mut self, text: &str) {
        self.line(Style::Plain, "");
        self.line(Style::Title, text);
    }

    pub(super) fn note(&mut self, text: &str) {
        self.line(Style::Plain, &format!("  {text}"));
    }

    pub(super) fn quote(&mut self, text: &str) {
        self.line(Style::Faint, &format!("    {text}"));
    }

    pub(super) fn success(&mut self, text: &str) {
        self.line(Style::Plain, "");
        self.line(Style::Good, &format!("✓ {text}"));
    }

    pub(super) fn failure(&mut self, text: &str) {
        self.line(Style::Bad, &format!("✗ {text}"));
    }

    fn line(&mut self, style: Style, text: &str) {
        let text = printable(text);
        let clear = if self.spinning { "\r\x1b[2K" } else { "" };
        self.spinning = false;
        if self.colour {
            self.write(&format!("{clear}{}{text}\x1b[0m\n", style.escape()));
        } else {
            self.write(&format!("{clear}{text}\n"));
        }
    }

    /// A reader that has gone away must not end the demonstration.
    fn write(&self, text: &str) {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .ok();
    }
}

/// Text of a model or a command may have control characters that would change the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}
