//! `dctrl`: parse, run, tell the shell how it went.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use dctrl_cli::{args::Cli, failure::Failure, run};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return wrong_command_line(&error),
    };
    let json = cli.global.json;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => Err(Failure::from(error)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure, json),
    }
}

/// One line on standard error; for programs also an object on standard output.
fn report(failure: &Failure, json: bool) -> ExitCode {
    if !matches!(failure, Failure::PipeClosed) {
        // A reader that went away must not turn a refusal into a panic.
        let _ = writeln!(io::stderr(), "error: {failure}");
        if json {
            let _ = writeln!(io::stdout(), "{}", failure.to_json());
        }
    }
    failure.exit_code()
}

/// Help and version are answers; the rest is told as clap tells it best, with
/// the object for programs where they asked for one.
fn wrong_command_line(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let failure = Failure::usage("command.line", error.kind().to_string());
    if std::env::args().any(|argument| argument == "--json") {
        let _ = writeln!(io::stdout(), "{}", failure.to_json());
    }
    failure.exit_code()
}
