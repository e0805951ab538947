//! A job whose state is in the bucket of a real S3 server: all commands, by manifest and by URL; who owns a state.
//!
//! Owns: that the commands say the same of a bucket as of a folder, and show no secret.
//! Never: disturbs the server; `durability/buckets.rs` does.

use std::path::Path;

use anyhow::Result;
use streamjob_tests::job::JobFolder;
use streamjob_tests::s3::{self, BUCKET, Kind, S3Server};

use super::{exported, json, manifest, newest, say, say_well, start, stderr, stop, visits};

const TOKEN: &str = "canary-token-91ab";

/// The job, slower, with its state in a folder of the bucket; the server is found by the environment.
fn in_bucket(server: &S3Server, prefix: &str) -> Result<JobFolder> {
    let location = format!("state: {{location: {{uri: \"s3://{BUCKET}/{prefix}\"}}, ");
    let endpoint = ("AWS_ENDPOINT_URL", format!("http://{}", server.address()));
    let keys = s3::environment().map(|(key, value)| (key, value.to_owned()));
    let slower = manifest().replace("rowsPerSecond: 6000", "rowsPerSecond: 3000");
    let folder = JobFolder::new(&slower.replace("state: {", &location))?;
    Ok(folder.with_environment(keys.into_iter().chain([endpoint])))
}

/// Whether a text is in one of the files below a folder.
fn is_in_files(folder: &Path, text: &str) -> Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            is_in_files(&path, text)?
        } else {
            std::fs::read(&path)?.windows(text.len()).any(|window| window == text.as_bytes())
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

#[test]
fn every_command_works_on_a_bucket_by_manifest_and_by_url() -> Result<()> {
    let server = S3Server::start(Kind::Versitygw)?;
    let folder = in_bucket(&server, "prod")?;
    let url = format!("s3://{BUCKET}/prod/pages");
    let mut job = start(&folder, &[])?;

    let listed = json(&folder, &["checkpoints", "list", "job.yaml", "--json"])?;
    let taken = json(&folder, &["savepoint", "take", "job.yaml", "--id", "sp", "--json"])?;
    let live = say_well(&folder, &["checkpoints", "verify", &url])?;
    assert_eq!(stop(&mut job)?, Some(130));
    let shown = json(&folder, &["checkpoints", "show", "job.yaml", "--json"])?;
    let by_url = json(&folder, &["checkpoints", "show", &url, "--json"])?;
    let state = visits(exported(&folder, &[])?)?;
    let results = visits(folder.rows("out")?)?;

    assert_eq!((&listed["status"], &listed["state"]), (&"running".into(), &url.clone().into()));
    assert!(!live.contains("damaged"), "{live}");
    assert_eq!(shown, by_url);
    let read = shown["record"]["body"]["final"]["checkpoint"]["counters"]["rowsIn"].as_i64();
    assert_eq!(Some(state.values().chain(results.values()).sum::<i64>()), read);
    assert_eq!(taken["location"], format!("{url}/savepoints/sp"));
    for words in [["savepoint", "verify", "job.yaml"], ["savepoint", "verify", &url]] {
        assert!(say_well(&folder, &words)?.contains("savepoint sp  whole"), "{words:?}");
    }
    let listed = say_well(&folder, &["checkpoints", "list", &url])?;
    assert!(listed.starts_with("pages: stopped; run again, it goes on from epoch "), "{listed}");
    let nothing = say(&folder, &["checkpoints", "list", &format!("s3://{BUCKET}/prod/page")])?;
    assert_eq!(nothing.status.code(), Some(1));
    assert!(
        stderr(&nothing).starts_with("there is no state in s3://streams/prod/page: "),
        "{}",
        stderr(&nothing)
    );
    Ok(())
}

#[test]
fn a_stopped_job_goes_on_and_only_what_is_kept_is_left() -> Result<()> {
    let undisturbed = JobFolder::new(&manifest())?;
    undisturbed.run_well(&[])?;
    let server = S3Server::start(Kind::Versitygw)?;
    let folder = in_bucket(&server, "prod")?;
    let mut job = start(&folder, &[])?;
    assert_eq!(stop(&mut job)?, Some(130));
    let before = newest(&folder).expect("a checkpoint");

    folder.run_well(&[])?;
    let again = folder.run(&[])?;

    assert!(newest(&folder).is_some_and(|epoch| epoch > before));
    assert!(again.status.success() && stderr(&again).contains("already finished"), "{}", stderr(&again));
    assert_eq!(visits(folder.rows("out")?)?, visits(undisturbed.rows("out")?)?);
    let listed = json(&folder, &["checkpoints", "list", "job.yaml", "--json"])?;
    let kept = listed["checkpoints"].as_array().map_or(0, Vec::len);
    let records = std::fs::read_dir(server.bucket().join("prod/pages/log"))?.count();
    assert!(
        (1..=4).contains(&kept) && records <= kept + 4,
        "{kept} checkpoints, {records} records: {listed}"
    );
    Ok(())
}

#[test]
fn a_savepoint_in_a_bucket_begins_another_job_by_its_url() -> Result<()> {
    let server = S3Server::start(Kind::Versitygw)?;
    let folder = in_bucket(&server, "prod")?;
    let mut job = start(&folder, &[])?;
    let taken = json(&folder, &["savepoint", "take", "job.yaml", "--id", "sp", "--json"])?;
    assert_eq!(stop(&mut job)?, Some(130));
    let location = taken["location"].as_str().expect("where it lies");
    let elsewhere = in_bucket(&server, "elsewhere")?;

    let output = elsewhere.run(&["--from", location])?;

    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("goes back to savepoint s3://streams/prod/pages/savepoints/sp"), "{said}");
    let missing = elsewhere.run(&["--from", "s3://streams/prod/pages/savepoints/no"])?;
    assert_eq!(missing.status.code(), Some(1), "{}", stderr(&missing));
    Ok(())
}

