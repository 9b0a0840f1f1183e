//! Program `constellation`: the node's commands, and the commands that need the engine in this process.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use node::CommandContext;
use protocol::text::{escaped, is_hidden};

mod evaluate;
mod simulate;
mod trainer;

/// Federated training on idle Macs
#[derive(Debug, Parser)]
#[command(name = "constellation", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[expect(clippy::large_enum_variant, reason = "there is one, for as long as the process lives")]
#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Node(node::Command),
    /// Simulate a job in one process, without workers or a network
    Simulate(simulate::SimulateArguments),
    /// Train for the process that started this one
    #[command(hide = true)]
    Trainer(trainer::TrainerArguments),
}

fn main() -> ExitCode {
    platform::private::restrict_umask();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => wrong_usage(&error),
    };
    match arguments.command {
        Command::Node(command) => match std::env::current_exe() {
            Ok(program) => node::run(command, &CommandContext { program, evaluate: evaluate::run }),
            Err(error) => fail(&anyhow::Error::from(error).context("this program can't be found")),
        },
        Command::Simulate(arguments) => node::output::exit_code(&simulate::run(&arguments)),
        Command::Trainer(arguments) => trainer::run(arguments),
    }
}

/// Prints the help, the version or what is wrong with the arguments. An argument can be the name of a file from
/// elsewhere, so it is escaped.
fn wrong_usage(error: &clap::Error) -> ! {
    if !std::env::args_os().any(|argument| argument.to_string_lossy().contains(is_hidden)) {
        error.exit();
    }
    let shown = std::env::args_os().map(|argument| escaped(&argument.to_string_lossy()));
    if let Err(error) = Arguments::try_parse_from(shown) {
        error.exit();
    }
    node::output::note(error);
    std::process::exit(error.exit_code());
}

fn fail(error: &anyhow::Error) -> ExitCode {
    node::output::error(error);
    ExitCode::FAILURE
}
