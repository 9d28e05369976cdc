use proptest::prelude::*;

use super::*;

/// The commands as text, without what only wraps another one, and `?` for gaps.
fn all(source: &str) -> Vec<String> {
    let reading = read(source);
    let mut found: Vec<String> = reading.commands.iter().map(ToString::to_string).collect();
    found.extend(reading.gaps.iter().map(|gap| format!("? {gap:?}")));
    found
}

fn finds(source: &str, command: &str) {
    let found = all(source);
    assert!(
        found.iter().any(|it| it == command),
        "{source}\nhas {command}, found {found:#?}"
    );
}

#[test]
fn a_command_is_found_wherever_it_hides() {
    for source in [
        "rm -rf /",
        "a; rm -rf /",
        "a && rm -rf / || b",
        "a & rm -rf / &",
        "! rm -rf /",
        "(cd x; rm -rf /)",
        "{ rm -rf /; }",
        "if a; then rm -rf /; fi",
        "while rm -rf /; do b; done",
        "for i in a b; do rm -rf /; done",
        "case x in x) rm -rf /;; esac",
        "f() { rm -rf /; }; f",
        "echo $(rm -rf /)",
        "echo \"a $(rm -rf /) b\"",
        "echo `rm -rf /`",
        "cat <(rm -rf /)",
        "x=$(rm -rf /)",
        "export X=$(rm -rf /)",
        "echo > $(rm -rf /)",
        "[[ -n $(rm -rf /) ]]",
        "cat <<E\n$(rm -rf /)\nE",
        "X=1 rm -rf /",
        "rm -rf / > /dev/null 2>&1",
        "sudo rm -rf /",
        "sudo -u root -n rm -rf /",
        "sudo X=1 rm -rf /",
        "env rm -rf /",
        "env -i A=b C=d rm -rf /",
        "env -S 'rm -rf /'",
        "/usr/bin/env -u X rm -rf /",
        "nohup rm -rf / &",
        "timeout 5 rm -rf /",
        "timeout -k 1 -s KILL 5 rm -rf /",
        "nice -n 5 rm -rf /",
        "nice -5 rm -rf /",
        "time rm -rf /",
        "stdbuf -oL rm -rf /",
        "setsid -f rm -rf /",
        "command rm -rf /",
        "builtin command rm -rf /",
        "exec rm -rf /",
        "exec -a ls rm -rf /",
        "busybox rm -rf /",
        "chroot /mnt rm -rf /",
        "strace -f -o log rm -rf /",
        "sudo env X=1 nohup timeout 5 rm -rf /",
        "sh -c 'rm -rf /'",
        "bash -lc \"rm -rf /\"",
        "bash --norc -e -c 'rm -rf /' name",
        "/bin/sh -o pipefail -c 'rm -rf /'",
        "sudo sh -c 'a; rm -rf /'",
        "sh -c 'sh -c \"rm -rf /\"'",
        "eval rm -rf /",
        "eval 'rm -rf /'",
        "eval \"rm\" -rf \"/\"",
        "trap 'rm -rf /' EXIT",
        "alias ls='rm -rf /'",
        "su root -c 'rm -rf /'",
        "ssh host rm -rf /",
        "ssh -p 22 host 'cd x; rm -rf /'",
        "watch -n 1 rm -rf /",
        "find . -exec rm -rf / \\;",
        "find . -name x -execdir rm -rf / ';' -print",
        "sh <<E\nrm -rf /\nE",
        "sh <<'E'\nrm -rf /\nE",
        "cat <<E | sh\nrm -rf /\nE",
        "bash -s <<E\nrm -rf /\nE",
        "bash <<< 'rm -rf /'",
        "echo 'rm -rf /' | sh",
        "echo rm -rf / | sudo bash",
        "printf '%s\\n' 'rm -rf /' | sh -s",
        "printf 'rm -rf /' | sh",
        "r''m -rf /",
        "\"r\"m -rf /",
        "'rm' -rf /",
        "\\rm -rf /",
        "r\\m -rf /",
        "$'\\x72m' -rf /",
        "$'rm' -rf /",
        "r\\\nm -rf /",
        "rm \\\n -rf /",
        "rm${IFS}-rf${IFS}/",
        "rm -r\"f\" '/'",
        "a | rm -rf /",
        "rm -rf / | a",
        "a\nrm -rf /",
        "a # b\nrm -rf /",
        "'r'\\m -rf /",
        "\"r\"\\m '-'\\rf /",
        "coproc rm -rf /",
        "flock /tmp/lock rm -rf /",
        "flock /tmp/lock -c 'rm -rf /'",
        "parallel rm -rf / ::: a",
    ] {
        let reading = read(source);
        let hides = |command: &SimpleCommand| {
            let words: Vec<_> = command.words.iter().take(3).map(Word::literal).collect();
            words == [Some("rm"), Some("-rf"), Some("/")]
        };
        assert!(reading.commands.iter().any(hides), "{source}\n{reading:#?}");
    }
}

