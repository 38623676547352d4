//! Packs `golden/lab.json` and the golden profiles into the program, so that `slap lab up` has something to show
//! wherever the program goes. Which release a lab starts with is said there, as data: no code knows its name.

#![allow(clippy::disallowed_methods, reason = "a build script stands outside the door")]

use std::{env, fmt::Write, fs, path::Path};

fn main() {
    let golden = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../golden");
    let mut files = Vec::new();
    println!("cargo::rerun-if-changed={}", golden.join("lab.json").display());
    println!("cargo::rerun-if-changed={}", golden.join("profiles").display());
    if golden.join("lab.json").is_file() {
        files.push("lab.json".to_owned());
        collect(&golden, "profiles", &mut files);
    }
    let mut code = "pub(super) const FILES: &[(&str, &[u8])] = &[\n".to_owned();
    for file in files {
        let path = golden.join(&file).canonicalize().expect("it was just listed");
        writeln!(code, "    ({file:?}, include_bytes!({path:?})),").expect("a String takes everything");
    }
    code.push_str("];\n");
    let target = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("golden.rs");
    fs::write(target, code).expect("OUT_DIR is writable");
}

fn collect(golden: &Path, directory: &str, files: &mut Vec<String>) {
    let entries = fs::read_dir(golden.join(directory)).expect("golden/profiles is readable");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("readable").file_name()).collect();
    names.sort();
    for name in names {
        let path = format!("{directory}/{}", name.to_string_lossy());
        if golden.join(&path).is_dir() {
            collect(golden, &path, files);
        } else {
            files.push(path);
        }
    }
}
