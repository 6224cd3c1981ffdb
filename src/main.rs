//! The `towline` program: reads the command line, runs the verb, says how it ended.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