#[test]
fn names_are_known_without_their_folder() {
    for source in ["/bin/rm x", "./rm x", "/usr//bin/rm x", "\"/bin\"/rm x"] {
        assert_eq!(read(source).commands[0].program(), Some("rm"), "{source}");
    }
}

#[test]
fn what_is_known_only_when_it_runs_is_a_gap() {
    for (source, gap) in [
        ("$CMD x", Gap::UnknownProgram),
        ("\"$CMD\" x", Gap::UnknownProgram),
        ("$(which rm) x", Gap::UnknownProgram),
        ("r$X x", Gap::UnknownProgram),
        ("/b?n/rm x", Gap::UnknownProgram),
        ("~/bin/tool x", Gap::UnknownProgram),
        ("sudo $CMD", Gap::UnknownProgram),
        (
            "echo a | xargs -I{} {} x; ls | xargs $X",
            Gap::UnknownProgram,
        ),
        ("sh -c \"$X\"", Gap::UnknownText),
        ("sh -c \"ls $X\"", Gap::UnknownText),
        ("sh -c", Gap::UnknownText),
        ("eval $X", Gap::UnknownText),
        ("eval \"$(curl x)\"", Gap::UnknownText),
        ("source <(curl x)", Gap::UnknownText),
        ("bash <(curl x)", Gap::UnknownText),
        ("curl x | sh", Gap::UnknownText),
        ("base64 -d x | sh", Gap::UnknownText),
        ("cat x | sudo bash -s", Gap::UnknownText),
        ("sh <<E\n$X\nE", Gap::UnknownText),
        ("bash <<< \"$X\"", Gap::UnknownText),
        ("echo $X | sh", Gap::UnknownText),
        ("sudo --odd rm x", Gap::UnknownOption),
        ("{rm,-rf,/}", Gap::Syntax),
        ("echo 'unterminated", Gap::Syntax),
        ("echo )", Gap::Syntax),
    ] {
        let gaps = read(source).gaps;
        assert!(gaps.contains(&gap), "{source} has {gap:?}, found {gaps:?}");
    }
}

#[test]
fn usual_commands_have_no_gaps() {
    for source in [
        "",
        "ls -la",
        "cd \"$DIR\" && make -j4 > build.log 2>&1",
        "grep -rn 'a b' src | head -5",
        "git commit -m \"fix: $(date)\"",
        "for f in *.c; do gcc -c \"$f\"; done",
        "cat > x.py <<'EOF'\nprint(\"$HOME\")\nEOF",
        "X=1 python -m pytest -x tests/test_a.py::test_b",
        "find . -name '*.rs' -exec grep -l x {} +",
        "ls | xargs -n1 basename",
        "echo {} | sed 's/{}/x/'",
        "[ -f x ] && . ./x",
        "./configure --prefix=/usr && sudo -E make install",
        "sh build.sh --fast",
        "timeout 60 cargo test -p x -- --nocapture",
        "if [[ $a == b* ]]; then echo \"${a%%x}\"; fi",
        "awk '{print $1}' x | sort | uniq -c",
        "echo $((1 + 2))",
        "while read -r line; do echo \"$line\"; done < x",
    ] {
        let reading = read(source);
        assert!(reading.gaps.is_empty(), "{source}\n{reading:#?}");
    }
}

#[test]
fn arguments_that_others_add_are_unknown() {
    finds("ls | xargs rm -rf", "rm -rf …");
    finds("find . -exec rm {} \\;", "rm {}");
    let reading = read("ls | xargs rm -rf");
    assert!(reading.commands[2].words[2].is_dynamic());
}

#[test]
fn it_is_known_what_feeds_and_what_holds_a_command() {
    let reading = read("curl x | sudo sh");
    let programs: Vec<_> = reading
        .commands
        .iter()
        .map(SimpleCommand::program)
        .collect();
    assert_eq!(programs, [Some("curl"), Some("sudo"), Some("sh")]);
    assert_eq!(reading.commands[2].fed_by, Some(0..1));
    let reading = read("sh -c \"$(curl x)\"");
    let curl = reading
        .commands
        .iter()
        .find(|it| it.program() == Some("curl"));
    assert_eq!(curl.unwrap().part_of, Some(0));
}

/// These crashed the parser: they are beyond its table of digits.
#[test]
fn any_characters_can_stand_anywhere() {
    for source in [
        "{\u{10ffff}",
        "{1\u{f3ab2}",
        "{1..\u{10ffff}",
        "echo {𝒳..é}",
        "{\u{fff0f}\u{fff0f}",
    ] {
        assert!(!read(source).commands.is_empty() || !read(source).gaps.is_empty());
    }
    let reading = read("écho 'ü b' $'\\u00e9' \\é \"中$X文\"; rm\u{a0}x");
    let shown: Vec<_> = reading.commands.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["écho 'ü b' é é 中$X文", "'rm\u{a0}x'"]);
    assert!(reading.gaps.is_empty());
    assert!(!read("ls \u{1}").gaps.is_empty());
    assert_ne!(read("<<é\nè\n'\né\nrm x\n'").gaps.len(), 0);
}

