//! Running other programs: what is run is shown, what fails is named.

use std::{
    ffi::OsStr,
    io::{IsTerminal, Write},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Shows a step to a person; on standard error, so that standard output stays
/// for results.
pub(crate) fn say(text: &str) {
    let mut to = std::io::stderr().lock();
    let styled = to.is_terminal();
    // A closed standard error is no reason to stop working.
    let _ = if styled {
        writeln!(to, "\u{1b}[1m==> {text}\u{1b}[0m")
    } else {
        writeln!(to, "==> {text}")
    };
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .map(|word| {
            if word.is_empty() || word.contains([' ', '$', '(', '*', '\'']) {
                format!("'{word}'")
            } else {
                word.into_owned()
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs to the end with our own input and output.
///
/// # Errors
/// Where it cannot be started or ends with another code than 0.
pub(crate) fn execute(command: &mut Command) -> Result<()> {
    let text = shown(command);
    let status = command
        .status()
        .with_context(|| format!("cannot start `{text}`"))?;
    if !status.success() {
        bail!("`{text}` ended with {status}");
    }
    Ok(())
}

/// Runs quietly and gives its standard output; what it said on standard error
/// is part of the error where it fails.
///
/// # Errors
/// Where it cannot be started or ends with another code than 0.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let text = shown(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{text}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{text}` ended with {}: {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Becomes the program: Ctrl-C then reaches it alone, and its exit code is ours.
///
/// # Errors
/// Always, where it returns: the program could not be started.
pub(crate) fn become_program(command: &mut Command) -> Result<()> {
    let text = shown(command);
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start `{text}`"))
}

/// Whether a program of that name is on the path.
pub(crate) fn exists(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_named_with_what_it_said() {
        let error = output(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]))
            .expect_err("exit code 3");
        let text = error.to_string();
        assert!(text.contains("sh -c 'echo broken >&2; exit 3'"), "{text}");
        assert!(text.contains("broken"), "{text}");
    }

    #[test]
    fn a_missing_program_is_an_error_not_a_panic() {
        assert!(execute(&mut Command::new("no-such-program-here")).is_err());
        assert!(!exists("no-such-program-here"));
        assert!(exists("sh"));
    }
}
