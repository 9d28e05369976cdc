use std::fs;

/// What is known of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    pub id: i32,
    /// The program's name, without arguments: these may hold what belongs in no log.
    pub name: String,
    /// The command line as the system has it.
    pub command: String,
}

impl ProcessInfo {
    /// The living process `id`. `None` where there is no such process, or no `/proc`.
    pub(crate) fn of(id: i32) -> Option<Self> {
        let read = |file| fs::read(format!("/proc/{id}/{file}")).ok();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        let name = text(read("comm")?);
        let words = read("cmdline")?;
        let command = text(words).replace('\0', " ").trim().to_owned();
        Some(Self {
            id,
            command: if command.is_empty() {
                name.clone()
            } else {
                command
            },
            name,
        })
    }
}
