//! Files and directories, with POSIX's errors.

use slap_impl::env::{Env, FileKind};
use std::{io::ErrorKind, path::Path};

type Check = fn(&Env, &Path);

/// Each check with the name of its directory.
pub(super) const CHECKS: [(&str, Check); 9] = [
    ("content", content),
    ("syncs", syncs),
    ("modes", modes),
    ("errors", errors),
    ("directories", directories),
    ("links", links),
    ("trees", trees),
    ("renames", renames),
    ("locks", locks),
];

fn content(env: &Env, directory: &Path) {
    let files = env.files();
    let path = directory.join("file");
    files.write(&path, b"first", 0o600).unwrap();
    files.write(&path, b"two", 0o600).unwrap();
    files.append(&path, b" three", 0o600).unwrap();
    assert_eq!(files.read(&path, 100).unwrap(), b"two three");
    assert_eq!(files.read_tail(&path, 5).unwrap(), b"three");
    assert_eq!(files.read_tail(&path, 500).unwrap(), b"two three");
    assert_eq!(files.read(&path, 9).unwrap().len(), 9, "the limit itself is allowed");
    assert_eq!(files.read(&path, 8).unwrap_err().kind(), ErrorKind::FileTooLarge);
    files.truncate(&path, 3).unwrap();
    assert_eq!(files.read_text(&path, 100).unwrap(), "two");
    files.replace(&path, b"new", 0o640).unwrap();
    assert_eq!(files.read(&path, 100).unwrap(), b"new");
    files.copy(&path, &directory.join("copy")).unwrap();
    assert_eq!(files.list(directory).unwrap(), ["copy", "file"], "no temporary file is left");
    files.write(&path, b"\xff", 0o600).unwrap();
    assert_eq!(files.read_text(&path, 100).unwrap_err().kind(), ErrorKind::InvalidData);
    files.set_modified(&path, 1_000_000).unwrap();
    assert_eq!(files.metadata(&path).unwrap().modified_seconds, 1_000_000);
}

