//! Sizes and words of single files.

use super::Finding;

/// Longest source file, lines. 150 is usual and 350 is long; a file over this
/// is split by meaning.
const LINES_MAX: usize = 500;

/// A word that may not stand in a source file.
struct Word {
    /// In two halves, so that this table does not find itself.
    halves: (&'static str, &'static str),
    remedy: &'static str,
}

const UNFINISHED: &str = "finish it, or file an issue and leave no stub behind";
const MACHINE: &str = "take the path from configuration, an argument or the environment";
const HOST: &str = "name the package only; the host is the business of the machine's set-up";

const WORDS: [Word; 13] = [
    Word {
        halves: ("todo", "!("),
        remedy: UNFINISHED,
    },
    Word {
        halves: ("unimplemented", "!("),
        remedy: UNFINISHED,
    },
    Word {
        halves: ("dbg", "!("),
        remedy: "use tracing, or take it out",
    },
    Word {
        halves: ("/ho", "me/"),
        remedy: MACHINE,
    },
    Word {
        halves: ("/ro", "ot/"),
        remedy: MACHINE,
    },
    Word {
        halves: ("/wo", "rk/"),
        remedy: MACHINE,
    },
    Word {
        halves: ("/Us", "ers/"),
        remedy: MACHINE,
    },
    Word {
        halves: ("deb.debian", ".org"),
        remedy: HOST,
    },
    Word {
        halves: ("static.crates", ".io"),
        remedy: HOST,
    },
    Word {
        halves: ("index.crates", ".io"),
        remedy: HOST,
    },
    Word {
        halves: ("pypi", ".org"),
        remedy: HOST,
    },
    Word {
        halves: ("registry.npmjs", ".org"),
        remedy: HOST,
    },
    Word {
        halves: ("<<<<<<", "< "),
        remedy: "resolve the merge",
    },
];

/// Endings of the files that are read; `Cargo.lock` is written by cargo, which
/// names its registry there.
const READ: [&str; 8] = [
    ".rs", ".toml", ".md", ".proto", ".sh", ".yaml", ".yml", "/run",
];

/// Findings for one file.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !READ.iter().any(|ending| path.ends_with(ending)) {
        return findings;
    }
    let lines = text.lines().count();
    if path.ends_with(".rs") && lines > LINES_MAX {
        findings.push(Finding {
            place: path.to_owned(),
            fault: format!("{lines} lines, more than {LINES_MAX}"),
            remedy: "split it by meaning: the file becomes a folder of smaller ones",
        });
    }
    for (number, line) in text.lines().enumerate() {
        for word in &WORDS {
            let whole = [word.halves.0, word.halves.1].concat();
            if line.contains(&whole) {
                findings.push(Finding {
                    place: format!("{path}:{}", number + 1),
                    fault: format!("`{whole}` may not stand here"),
                    remedy: word.remedy,
                });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_word_is_found_with_its_line() {
        let text = format!("fine\nlet x = {}x);\n", ["dbg", "!("].concat());
        let findings = check("node/src/a.rs", &text);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].place, "node/src/a.rs:2");
    }

    #[test]
    fn a_file_of_500_lines_passes_and_one_of_501_does_not() {
        assert!(check("a.rs", &"x\n".repeat(500)).is_empty());
        assert_eq!(check("a.rs", &"x\n".repeat(501)).len(), 1);
    }

    #[test]
    fn the_lock_file_may_name_its_registry() {
        let host = ["index.crates", ".io"].concat();
        assert!(check("Cargo.lock", &host).is_empty());
        assert_eq!(check("README.md", &host).len(), 1);
    }
}