#[test]
fn a_state_in_a_bucket_has_one_owner_and_two_places_have_two() -> Result<()> {
    let server = S3Server::start(Kind::Versitygw)?;
    let owner = in_bucket(&server, "prod")?;
    let other = in_bucket(&server, "prod")?;
    let apart = in_bucket(&server, "test")?;
    let mut first = start(&owner, &[])?;
    let mut second = start(&apart, &[])?;

    let refused = other.run(&[])?;

    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("the state belongs to job pages of ") && said.contains("location"), "{said}");
    // The one is not disturbed by the refused one, and neither of two by the other.
    assert_eq!((stop(&mut first)?, stop(&mut second)?), (Some(130), Some(130)));
    Ok(())
}

#[test]
fn no_secret_is_in_a_log_an_error_or_an_object() -> Result<()> {
    let server = S3Server::start(Kind::Versitygw)?;
    let folder = in_bucket(&server, "prod")?;
    let other = |changes: [(&str, &str); 2]| -> Result<JobFolder> {
        let changed = in_bucket(&server, "prod")?;
        let before: Vec<_> =
            changed.environment().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let changes = changes.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Ok(changed.with_environment(before.into_iter().chain(changes)))
    };
    let wrong = other([("AWS_ACCESS_KEY_ID", "nobody"), ("AWS_SECRET_ACCESS_KEY", "canary-wrong")])?;
    let expired = other([("AWS_ACCESS_KEY_ID", s3::ACCESS_KEY), ("AWS_SESSION_TOKEN", TOKEN)])?;

    let ran = folder.run(&["--log", "trace"])?;
    let refused = say(&wrong, &["checkpoints", "list", "job.yaml"])?;
    let refused_too = say(&expired, &["checkpoints", "list", "job.yaml"])?;

    let said = format!("{}{}{}", stderr(&ran), stderr(&refused), stderr(&refused_too));
    assert!(ran.status.success(), "{}", said.lines().rev().take(5).collect::<Vec<_>>().join("\n"));
    assert_eq!((refused.status.code(), refused_too.status.code()), (Some(1), Some(1)));
    assert!(stderr(&refused_too).contains("have expired: renew them"), "{}", stderr(&refused_too));
    assert!(stderr(&refused).contains("StoreAccessDenied"), "{}", stderr(&refused));
    for secret in [s3::SECRET_KEY, TOKEN, "canary-wrong"] {
        assert!(!said.contains(secret), "{secret} is in the log");
        assert!(!is_in_files(&server.bucket(), secret)?, "{secret} is in an object");
        assert!(!is_in_files(folder.path(), secret)?, "{secret} is in the folder");
    }
    Ok(())
}
