//! Paths and URLs: what is written may not collide.
//!
//! Owns: that every path is local, and that every target has a folder of its own.
//! Never: asks the file system; two spellings that meet only through a link are not seen.

use super::Findings;
use crate::Pipeline;

pub(super) fn check(findings: &mut Findings, pipeline: &Pipeline) {
    let dead_letters = pipeline.source.bad_records.as_ref().and_then(|bad| bad.files.as_ref());
    let late_rows = pipeline.window.late.as_ref().and_then(|late| late.files.as_ref());
    let targets = [
        ("spec.pipeline.sink.files.url", pipeline.sink.files.as_ref()),
        ("spec.pipeline.window.late.files.url", late_rows),
        ("spec.pipeline.source.badRecords.files.url", dead_letters),
    ];
    let mut seen: Vec<(&str, String)> = Vec::new();
    for (path, target) in targets {
        let Some(target) = target else { continue };
        findings.not_blank(path, &target.url, "the path of a folder");
        if target.url.trim().is_empty() || !local(findings, path.to_owned(), &target.url) {
            continue;
        }
        let folder = normal(&target.url);
        match seen.iter().find(|(_, other)| *other == folder) {
            Some((other, _)) => {
                findings
                    .add(path, format!("`{}` is the folder of {other} too: each needs its own", target.url));
            }
            None => seen.push((path, folder)),
        }
    }
}

/// Reports a URL that is not a path on this machine.
pub(super) fn local(findings: &mut Findings, path: String, url: &str) -> bool {
    let message = match url.split_once("://") {
        None => return true,
        Some(("file", rest)) if rest.starts_with('/') => return true,
        Some(("file", _)) => {
            format!("`{url}` names a host: write `file:///` and an absolute path, or a plain path")
        }
        Some((scheme, _)) => format!("`{scheme}` URLs are not supported: write a path or a `file://` URL"),
    };
    findings.add(path, message);
    false
}

/// The same text for `out`, `./out/`, `a/../out` and `out//`.
fn normal(url: &str) -> String {
    let path = url.strip_prefix("file://").unwrap_or(url);
    let root = if path.starts_with('/') { "/" } else { "" };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if !root.is_empty() => {}
            _ => parts.push(part),
        }
    }
    format!("{root}{}", parts.join("/"))
}
