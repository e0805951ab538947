//! What the commands do: they read objects, or write a few fields of a spec.
//!
//! Owns: the patches; the field manager `kubectl-streamjob`.
//! Never: writes a status, or anything that belongs to the operator.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use streamjob_crds::names::ANNOTATION_TAKE_OVER;
use streamjob_crds::{SavepointObject, StreamJobObject, StreamJobSavepointSpec};

use crate::args::{Command, From, RestoreArgs};
use crate::show;

const MANAGER: &str = "kubectl-streamjob";
/// Between two looks at a savepoint.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) async fn command(client: &Client, namespace: &str, command: &Command) -> Result<()> {
    let jobs: Api<StreamJobObject> = Api::namespaced(client.clone(), namespace);
    match command {
        Command::Status { job: None } => {
            let list = jobs.list(&ListParams::default()).await?;
            print!("{}", show::jobs(&list.items));
            Ok(())
        }
        Command::Status { job: Some(job) } => {
            let found = get(&jobs, job).await?;
            let around = show::around(client, namespace, job).await?;
            print!("{}", show::job(&found, &around, Timestamp::now()));
            Ok(())
        }
        Command::Why { job } => {
            let found = get(&jobs, job).await?;
            let around = show::around(client, namespace, job).await?;
            let events = show::events(client, namespace, job).await?;
            print!("{}", show::why(&found, &around, &events));
            Ok(())
        }
        Command::Wait { job, condition, timeout } => {
            wait(&jobs, job, condition, Duration::from_secs(*timeout)).await
        }
        Command::Suspend { job } => {
            patch(&jobs, job, json!({"suspend": true})).await?;
            println!("streamjob {job} will stop after a last checkpoint");
            Ok(())
        }
        Command::Resume { job } => {
            patch(&jobs, job, json!({"suspend": false})).await?;
            println!("streamjob {job} will go on where it stopped");
            Ok(())
        }
        Command::Restart { job } => {
            let now = Timestamp::now().to_string();
            patch(&jobs, job, json!({"restartedAt": now})).await?;
            println!("streamjob {job} will restart from a last checkpoint");
            Ok(())
        }
        Command::Savepoint { job, name, no_wait } => {
            let savepoints: Api<SavepointObject> = Api::namespaced(client.clone(), namespace);
            get(&jobs, job).await?;
            savepoint(&savepoints, job, name.as_deref(), !no_wait).await
        }
        Command::Restore(args) => restore(&jobs, args).await,
        Command::Completions { .. } => bail!("completions need no cluster"),
    }
}

