//! Programs that start another program with their own arguments.

/// How such a program is called.
pub(crate) struct Wrapper {
    pub(crate) names: &'static [&'static str],
    /// Letters of options that stand alone.
    pub(crate) flags: &'static str,
    /// Letters of options with a value.
    pub(crate) valued: &'static str,
    /// Long options with a value in the next word.
    pub(crate) long_valued: &'static [&'static str],
    /// Words between the options and the program.
    pub(crate) operands: usize,
    /// Whether `NAME=value` may stand before the program.
    pub(crate) assignments: bool,
    /// What is done with the words after the options.
    pub(crate) rest: Rest,
}

/// What a wrapper's last words are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// A program and its arguments.
    Command,
    /// The same, and arguments that are known only when it runs.
    CommandAndMore,
    /// Joined, they are text for a shell.
    Text,
}

const PLAIN: Wrapper = Wrapper {
    names: &[],
    flags: "",
    valued: "",
    long_valued: &[],
    operands: 0,
    assignments: false,
    rest: Rest::Command,
};

const WRAPPERS: &[Wrapper] = &[
    Wrapper {
        names: &["sudo"],
        flags: "ABbEeHiKklNnPSsVv",
        valued: "CDgGhpRrTtUu",
        long_valued: &[
            "--user", "--group", "--chdir", "--chroot", "--prompt", "--host", "--role", "--type",
        ],
        assignments: true,
        ..PLAIN
    },
    Wrapper {
        names: &["doas"],
        flags: "nsL",
        valued: "aCu",
        ..PLAIN
    },
    Wrapper {
        names: &["env"],
        flags: "i0v",
        valued: "uC",
        long_valued: &["--unset", "--chdir"],
        assignments: true,
        ..PLAIN
    },
    Wrapper {
        names: &[
            "nohup",
            "builtin",
            "busybox",
            "toybox",
            "unbuffer",
            "coproc",
            "dumb-init",
            "proxychains",
            "proxychains4",
            "caffeinate",
            "fakeroot",
            "eatmydata",
            "torsocks",
        ],
        ..PLAIN
    },
    Wrapper {
        names: &["command"],
        flags: "pvV",
        ..PLAIN
    },
    Wrapper {
        names: &["exec"],
        flags: "cl",
        valued: "a",
        ..PLAIN
    },
    Wrapper {
        names: &["setsid"],
        flags: "cfw",
        ..PLAIN
    },
    Wrapper {
        names: &["nice"],
        flags: "0123456789",
        valued: "n",
        long_valued: &["--adjustment"],
        ..PLAIN
    },
    Wrapper {
        names: &["ionice"],
        flags: "t",
        valued: "cnpPu",
        long_valued: &["--class", "--classdata"],
        ..PLAIN
    },
    Wrapper {
        names: &["time"],
        flags: "apqv",
        valued: "fo",
        ..PLAIN
    },
    Wrapper {
        names: &["timeout"],
        flags: "fpv",
        valued: "ks",
        long_valued: &["--kill-after", "--signal"],
        operands: 1,
        ..PLAIN
    },
    Wrapper {
        names: &["stdbuf"],
        valued: "eio",
        long_valued: &["--input", "--output", "--error"],
        ..PLAIN
    },
    Wrapper {
        names: &["strace", "ltrace"],
        flags: "CDdFfhiknqrTtvVwxyYzZ",
        valued: "aAbEeIOoPpsSuUX",
        ..PLAIN
    },
    Wrapper {
        names: &["chroot"],
        long_valued: &["--userspec", "--groups"],
        operands: 1,
        ..PLAIN
    },
    Wrapper {
        names: &["taskset"],
        flags: "acp",
        operands: 1,
        ..PLAIN
    },
    Wrapper {
        names: &["chrt"],
        flags: "abdfior",
        valued: "DPT",
        operands: 1,
        ..PLAIN
    },
    Wrapper {
        names: &["gosu", "su-exec", "faketime"],
        operands: 1,
        ..PLAIN
    },
    Wrapper {
        names: &["flock"],
        flags: "eFnosux",
        valued: "cEw",
        long_valued: &["--timeout", "--wait", "--conflict-exit-code"],
        operands: 1,
        ..PLAIN
    },
    Wrapper {
        names: &[
            "unshare",
            "nsenter",
            "systemd-run",
            "prlimit",
            "setpriv",
            "pkexec",
            "runuser",
            "firejail",
            "bwrap",
        ],
        flags: "CFfimnprTUu",
        valued: "GgStu",
        long_valued: &["--user", "--target", "--unit", "--property"],
        ..PLAIN
    },
    Wrapper {
        names: &["xargs"],
        flags: "0oprtxi",
        valued: "aEdILlnPsR",
        long_valued: &[
            "--arg-file",
            "--delimiter",
            "--max-args",
            "--max-procs",
            "--max-lines",
            "--max-chars",
            "--replace",
        ],
        rest: Rest::CommandAndMore,
        ..PLAIN
    },
    Wrapper {
        names: &["parallel"],
        flags: "0kmqtvX",
        valued: "aIjLnNPS",
        long_valued: &["--jobs", "--arg-file", "--colsep"],
        rest: Rest::Text,
        ..PLAIN
    },
    Wrapper {
        names: &["watch"],
        flags: "bcdegprtvwx",
        valued: "nq",
        long_valued: &["--interval"],
        rest: Rest::Text,
        ..PLAIN
    },
    Wrapper {
        names: &["ssh"],
        flags: "46AaCfGgKkMNnqsTtVvXxYy",
        valued: "BbcDEeFIiJLlmOopQRSWw",
        operands: 1,
        rest: Rest::Text,
        ..PLAIN
    },
];

/// How the program of this name is called, if it starts another one.
pub(crate) fn named(program: &str) -> Option<&'static Wrapper> {
    WRAPPERS
        .iter()
        .find(|wrapper| wrapper.names.contains(&program))
}

/// How many words an option and its value take; None when the option is not known.
pub(crate) fn option_words(wrapper: &Wrapper, option: &str) -> Option<usize> {
    if let Some(long) = option.strip_prefix("--") {
        if long.contains('=') {
            return Some(1);
        }
        return wrapper.long_valued.contains(&option).then_some(2);
    }
    let letters = option.strip_prefix('-')?;
    for (index, letter) in letters.char_indices() {
        if wrapper.valued.contains(letter) {
            let is_last = index + letter.len_utf8() == letters.len();
            return Some(if is_last { 2 } else { 1 });
        }
        if !wrapper.flags.contains(letter) {
            return None;
        }
    }
    Some(1)
}
