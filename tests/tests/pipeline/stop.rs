//! What a job leaves behind when it is asked to stop.
//!
//! Owns: signals, and the promise that nothing fires early.
//! Never: sends a signal to a process it did not start.

use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use streamjob_tests::job::JobFolder;

/// Endless: 20,000 rows a second, each second of event time has 20,000 rows of 10 keys.
const MANIFEST: &str = r#"
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: endless}
spec:
  parallelism: 2
  pipeline:
    source:
      generator:
        rowsPerSecond: 20000
        partitions: 4
        columns:
          - {name: key, sequence: {modulo: 10}}
          - {name: ts, timestamp: {start: "2026-01-01T00:00:00Z", rowsPerSecond: 20000}}
    eventTime: {field: ts, maxOutOfOrderness: 1s}
    keyBy: [key]
    window: {tumbling: {size: 1s}}
    aggregates: [{name: rows, function: Count}]
    sink: {files: {url: out}}
"#;

fn signal(child: &Child, name: &str) -> Result<()> {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status()?;
    if sent.success() { Ok(()) } else { bail!("kill -s {name} failed") }
}

fn wait(child: &mut Child, at_most: Duration) -> Result<ExitStatus> {
    let deadline = Instant::now() + at_most;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    bail!("still running after {at_most:?}")
}

fn stopped_by(name: &str, code: i32) -> Result<()> {
    let job = JobFolder::new(MANIFEST)?;
    let mut child = job.start(&[])?;
    std::thread::sleep(Duration::from_secs(5));

    signal(&child, name)?;
    let status = wait(&mut child, Duration::from_secs(10))?;

    assert_eq!(status.code(), Some(code));
    let rows = job.rows("out")?;
    assert!(rows.len() >= 10, "{} rows in 5 s", rows.len());
    for row in &rows {
        // A window that fired early would hold fewer rows.
        assert_eq!(row["rows"].as_i64().context("a count")?, 2_000, "{row}");
    }
    Ok(())
}

#[test]
fn ctrl_c_ends_with_a_last_epoch_and_nothing_fires_early() -> Result<()> {
    stopped_by("INT", 130)
}

#[test]
fn sigterm_ends_with_a_last_epoch_and_nothing_fires_early() -> Result<()> {
    stopped_by("TERM", 143)
}

#[test]
fn metrics_and_health_are_there_while_the_job_runs() -> Result<()> {
    use std::io::{BufRead, BufReader, Read, Write};
    let job = JobFolder::new(MANIFEST)?;
    let mut child = job.start(&["--admin", "127.0.0.1:0"])?;
    let errors = BufReader::new(child.stderr.take().context("piped")?);
    let address = errors.lines().map_while(Result::ok).find_map(|line| {
        let at = line.find("127.0.0.1:")?;
        Some(line[at..].split(|c: char| c != '.' && c != ':' && !c.is_ascii_digit()).next()?.to_owned())
    });
    let address = address.context("the address is printed at start")?;
    std::thread::sleep(Duration::from_secs(2));

    let get = |path: &str| -> Result<String> {
        let mut stream = std::net::TcpStream::connect(&address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: job\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let (metrics, health) = (get("/metrics")?, get("/healthz")?);
    signal(&child, "TERM")?;
    wait(&mut child, Duration::from_secs(10))?;

    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    for name in ["rows", "bytes", "late", "bad", "busy", "watermark", "state"] {
        assert!(metrics.contains(name), "no metric has `{name}` in its name:\n{metrics}");
    }
    Ok(())
}