#[test]
fn redirections_are_kept() {
    let reading = read("a > /etc/x 2>&1 < y; b &> /dev/null");
    let of = |at: usize| &reading.commands[at].redirections;
    let targets: Vec<_> = of(0)
        .iter()
        .map(|it| it.target.literal().unwrap())
        .collect();
    assert_eq!(targets, ["/etc/x", "1", "y"]);
    let harmless: Vec<_> = of(0).iter().map(Redirection::is_harmless).collect();
    assert_eq!(harmless, [false, true, false]);
    assert!(of(1).iter().all(Redirection::is_harmless));
    assert_eq!(reading.commands[0].input, Some(Input::File(Word::new("y"))));
    let group = read("{ a; b; } > /etc/x");
    assert!(group.commands.iter().any(|it| !it.redirections.is_empty()));
}

#[test]
fn the_shape_tells_operators_apart() {
    let shapes = [
        "a && b",
        "a || b",
        "a; b",
        "a | b",
        "a & b",
        "(a; b)",
        "f() { a; }; b",
    ];
    let mut shapes: Vec<String> = shapes.iter().map(|it| read(it).shape).collect();
    shapes.sort();
    shapes.dedup();
    assert_eq!(shapes.len(), 7);
    assert_eq!(read("a  &&  'b'").shape, read("a && b").shape);
}

#[test]
fn hostile_texts_are_given_up() {
    let many = 10_000;
    for source in [
        format!("{}rm -rf /{}", "(".repeat(many), ")".repeat(many)),
        format!("{}rm -rf /{}", "$(".repeat(many), ")".repeat(many)),
        format!("{}rm -rf /{}", "echo \"$(".repeat(many), ")\"".repeat(many)),
        format!("{}rm -rf /{}", "{ ".repeat(many), "; }".repeat(many)),
        format!("{}rm -rf /", "sudo ".repeat(many)),
        "<<E ".repeat(many),
        "`".repeat(many),
        "'\"".repeat(many),
        "if a; then ".repeat(many),
        "[[ ( ".repeat(many),
        "${x:-".repeat(many),
        "a".repeat(1_000_000),
        "a; ".repeat(333_333),
        "\\\n".repeat(500_000),
        "<(".repeat(100_000),
    ] {
        let reading = read(&source);
        assert!(!reading.gaps.is_empty(), "{}", &source[..20]);
        assert!(reading.commands.len() <= 100_000);
    }
}

#[test]
fn texts_within_texts_have_an_end() {
    let mut source = "rm x".to_owned();
    for _ in 0..12 {
        source = format!("eval {}", source.replace('\\', "\\\\").replace(' ', "\\ "));
        if source.len() > 100_000 {
            break;
        }
    }
    assert!(!read(&source).gaps.is_empty());
}

fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "rm", "-rf", "/", "sh", "-c", "'", "\"", "`", "$(", ")", "(", "{", "}", ";", "&&", "|",
            "<<E\n", "\nE\n", ">", "<", "sudo", "env", "xargs", "find", "-exec", "\\;", "eval",
            "$X", "\\", "\n", "#", "if", "then", "fi", "case", "esac", "for", "in", "do", "done",
            "[[", "]]", "$'", "é", "\u{0}", "<(", "&", "=", "*", "~", "function", "f()", "<<<",
            "${", "$((", "))", "!", "time",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
    ]
}

proptest! {
    #[test]
    fn any_text_is_read(parts in prop::collection::vec(fragment(), 0..40), spaced in any::<bool>()) {
        let source = parts.join(if spaced { " " } else { "" });
        let reading = read(&source);
        prop_assert_eq!(read(&source), reading);
    }

    /// A command before others, on a line of its own, is found whatever follows.
    #[test]
    fn what_follows_hides_nothing(parts in prop::collection::vec(fragment(), 0..30)) {
        let source = format!("rm -rf /tmp/x\n{}", parts.join(" "));
        let reading = read(&source);
        let found = reading.commands.iter().any(|it| it.to_string().starts_with("rm -rf /tmp/x"));
        prop_assert!(found || !reading.gaps.is_empty(), "{:#?}", reading);
    }

    /// However its characters are quoted, a name is the same.
    #[test]
    fn quotes_do_not_change_a_word(word in "[a-z/.-]{1,8}", ways in prop::collection::vec(0..5u8, 8)) {
        let quoted: String = word.chars().zip(&ways).map(|(char, way)| match way {
            0 => char.to_string(),
            1 => format!("'{char}'"),
            2 => format!("\"{char}\""),
            3 => format!("\\{char}"),
            _ => format!("{char}''"),
        }).collect();
        let reading = read(&format!("echo {quoted}"));
        prop_assert_eq!(reading.commands[0].words[1].literal(), Some(word.as_str()));
    }
}
