//! Tidiness as a test: the arrows between modules, the size of files, the links of the documents, words
//! that do not belong. Each rule says why it is there; the checks have tests of their own below.

use std::fs;
use std::path::{Path, PathBuf};

/// Which modules of the crate each one may use. The core never looks up.
const ARROWS: &[(&str, &[&str])] = &[
    ("raft", &[]),
    ("kv", &["raft"]),
    ("codec", &["raft", "kv", "replica"]),
    ("replica", &["raft", "kv", "codec"]),
    ("cluster", &["raft", "kv", "codec", "replica"]),
    ("sim", &["raft", "kv", "codec", "replica", "cluster"]),
    ("cli", &["raft", "kv", "codec", "replica", "cluster", "sim"]),
];

/// A file longer than this holds more than one thing.
const LINES_MAX: usize = 600;

/// Longer for a reason.
const LONG_FILES: &[(&str, usize)] = &[];

/// Names that say nothing about what they hold, and leftovers.
const BANNED_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "manager", "misc", "common", "core"];
const BANNED_TEXT: &[&str] = &["TODO", "FIXME", "XXX", "HACK", "#[ignore", "should_panic"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files_below(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

fn files(folders: &[&str], extension: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    folders.iter().for_each(|folder| files_below(&root().join(folder), extension, &mut found));
    let named = found.into_iter().map(|path| {
        let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, text)
    });
    named.collect()
}

/// The modules of the crate that a file of `module` names where it may not. Tests within a module may
/// look anywhere.
fn forbidden_uses(module: &str, text: &str) -> Vec<String> {
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else { return Vec::new() };
    let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code = shipped.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut forbidden = Vec::new();
    for line in code {
        for (other, _) in ARROWS.iter().filter(|(other, _)| *other != module && !allowed.contains(other)) {
            if line.contains(&format!("crate::{other}::")) || line.contains(&format!("crate::{other};")) {
                forbidden.push((*other).to_string());
            }
        }
    }
    forbidden
}

#[test]
fn modules_only_use_what_lies_below_them() {
    for (name, text) in files(&["src"], "rs") {
        let mut parts = name.split('/').skip(1);
        let module = parts.next().unwrap_or_default().trim_end_matches(".rs");
        let forbidden = forbidden_uses(module, &text);
        assert!(forbidden.is_empty(), "{name} must not use {forbidden:?}");
    }
}

#[test]
fn the_core_reaches_for_nothing_impure() {
    for (name, text) in files(&["src"], "rs")
        .iter()
        .filter(|(name, _)| !name.starts_with("src/cli/") && *name != "src/main.rs" && *name != "src/lib.rs")
    {
        let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in ["std::", "HashMap", "HashSet", "Instant", "SystemTime", "dyn ", "unsafe "] {
            let used = shipped
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .find(|line| line.contains(word) && !line.contains("unsafe_code"));
            assert!(used.is_none(), "{name} uses {word:?}: {}", used.unwrap_or_default().trim());
        }
    }
}

#[test]
fn files_are_short_enough_to_read() {
    for (name, text) in files(&["src", "models", "tests"], "rs") {
        let most = LONG_FILES.iter().find(|(long, _)| *long == name).map_or(LINES_MAX, |(_, lines)| *lines);
        let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = shipped.lines().count();
        assert!(lines <= most, "{name} has {lines} lines, more than {most}: split it by what it is about");
    }
}

#[test]
fn names_say_what_they_hold() {
    for (name, text) in files(&["src", "models", "tests"], "rs") {
        for part in name.trim_end_matches(".rs").split('/') {
            assert!(!BANNED_NAMES.contains(&part), "{name}: {part:?} says nothing");
        }
        if name == "tests/it/tidy.rs" {
            continue;
        }
        for word in BANNED_TEXT {
            assert!(!text.contains(word), "{name} contains {word:?}");
        }
    }
}

#[test]
fn every_module_opens_with_what_it_is() {
    for (name, text) in files(&["src", "models", "tests"], "rs") {
        assert!(text.starts_with("//!"), "{name} does not say what it is for");
    }
}

/// Links to files in a document, without their anchors.
fn links(text: &str) -> Vec<&str> {
    let ends = text.match_indices("](").map(|(at, _)| &text[at + 2..]);
    let targets = ends.filter_map(|rest| rest.split(')').next());
    targets
        .filter(|to| !to.contains("://") && !to.starts_with('#'))
        .map(|to| to.split('#').next().unwrap_or(to))
        .collect()
}

#[test]
fn documents_link_to_what_exists() {
    let mut documents = files(&["docs", "models", "tests"], "md");
    documents.extend(["README.md"].map(|name| {
        (
            name.to_string(),
            fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}")),
        )
    }));
    for (name, text) in documents {
        let folder = root().join(&name).parent().expect("a file is in a folder").to_path_buf();
        for link in links(&text) {
            assert!(folder.join(link).exists(), "{name} links to {link:?}, which does not exist");
        }
    }
}

#[test]
fn every_rule_has_its_source() {
    let text = fs::read_to_string(root().join("src/raft/rules.rs")).expect("the rules are there");
    let body = text.split("pub trait Rules").nth(1).expect("the trait is there");
    let mut comment = String::new();
    for line in body.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            comment.push_str(words);
        } else if let Some(signature) = line.strip_prefix("fn ") {
            let cited =
                comment.contains('§') || comment.contains("Figure") || comment.contains("dissertation");
            assert!(cited, "rule {:?} cites no source", signature.split('(').next().unwrap_or_default());
            comment.clear();
        }
    }
}

/// The quoted words of a list in a file of settings.
fn listed(text: &str, key: &str) -> Vec<String> {
    let rest = text.split_once(&format!("{key} = [")).map_or("", |(_, rest)| rest);
    let list = rest.split(']').next().unwrap_or_default();
    list.split('"').skip(1).step_by(2).map(str::to_string).collect()
}

/// Mutants are tried by hand, so that nobody would notice if their settings named what is gone. That the
/// program of tests builds is for the lints, which see every package.
#[test]
fn mutants_are_of_what_exists() {
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let (settings, workspace) = (read(".cargo/mutants.toml"), read("Cargo.toml"));
    let globs = listed(&settings, "examine_globs");
    assert_eq!(globs.len(), 3, "consensus, replica and store");
    for glob in globs {
        let folder = glob.strip_suffix("/**/*.rs").unwrap_or_else(|| panic!("{glob} is a folder"));
        assert!(!files(&[folder], "rs").is_empty(), "{glob} is empty");
    }
    assert_eq!(listed(&settings, "test_package"), ["dkv-mutants"]);
    assert!(read("tests/mutants/Cargo.toml").contains("name = \"dkv-mutants\""));
    assert!(listed(&workspace, "members").contains(&"tests/mutants".to_string()));
    assert!(settings.contains("profile = \"mutants\"") && workspace.contains("[profile.mutants]"));
}

#[test]
fn the_checks_can_fail() {
    assert_eq!(forbidden_uses("raft", "use crate::kv::Store;"), ["kv"]);
    assert_eq!(forbidden_uses("kv", "use crate::raft::EntryId;"), Vec::<String>::new());
    assert_eq!(forbidden_uses("raft", "// crate::kv:: in a comment"), Vec::<String>::new());
    assert_eq!(listed("a = [\"x\", \"y\"]\nb = [\"z\"]", "b"), ["z"]);
    assert_eq!(listed("a = []", "b"), Vec::<String>::new());
    assert_eq!(links("see [a](docs/a.md#x) and [b](https://b) and [c](#c)"), ["docs/a.md"]);
}