/// Needs no right but to read the job.
async fn wait(jobs: &Api<StreamJobObject>, name: &str, condition: &str, time: Duration) -> Result<()> {
    let deadline = tokio::time::Instant::now() + time;
    loop {
        let last = match tokio::time::timeout(LOOK * 10, get(jobs, name)).await {
            Ok(Ok(found)) if show::holds(&found, condition) => {
                println!("streamjob {name}: {condition}");
                return Ok(());
            }
            Ok(Ok(found)) => show::why(&found, &show::Around::default(), &[]),
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => "the API server does not answer".to_owned(),
        };
        if tokio::time::Instant::now() >= deadline {
            bail!("streamjob {name} is not {condition} after {} s\n{last}", time.as_secs());
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn get(jobs: &Api<StreamJobObject>, name: &str) -> Result<StreamJobObject> {
    let found = jobs.get_opt(name).await.context("the API server did not answer")?;
    found.with_context(|| {
        format!("there is no StreamJob `{name}` in this namespace; see `kubectl streamjob status`")
    })
}

async fn patch(jobs: &Api<StreamJobObject>, name: &str, spec: Value) -> Result<()> {
    patch_all(jobs, name, json!({"spec": spec})).await
}

async fn patch_all(jobs: &Api<StreamJobObject>, name: &str, change: Value) -> Result<()> {
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    jobs.patch(name, &params, &Patch::Merge(change))
        .await
        .with_context(|| format!("streamjob `{name}` was not changed"))?;
    Ok(())
}

/// A name that sorts by time and is not taken.
fn stamped(job: &str) -> String {
    format!("{job}-{}", Timestamp::now().as_second())
}

async fn savepoint(
    savepoints: &Api<SavepointObject>,
    job: &str,
    name: Option<&str>,
    wait: bool,
) -> Result<()> {
    let name = name.map_or_else(|| stamped(job), str::to_owned);
    let spec = StreamJobSavepointSpec { stream_job_name: job.to_owned(), timeout: None };
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    savepoints
        .create(&params, &SavepointObject::new(&name, spec))
        .await
        .context("the savepoint was not asked for")?;
    println!("streamjobsavepoint {name} is asked for");
    if !wait {
        return Ok(());
    }
    loop {
        tokio::time::sleep(LOOK).await;
        let found = savepoints.get(&name).await?;
        let status = found.status.clone().unwrap_or_default();
        let is = |kind: &str| {
            status
                .conditions
                .iter()
                .find(|it| it.type_ == kind && it.status == "True")
                .map(|it| it.message.clone())
        };
        if let Some(why) = is("Failed") {
            bail!("the savepoint failed: {why}");
        }
        if is("Complete").is_some() {
            println!("complete: {}", status.uri.unwrap_or_default());
            return Ok(());
        }
        ensure!(found.metadata.deletion_timestamp.is_none(), "somebody deleted the savepoint");
    }
}

async fn restore(jobs: &Api<StreamJobObject>, args: &RestoreArgs) -> Result<()> {
    ensure!(
        args.from != From::Nothing || args.allow_state_loss,
        "--from Nothing gives up all state of {}: say so with --allow-state-loss",
        args.job
    );
    ensure!(
        args.take_over.is_none() || args.from == From::Latest,
        "--take-over goes with --from Latest: what is taken over is the newest state of its owner"
    );
    let request = args.request_id.clone().unwrap_or_else(|| stamped("restore"));
    patch_all(jobs, &args.job, restore_patch(args, &request)).await?;
    println!("streamjob {} will restart from {} (request {request})", args.job, args.from.as_str());
    if let Some(owner) = &args.take_over {
        println!("the state of {owner} becomes its own");
    }
    Ok(())
}

/// A merge patch keeps what is not named: of an earlier restore or take-over nothing is left.
fn restore_patch(args: &RestoreArgs, request: &str) -> Value {
    let allow_state_loss = (args.from == From::Nothing).then_some(true);
    json!({
        "metadata": {"annotations": {ANNOTATION_TAKE_OVER: args.take_over}},
        "spec": {"restore": {
            "requestID": request,
            "from": args.from.as_str(),
            "savepointName": args.savepoint,
            "uri": args.uri,
            "allowStateLoss": allow_state_loss,
        }},
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Args;

    fn patch_of(words: &str) -> Value {
        let args = Args::try_parse_from(words.split(' ')).expect("the words are right");
        let Command::Restore(args) = args.command else { panic!("{words}") };
        restore_patch(&args, "r1")
    }

    #[test]
    fn one_patch_asks_for_a_restore_and_names_whose_state_is_taken_over() {
        let owner = "9b1d8c1e/analytics/clicks";

        let taken = patch_of(&format!("kubectl-streamjob restore clicks --from Latest --take-over {owner}"));
        let nothing = patch_of("kubectl-streamjob restore clicks --from Nothing --allow-state-loss");

        assert_eq!(taken["metadata"]["annotations"], json!({"streamjob.dev/take-over": owner}));
        let restore = json!({
            "requestID": "r1", "from": "Latest", "savepointName": null, "uri": null, "allowStateLoss": null,
        });
        assert_eq!(taken["spec"], json!({"restore": restore}));
        assert_eq!(nothing["metadata"]["annotations"], json!({"streamjob.dev/take-over": null}));
        assert_eq!(nothing["spec"]["restore"]["allowStateLoss"], json!(true));
    }
}
