use std::process::ExitCode;

fn main() -> ExitCode {
    agent_server::main()
}
