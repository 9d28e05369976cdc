//! Commands that are worth a look by themselves.

use command_syntax::{Reading, SimpleCommand, Word};
use core_model::event::SecurityRisk::{self, High, Medium};

use crate::{
    assessment::Finding,
    paths::{Target, is_critical, target},
    rails::{deletes_by_force, deletes_folders, has_option, is_fetcher},
};

const ADMINISTRATOR: [&str; 5] = ["sudo", "doas", "su", "pkexec", "runuser"];
const POWER: [&str; 6] = ["shutdown", "reboot", "halt", "poweroff", "init", "telinit"];
const NETWORK: [&str; 13] = [
    "nc", "ncat", "netcat", "socat", "telnet", "ssh", "scp", "sftp", "ftp", "tftp", "rsync",
    "rclone", "nmap",
];
/// Tests of `find` that leave most files alone.
const FILTERS: [&str; 11] = [
    "-name", "-iname", "-path", "-ipath", "-regex", "-iregex", "-empty", "-newer", "-mtime",
    "-mmin", "-size",
];
/// Files that decide who may log in and what is run by itself.
const STARTUP_FILES: [&str; 10] = [
    "/.ssh/",
    "/.bashrc",
    "/.bash_profile",
    "/.profile",
    "/.zshrc",
    "/.zprofile",
    "/.gitconfig",
    "/.config/autostart/",
    "/crontab",
    "/.git/hooks/",
];

/// What the rules say of each command of a text.
pub(crate) fn command_rules(reading: &Reading) -> Vec<Finding> {
    let mut findings = Vec::new();
    for command in &reading.commands {
        for (risk, rule, about) in of_command(command) {
            findings.push(Finding::new(risk, rule, about, &command.to_string()));
        }
    }
    if is_fork_bomb(reading) {
        let about = "a function that starts itself twice";
        findings.push(Finding::new(High, "command.fork-bomb", about, ""));
    }
    findings
}

type Rule = (SecurityRisk, &'static str, &'static str);

fn of_command(command: &SimpleCommand) -> Vec<Rule> {
    let mut rules = Vec::new();
    if writes_startup_file(command) {
        rules.push((
            Medium,
            "command.startup-file",
            "writes a file that decides who may log in or what is run by itself",
        ));
    }
    if writes_system_file(command) {
        rules.push((
            Medium,
            "command.system-file",
            "writes to a folder of the system",
        ));
    }
    let Some(program) = command.program() else {
        return rules;
    };
    let as_administrator = ADMINISTRATOR.iter().any(|it| command.is_via(it));
    if deletes_by_force(command) {
        rules.push((
            High,
            "command.delete-by-force",
            "deletes folders without asking",
        ));
    } else if program == "rm" && as_administrator {
        rules.push((
            High,
            "command.delete-as-administrator",
            "deletes as the administrator",
        ));
    } else if deletes_folders(command) {
        rules.push((Medium, "command.delete-folder", "deletes folders"));
    }
    let critical = || {
        command
            .arguments()
            .iter()
            .any(|it| target(it) == Target::Critical)
    };
    let rule = match program {
        "chmod" | "chown" | "chgrp" if has_option(command, &['R'], "--recursive") && critical() => {
            (
                High,
                "command.system-rights",
                "changes the rights of folders of the system",
            )
        }
        "mv" if critical() => (
            Medium,
            "command.system-file",
            "moves something of the system",
        ),
        "kill"
            if command
                .arguments()
                .iter()
                .any(|it| it.literal() == Some("-1"))
                && command.words.len() > 2 =>
        {
            (High, "command.kill-all", "ends all processes")
        }
        "find" if deletes_all_it_finds(command) => (
            High,
            "command.delete-by-force",
            "deletes all that it finds without asking",
        ),
        "git" => match git(command) {
            Some(rule) => rule,
            None => return rules,
        },
        "crontab" | "at" | "batch" | "systemctl" | "launchctl" => {
            (Medium, "command.service", "changes what runs by itself")
        }
        _ if POWER.contains(&program) => (High, "command.power", "stops the machine"),
        _ if ADMINISTRATOR.contains(&program) => {
            (Medium, "command.administrator", "acts as another user")
        }
        _ if is_fetcher(program) => (Medium, "command.fetch", "uses the network"),
        _ if NETWORK.contains(&program) => (Medium, "command.network", "uses the network"),
        _ => return rules,
    };
    rules.push(rule);
    rules
}

/// Whether a `find` deletes, and nothing says which files it is to find.
fn deletes_all_it_finds(command: &SimpleCommand) -> bool {
    let has = |text: &str| {
        let mut arguments = command.arguments().iter();
        arguments.any(|it| it.literal() == Some(text))
    };
    has("-delete") && !FILTERS.iter().any(|filter| has(filter))
}

/// What loses work or reaches others.
fn git(command: &SimpleCommand) -> Option<Rule> {
    let has = |text: &str| {
        command
            .arguments()
            .iter()
            .any(|it| it.literal() == Some(text))
    };
    if has("push") {
        let forced = has_option(command, &['f'], "--force")
            || command
                .arguments()
                .iter()
                .any(|it| it.source().starts_with("--force"));
        return Some(if forced {
            (
                High,
                "command.git-force-push",
                "overwrites what others have",
            )
        } else {
            (Medium, "command.git-push", "publishes commits")
        });
    }
    let loses =
        (has("reset") && has("--hard")) || (has("clean") && has_option(command, &['f'], "--force"));
    loses.then_some((
        Medium,
        "command.git-discard",
        "discards work that is not committed",
    ))
}

fn written(command: &SimpleCommand) -> Vec<String> {
    let redirected = command
        .redirections
        .iter()
        .filter(|it| it.writes() && !it.is_harmless());
    let mut files: Vec<String> = redirected.map(|it| it.target.source()).collect();
    match command.program() {
        Some("tee") => files.extend(command.arguments().iter().map(Word::source)),
        Some("cp" | "mv" | "install" | "ln") => {
            files.extend(command.words.last().map(Word::source))
        }
        Some(_) | None => {}
    }
    files
}

fn writes_startup_file(command: &SimpleCommand) -> bool {
    let decides = |file: &String| {
        let file = format!("/{file}");
        STARTUP_FILES.iter().any(|name| file.contains(name))
    };
    written(command).iter().any(decides)
}

fn writes_system_file(command: &SimpleCommand) -> bool {
    let critical = |file: &String| {
        is_critical(file)
            && !file.starts_with("/home/")
            && !file.starts_with("/root/")
            && !file.starts_with("/dev/")
    };
    written(command).iter().any(critical)
}

/// `f() { f | f & }; f`
fn is_fork_bomb(reading: &Reading) -> bool {
    reading.commands.iter().any(|command| {
        let Some(before) = command.fed_by.clone() else {
            return false;
        };
        let name = command.words.first().map(Word::source);
        let defines = |name: &str| {
            reading.shape.starts_with(&format!("{name} ( )"))
                || reading.shape.contains(&format!(" {name} ( )"))
        };
        let before = reading.commands.get(before).unwrap_or_default();
        name.as_deref().is_some_and(|name| {
            command.words.len() == 1
                && defines(name)
                && before
                    .iter()
                    .any(|it| it.words.first().map(Word::source).as_deref() == Some(name))
        })
    })
}
