//! `run` and `check-config`.
//!
//! Owns: the order in which the operator starts and ends.
//! Never: restarts because the API server is away; only a lease that was held and lost ends the process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use jiff::Timestamp;
use streamjob_operator::context::{Context, Identity, Reach};
use streamjob_operator::controller;
use streamjob_operator::coordinator::Route;
use streamjob_operator::health::{self, Readiness};
use streamjob_operator::leader::{Candidate, Timing};
use streamjob_operator::metrics::Metrics;
use streamjob_operator::setup::{self, Given};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

use crate::args::{LogFormat, RunArgs};

/// Turns that have begun may take this long to end.
const GRACE: Duration = Duration::from_secs(10);

/// The process of the operator.
pub(crate) fn run(args: RunArgs) -> Result<()> {
    log(&args)?;
    runtime()?.block_on(work(args))
}

/// What `run` would find.
pub(crate) fn check_config(args: RunArgs) -> Result<()> {
    runtime()?.block_on(async {
        let settings = setup::look(&client().await?, &given(&args), &identity(&args)).await?;
        println!("cluster id        {}", settings.cluster_id);
        println!("worker image      {}", settings.worker_image);
        println!("token issuer      {}", settings.token.issuer);
        println!("token subject     {}", settings.token.subject);
        let namespaces = &args.watch_namespaces;
        println!(
            "namespaces        {}",
            if namespaces.is_empty() { "all".to_owned() } else { namespaces.join(", ") }
        );
        Ok(())
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("no runtime")
}

fn log(args: &RunArgs) -> Result<()> {
    let filter = EnvFilter::try_new(&args.log_filter).context("--log-filter")?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Json => lines.json().init(),
        LogFormat::Text => lines.init(),
    }
    Ok(())
}

/// A client that does not try again by itself: every call of ours has its deadline, and its next try.
async fn client() -> Result<kube::Client> {
    let mut config =
        kube::Config::infer().await.context("neither a pod's service account nor a kubeconfig")?;
    config.default_retry = false;
    Ok(kube::Client::try_from(config)?)
}

fn given(args: &RunArgs) -> Given {
    Given {
        worker_image: args.worker_image.clone(),
        cluster_id: args.cluster_id.clone(),
        metrics_namespace: args.metrics_namespace.clone(),
    }
}

fn identity(args: &RunArgs) -> Identity {
    Identity {
        namespace: args.namespace.clone(),
        account: args.service_account.clone(),
        pod: args.pod_name.clone(),
    }
}

async fn work(args: RunArgs) -> Result<()> {
    let (metrics, readiness) = (Metrics::default(), Readiness::default());
    let listener = health::bind(args.health).await.with_context(|| format!("--health {}", args.health))?;
    let serving = tokio::spawn(health::serve(listener, readiness.clone(), metrics.clone()));
    let (stop, stopped) = watch::channel(false);
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let signals = tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _nobody_listens = stop.send(true);
    });
    info!(
        version = env!("CARGO_PKG_VERSION"),
        namespace = args.namespace,
        image = args.worker_image,
        "starts"
    );
    let done = tokio::select! {
        done = lead(&args, (&readiness, &metrics), stopped) => done,
        ended = serving => Err(anyhow!("the health server ended: {ended:?}")),
    };
    signals.abort();
    done
}

/// Waits for what is needed and for the lease, and works.
async fn lead(
    args: &RunArgs,
    (readiness, metrics): (&Readiness, &Metrics),
    mut stopped: watch::Receiver<bool>,
) -> Result<()> {
    let client = client().await?;
    let (given, identity) = (given(args), identity(args));
    let holder = format!("{}-{:x}", args.pod_name, Timestamp::now().as_nanosecond());
    let place = (args.namespace.as_str(), args.lease.as_str());
    let mut candidate = Candidate::new(client.clone(), place, &holder, Timing::default());
    let ready = async {
        let settings = setup::wait(&client, (&given, &identity), readiness, metrics).await;
        candidate.acquire().await;
        settings
    };
    let settings = tokio::select! {
        settings = ready => settings,
        _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
    };
    metrics.set_leader(true);
    let route = args.worker_gateway.map_or(Route::Pods, Route::Gateway);
    let reach = Reach { route, ..Reach::default() };
    let clock = Arc::new(Timestamp::now);
    let context = Arc::new(Context::new(client, (settings, identity), &reach, metrics.clone(), clock));
    let (namespaces, stop) = (args.watch_namespaces.clone(), stopped.clone());
    let mut working = tokio::spawn(async move { controller::run(context, &namespaces, stop).await });
    tokio::select! {
        // The stop ends the controller, too: it is looked at first.
        biased;
        _ = stopped.wait_for(|stopped| *stopped) => {}
        why = candidate.hold() => {
            // Whatever is under way dies with the process: another operator may be at work already.
            error!("{why}; ending");
            std::process::exit(1);
        }
        ended = &mut working => bail!("the controller ended: {ended:?}"),
    }
    info!("ends; turns that have begun are finished first");
    if tokio::time::timeout(GRACE, working).await.is_err() {
        info!("some turns did not end in time; the next operator does them again");
    }
    metrics.set_leader(false);
    candidate.release().await;
    Ok(())
}
