//! Clusters that show certificates and ask for them, and that give rights.
//!
//! Owns: TLS and mutual TLS, rights that are taken away and given back while a job runs.
//! Never: tests passwords; security.rs does.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use streamjob_tests::certificates::Authority;
use streamjob_tests::job::JobFolder;
use streamjob_tests::kafka::{Cluster, ClusterSpec, Producing, Record, Security};
use streamjob_tests::process::Signal;

use super::{TopicJob, WITHIN, ends, eventually, expected, fails, results, row, start};

const ASKED: &str = ", clientCertificate: {certificate: {file: job.crt}, privateKey: {file: job.key}}";

fn cluster(folder: &Path) -> Result<(Authority, Cluster)> {
    let authority = Authority::new(folder)?;
    let identity = authority.issue("broker")?;
    let tls = Some((authority.certificate(), identity));
    let security = Security { tls, client_certificates: true, ..Security::default() };
    let properties = [
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("allow.everyone.if.no.acl.found", "true"),
        ("super.users", "User:CN=broker"),
    ];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Ok((authority, Cluster::start(ClusterSpec { security, properties, ..ClusterSpec::default() })?))
}

/// A job with these fields of `tls`, over a copy of the certificates.
fn job(cluster: &Cluster, job: &TopicJob, certificates: &Path, tls: &str) -> Result<JobFolder> {
    let folder = job.folder(cluster, "clicks")?;
    let manifest = std::fs::read_to_string(folder.path().join("job.yaml"))?;
    let manifest = manifest.replacen("\"}, topics", &format!("\", tls: {{{tls}}}}}, topics"), 1);
    folder.write("job.yaml", manifest)?;
    for name in ["authority.crt", "job.crt", "job.key"] {
        std::fs::copy(certificates.join(name), folder.path().join(name))?;
    }
    Ok(folder)
}

fn rows(range: std::ops::Range<i64>) -> Vec<Record> {
    range.map(|n| row("k", n, 20_000 * n)).collect()
}

#[test]
fn a_certificate_lets_a_job_in_and_rights_may_be_taken_away_and_given_back() -> Result<()> {
    let certificates = tempfile::tempdir()?;
    let (authority, cluster) = cluster(certificates.path())?;
    authority.issue("job")?;
    cluster.create_topic("clicks", 1, &[])?;
    cluster.produce("clicks", 0, &rows(0..10), Producing::default())?;
    let bounded = |tls: &str| job(&cluster, &TopicJob::default(), certificates.path(), tls);
    let mutual = format!("ca: {{file: authority.crt}}{ASKED}");

    let good = bounded(&mutual)?;
    good.run_well(&[])?;
    let unknown = fails(&bounded(&ASKED[2..])?)?;
    let nobody = fails(&bounded("ca: {file: authority.crt}")?)?;
    let manifest = super::sink::manifest(&cluster, "clicks", "ExactlyOnce");
    let tls = ", tls: {ca: {file: authority.crt}}}, topic";
    let writer = JobFolder::new(&manifest.replacen("\"}, topic", &format!("\"{tls}"), 1))?;
    std::fs::copy(certificates.path().join("authority.crt"), writer.path().join("authority.crt"))?;
    let no_writer = fails(&writer)?;

    assert_eq!(results(&good)?, expected((0..10).map(|n| ("k", n, 20_000 * n))));
    for said in [&unknown, &nobody, &no_writer] {
        assert!(said.contains("refuses to") && said.contains("check `tls` and `sasl`"), "{said}");
    }
    taken_away_and_given_back(&cluster, certificates.path(), &mutual)
}

fn taken_away_and_given_back(cluster: &Cluster, certificates: &Path, tls: &str) -> Result<()> {
    let endless =
        TopicJob { kafka: "", event_time: "{field: ts, idleTimeout: 500ms}", ..TopicJob::default() };
    let folder = job(cluster, &endless, certificates, tls)?;
    let mut running = start(&folder)?;
    eventually("nine windows fire", || Ok(results(&folder)?.len() == 9))?;
    let right = ["--deny-principal", "User:CN=job", "--operation", "Read", "--topic", "clicks"];

    cluster.acls(&[&["--add"], &right[..]].concat())?;
    cluster.produce("clicks", 0, &rows(10..15), Producing::default())?;
    running.wait_for_line("cannot read; tried again", WITHIN)?;
    // Longer than a partition may be silent.
    std::thread::sleep(Duration::from_secs(1));
    let meanwhile = results(&folder)?.len();
    cluster.acls(&[&["--remove", "--force"], &right[..]].concat())?;
    eventually("the records are read", || Ok(results(&folder)?.len() == 14))?;
    running.signal(Signal::Terminate)?;
    let ended = ends(running)?;

    ensure!(ended.code == Some(143), "{}: {}", ended.shown(), ended.said);
    assert_eq!(meanwhile, 9);
    assert_eq!(results(&folder)?, expected((0..14).map(|n| ("k", n, 20_000 * n))));
    Ok(())
}
