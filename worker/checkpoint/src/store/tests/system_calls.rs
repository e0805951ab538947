//! The order in which the local store asks the kernel: what a power failure leaves is decided by nothing else.
//!
//! Owns: a trace of this test program by `strace`, and which calls must come in which order.
//! Never: looks at calls that are not about the folder of the test.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;

use super::StateStore;

/// The folder that the traced program writes to.
const FOLDER: &str = "STREAMJOB_TRACED_FOLDER";

#[tokio::test]
async fn what_the_traced_program_does() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let store = StateStore::local(Path::new(&folder)).expect("it can be opened");
    store.create("log/1", Bytes::from_static(b"record")).await;
    store.create("log/2", Bytes::from_static(b"record")).await;
    store.create("log/2", Bytes::from_static(b"another")).await;
    let mut large = store.writer("data/1-1/large");
    for _ in 0..3 {
        large.write(Bytes::from(vec![7_u8; 9_000_000])).await.expect("it can be written");
    }
    large.finish().await.expect("it can be finished");
    store.delete("log/1").await.expect("it can be deleted");
}

#[test]
fn an_object_is_on_the_disk_before_it_has_its_name_and_its_name_before_anyone_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = folder.path().canonicalize().expect("it is there").join("state");

    let calls = trace(&folder);

    let first = [
        "open .unfinished/0",
        "write .unfinished/0",
        "fsync .unfinished/0",
        "mkdir log",
        "fsync .",
        "link .unfinished/0 log/1",
        "unlink .unfinished/0",
        "fsync log",
    ];
    let second = [
        "open .unfinished/1",
        "write .unfinished/1",
        "fsync .unfinished/1",
        "link .unfinished/1 log/2",
        "unlink .unfinished/1",
        "fsync log",
    ];
    let taken = [
        "open .unfinished/2",
        "write .unfinished/2",
        "fsync .unfinished/2",
        "link .unfinished/2 log/2: EEXIST",
        "fsync log",
        "unlink .unfinished/2",
    ];
    let large = [
        "open .unfinished/3",
        "write .unfinished/3",
        "write .unfinished/3",
        "write .unfinished/3",
        "fsync .unfinished/3",
        "mkdir data",
        "fsync .",
        "mkdir data/1-1",
        "fsync data",
        "link .unfinished/3 data/1-1/large",
        "unlink .unfinished/3",
        "fsync data/1-1",
    ];
    let opened = ["mkdir .", "fsync ..", "mkdir .unfinished", "fsync ."];
    let deleted = ["unlink log/1", "fsync log"];
    let expected = [&opened[..], &first, &second, &taken, &large, &deleted].concat();
    assert_eq!(calls, expected);
}

/// What the traced program did to the folder, in order.
fn trace(folder: &Path) -> Vec<String> {
    let this = std::env::current_exe().expect("this program has a path");
    let output = Command::new("strace")
        .args(["-f", "-y", "-qq", "-s", "0", "-e"])
        .arg("trace=open,openat,creat,write,pwrite64,writev,fsync,fdatasync,link,linkat,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat")
        .arg(this)
        .args(["--exact", "store::tests::system_calls::what_the_traced_program_does", "--test-threads=1"])
        .env(FOLDER, folder)
        .output()
        .unwrap_or_else(|error| {
            panic!("this test needs strace ({error}): run `tests/setup trace`, or install the package `strace`")
        });
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !text.contains("ptrace("),
        "strace could not trace a program here: allow ptrace (in a container: --cap-add=SYS_PTRACE)\n{text}"
    );
    join(&text).iter().filter_map(|line| read(line, folder)).collect()
}

/// Puts calls together that strace shows in two pieces because another thread came between.
fn join(text: &str) -> Vec<String> {
    let mut begun: Vec<(String, String)> = Vec::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let thread = line.strip_prefix("[pid").and_then(|rest| rest.split(']').next()).unwrap_or("main");
        let thread = thread.trim().to_owned();
        let call = line.split_once("] ").map_or(line, |(_, call)| call);
        if let Some((first, _)) = call.split_once(" <unfinished") {
            begun.push((thread, first.to_owned()));
        } else if call.starts_with("<... ") {
            let at = begun.iter().position(|(other, _)| *other == thread).expect("it began before");
            let second = call.split_once("resumed>").map_or("", |(_, second)| second);
            calls.push(format!("{}{second}", begun.remove(at).1));
        } else {
            calls.push(call.to_owned());
        }
    }
    calls
}

/// `fsync(9</tmp/x/state/log>) = 0` as `fsync log`; nothing for calls that are about something else.
fn read(line: &str, folder: &Path) -> Option<String> {
    let (name, rest) = line.split_once('(')?;
    let failed =
        rest.split_once("= -1 ").map(|(_, error)| error.split(' ').next().unwrap_or(error).to_owned());
    let name = match name {
        "open" | "openat" | "creat" if rest.contains("O_CREAT") && rest.contains("O_EXCL") => "open",
        "write" | "pwrite64" | "writev" => "write",
        "link" | "linkat" => "link",
        "unlink" | "unlinkat" => "unlink",
        "mkdir" | "mkdirat" => "mkdir",
        "fsync" => name,
        "fdatasync" | "rename" | "renameat" | "renameat2" => name,
        _ => return None,
    };
    let paths: Vec<String> = paths(rest, name == "open" || name == "link", folder);
    if paths.is_empty() {
        return None;
    }
    let failed = failed.map(|error| format!(": {error}")).unwrap_or_default();
    Some(format!("{name} {}{failed}", paths.join(" ")))
}

/// The paths of a call that lie in the folder, or are the one above it, relative to it.
fn paths(call: &str, created: bool, folder: &Path) -> Vec<String> {
    let quoted = call.split('"').skip(1).step_by(2);
    let handles = call.split('<').skip(1).filter_map(|piece| piece.split('>').next());
    let found: Vec<&str> = if call.contains('"') && (created || !call.contains("</")) {
        quoted.collect()
    } else {
        quoted.chain(handles).collect()
    };
    let above = folder.parent().expect("it was made in a folder");
    let shown = |path: &str| -> Option<String> {
        let path = Path::new(path);
        if path == above {
            return Some("..".to_owned());
        }
        let inside = path.strip_prefix(folder).ok()?.to_string_lossy().into_owned();
        Some(match inside.strip_prefix(".unfinished/") {
            // The number of the process stands before that of the file.
            Some(file) => format!(".unfinished/{}", file.rsplit('-').next().unwrap_or(file)),
            None if inside.is_empty() => ".".to_owned(),
            None => inside,
        })
    };
    found.into_iter().filter_map(shown).collect()
}