fn syncs(env: &Env, directory: &Path) {
    let files = env.files();
    let (file, link, below) = (directory.join("file"), directory.join("link"), directory.join("below"));
    files.write(&file, b"content", 0o200).unwrap();
    files.symlink(Path::new("nowhere"), &link).unwrap();
    files.create_directory(&below, 0o700).unwrap();
    for path in [&file, &link, &below, directory] {
        files.sync(path).unwrap();
    }
    let error = files.sync(&directory.join("none")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(files.list(directory).unwrap(), ["below", "file", "link"]);
}

fn modes(env: &Env, directory: &Path) {
    let files = env.files();
    let mode = |name: &str| files.metadata(&directory.join(name)).unwrap().mode;
    files.write(&directory.join("written"), b"", 0o666).unwrap();
    assert_eq!(mode("written"), 0o666, "whatever the umask");
    files.write(&directory.join("written"), b"", 0o600).unwrap();
    assert_eq!(mode("written"), 0o666, "an existing file keeps its mode");
    files.replace(&directory.join("written"), b"", 0o640).unwrap();
    assert_eq!(mode("written"), 0o640, "a replaced one does not");
    files.append(&directory.join("appended"), b"", 0o604).unwrap();
    assert_eq!(mode("appended"), 0o604);
    files.create_directory(&directory.join("a/b"), 0o750).unwrap();
    assert_eq!((mode("a"), mode("a/b")), (0o750, 0o750));
    files.create_directory(&directory.join("a"), 0o700).unwrap();
    assert_eq!(mode("a"), 0o750, "an existing directory keeps its mode");
    files.set_mode(&directory.join("a"), 0o711).unwrap();
    assert_eq!(mode("a"), 0o711);
    files.copy(&directory.join("written"), &directory.join("copy")).unwrap();
    assert_eq!(mode("copy"), 0o640, "a copy has the mode of the original");
}

fn errors(env: &Env, directory: &Path) {
    let files = env.files();
    let file = directory.join("file");
    files.write(&file, b"", 0o600).unwrap();
    let missing = directory.join("missing");
    let kind = |result: std::io::Result<()>| result.unwrap_err().kind();
    assert_eq!(files.read(&missing, 10).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(kind(files.write(&missing.join("x"), b"", 0o600)), ErrorKind::NotFound);
    assert_eq!(kind(files.write(&file.join("x"), b"", 0o600)), ErrorKind::NotADirectory);
    assert_eq!(kind(files.remove_file(&missing)), ErrorKind::NotFound);
    assert_eq!(kind(files.write(directory, b"", 0o600)), ErrorKind::IsADirectory);
    assert_eq!(kind(files.symlink(Path::new("x"), &file)), ErrorKind::AlreadyExists);
    assert_eq!(files.read_link(&file).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(files.list(&file).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(kind(files.remove_directory(directory)), ErrorKind::DirectoryNotEmpty);
    assert!(files.remove_any(&missing).is_ok());
    assert!(!files.exists(&missing) && files.exists(&file));
}

fn directories(env: &Env, directory: &Path) {
    let files = env.files();
    for name in ["b", "a", "c.d", "c"] {
        files.write(&directory.join(name), b"", 0o600).unwrap();
    }
    files.create_directory(&directory.join("c-dir"), 0o700).unwrap();
    files.write(&directory.join("c-dir/below"), b"", 0o600).unwrap();
    assert_eq!(files.list(directory).unwrap(), ["a", "b", "c", "c-dir", "c.d"], "sorted, and not below");
    assert!(files.is_directory(&directory.join("c-dir")) && !files.is_file(&directory.join("c-dir")));
    assert!(files.is_file(&directory.join("a")) && !files.is_directory(&directory.join("a")));
}

fn links(env: &Env, directory: &Path) {
    let files = env.files();
    files.create_directory(&directory.join("real"), 0o700).unwrap();
    files.write(&directory.join("real/file"), b"content", 0o600).unwrap();
    files.symlink(Path::new("real"), &directory.join("relative")).unwrap();
    files.symlink(&directory.join("real/file"), &directory.join("absolute")).unwrap();
    files.symlink(Path::new("nowhere"), &directory.join("dangling")).unwrap();
    files.symlink(Path::new("loop"), &directory.join("loop")).unwrap();
    assert_eq!(files.read(&directory.join("relative/file"), 10).unwrap(), b"content");
    assert_eq!(files.read(&directory.join("absolute"), 10).unwrap(), b"content");
    assert_eq!(files.read_link(&directory.join("relative")).unwrap(), Path::new("real"));
    let link = files.symlink_metadata(&directory.join("absolute")).unwrap();
    assert_eq!(link.kind, FileKind::Symlink);
    assert_eq!(files.metadata(&directory.join("absolute")).unwrap().kind, FileKind::File);
    assert!(!files.exists(&directory.join("dangling")));
    assert!(files.read(&directory.join("loop"), 10).is_err());
    assert!(files.write(&directory.join("absolute"), b"led astray", 0o600).is_err(), "a link leads no write");
    assert!(files.append(&directory.join("absolute"), b"led astray", 0o600).is_err(), "and no addition");
    files.replace(&directory.join("absolute"), b"own", 0o600).unwrap();
    assert_eq!(
        files.read(&directory.join("real/file"), 10).unwrap(),
        b"content",
        "replace() replaces the link"
    );
    files.remove_any(&directory.join("relative")).unwrap();
    assert!(files.exists(&directory.join("real/file")), "removing a link leaves its target");
}

fn trees(env: &Env, directory: &Path) {
    let files = env.files();
    let (tree, outside) = (directory.join("tree"), directory.join("outside"));
    files.create_directory(&tree.join("a/b"), 0o700).unwrap();
    files.create_directory(&outside, 0o700).unwrap();
    files.write(&outside.join("precious"), b"", 0o600).unwrap();
    files.write(&tree.join("a/b/file"), b"", 0o400).unwrap();
    files.symlink(&outside, &tree.join("a/link")).unwrap();
    files.set_mode(&tree.join("a/b"), 0o000).unwrap();
    files.remove_tree(&tree).unwrap();
    assert!(!files.exists(&tree), "also where the owner took away the permission bits");
    assert!(files.exists(&outside.join("precious")), "links are not followed");
    files.symlink(&outside, &directory.join("link")).unwrap();
    assert!(files.remove_tree(&directory.join("link")).is_err(), "a link is no tree");
    assert!(files.exists(&outside.join("precious")));
}

fn renames(env: &Env, directory: &Path) {
    let files = env.files();
    files.write(&directory.join("a"), b"a", 0o600).unwrap();
    files.write(&directory.join("b"), b"b", 0o600).unwrap();
    files.rename(&directory.join("a"), &directory.join("b")).unwrap();
    assert_eq!(files.read(&directory.join("b"), 10).unwrap(), b"a");
    files.create_directory(&directory.join("d/below"), 0o700).unwrap();
    files.write(&directory.join("d/below/file"), b"x", 0o600).unwrap();
    files.rename(&directory.join("d"), &directory.join("e")).unwrap();
    assert_eq!(files.read(&directory.join("e/below/file"), 10).unwrap(), b"x");
    assert!(!files.exists(&directory.join("d")));
    assert!(files.rename(&directory.join("b"), &directory.join("e")).is_err());
    assert!(files.rename(&directory.join("missing"), &directory.join("f")).is_err());
}

fn locks(env: &Env, directory: &Path) {
    let path = directory.join("lock");
    let first = env.files().lock(&path).unwrap();
    assert!(first.is_some());
    assert!(env.files().lock(&path).unwrap().is_none(), "one at a time");
    drop(first);
    let held = env.files().lock(&path).unwrap().expect("free again");
    assert_eq!(env.files().metadata(&path).unwrap().mode, 0o600);
    assert!(held.is_in_place());
    env.files().remove_file(&path).unwrap();
    assert!(!held.is_in_place(), "it has no name any more");
    let other = env.files().lock(&path).unwrap().expect("the name is another file's");
    assert!(other.is_in_place() && !held.is_in_place());
    drop(held);
    assert!(env.files().lock(&path).unwrap().is_none(), "the other lock is held");
}
