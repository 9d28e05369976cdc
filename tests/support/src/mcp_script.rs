//! A small MCP server that does what a test says: a shell script.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

/// Reads one request a line. What a tool does is in a script of its own, which calls `answer RESULT` and
/// `notify METHOD`.
const SCRIPT: &str = r#"
cd "$(dirname "$0")" || exit 1
echo $$ >pid
env >environment
answer() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$1"; }
notify() { printf '{"jsonrpc":"2.0","method":"%s"}\n' "$1"; }
echo "a line that is no message"
echo "it starts with $1" >&2
[ -f start.sh ] && . ./start.sh
while IFS= read -r line; do
    printf '%s\n' "$line" >>received
    id=${line#*\"id\":}
    id=${id%%,*}
    case $line in
    *'"method":"initialize"'*)
        answer '{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"script","version":"1"}}'
        ;;
    *'"method":"tools/list"'*) answer "$(cat tools.json)" ;;
    *'"method":"tools/call"'*)
        tool=${line#*\"name\":\"}
        tool=${tool%%\"*}
        . "./call-$tool.sh"
        ;;
    esac
done
echo "it was told to end" >>received
"#;

/// A server in a folder of its own.
pub struct McpScript(PathBuf);

impl McpScript {
    /// A server in `folder`, which is made.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("server.sh"), SCRIPT).unwrap();
        let script = Self(folder.to_owned());
        script.offer(&json!([]));
        script
    }

    /// What it lists from now on.
    pub fn offer(&self, tools: &Value) {
        let page = json!({"tools": tools});
        self.write("tools.json", &page.to_string());
    }

    /// What a call of a tool does.
    pub fn on_call(&self, tool: &str, script: &str) {
        self.write(&format!("call-{tool}.sh"), script);
    }

    /// What it does when it starts, before it reads.
    pub fn on_start(&self, script: &str) {
        self.write("start.sh", script);
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    /// A file that it wrote; empty when there is none.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }

    /// As a conversation's settings name it.
    #[must_use]
    pub fn settings(&self) -> Value {
        json!({"command": "sh", "args": [self.0.join("server.sh"), "an argument"],
               "env": {"SERVER_TOKEN": "hush-hush"}})
    }

    /// Whether the process that wrote its id last is there.
    #[must_use]
    pub fn runs(&self) -> bool {
        let id = self.read("pid");
        let id = id.trim();
        !id.is_empty() && Path::new("/proc").join(id).exists()
    }
}

/// A tool that takes anything, as a server lists it.
#[must_use]
pub fn tool(name: &str, description: &str) -> Value {
    json!({"name": name, "description": description,
           "inputSchema": {"type": "object", "properties": {"a": {"type": "integer"}}}})
}
