use super::*;
use crate::built_in;

#[test]
fn a_name_means_its_tool_whatever_stands_around_it() {
    let tools = built_in::tests::opened(&["terminal", "file_editor"], &["FinishTool"]).unwrap();
    let meant = |called: &str| resolve(&tools, called).map(|tool| tool.name().to_owned());
    for called in [
        "terminal",
        "Terminal",
        " terminal\n",
        "functions.terminal",
        "functions.terminal:0",
        "default_api.Terminal",
        "default_api:terminal",
        "terminal<|channel|>commentary",
        "<|constrain|>terminal",
        "TERMINAL()",
        "functions.bash",
    ] {
        assert_eq!(meant(called).as_deref(), Some("terminal"), "{called}");
    }
    assert_eq!(meant("File Editor").as_deref(), Some("file_editor"));
    assert_eq!(meant("file-editor").as_deref(), Some("file_editor"));
    for called in [
        "",
        "terminals",
        "ls -la /tmp; echo terminal",
        "a.b",
        "<|x|>",
    ] {
        assert_eq!(meant(called), None, "{called}");
    }
}

#[test]
fn a_name_that_means_no_tool_is_repeated_in_part() {
    let tools = built_in::tests::opened(&["terminal"], &[]).unwrap();
    let answer = not_found(&tools, &"x".repeat(305));
    let shown = "x".repeat(SHOWN_CHARS);
    assert_eq!(
        answer,
        format!("Tool '{shown}' not found. Available: ['terminal']")
    );
}
