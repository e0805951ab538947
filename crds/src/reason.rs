//! Why a condition is as it is, why a worker ended, what an event is about: one list of names.
//!
//! Owns: the names, what each means, and what somebody who is paged by it does first.
//! Never: says what happened in one case; that is the message beside the reason.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The one list of reasons: variant, meaning, and for trouble the remedy. `JOB` and `NAMESPACE` are filled in.
macro_rules! reasons {
    ($($name:ident $meaning:literal $(=> $remedy:literal)?;)*) => {
        /// Why a condition is as it is, why a worker ended, or what an event is about.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Reason {
            $(#[doc = $meaning] $name,)*
            /// A name that a newer program wrote.
            Unknown,
        }

        impl Reason {
            /// All but `Unknown`.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    Self::Unknown => "Unknown",
                }
            }

            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => $meaning,)*
                    Self::Unknown => "A newer program wrote this reason.",
                }
            }

            /// What to do first, if something is wrong; `JOB` and `NAMESPACE` stand for the job's.
            pub fn remedy(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => reasons!(@remedy $($remedy)?),)*
                    Self::Unknown => None,
                }
            }
        }
    };
    (@remedy) => { None };
    (@remedy $remedy:literal) => { Some($remedy) };
}

reasons! {
    // Nothing is wrong.
    UpToDate "The cluster is as the spec asks.";
    Finished "All input was read, and all output is published.";
    Idle "The operator has nothing to do.";
    Progressing "Nothing needs help.";
    Accepted "The spec makes sense.";
    Processing "Rows are processed.";
    CheckpointsCompleting "Checkpoints complete in time.";
    Requested "The spec asks for it.";
    NotRequested "The spec does not ask for it.";
    // Something goes on.
    NotStarted "The workers have not processed a row yet.";
    Starting "The workers are being started.";
    Upgrading "Another revision takes over.";
    Restarting "The same revision is started again.";
    Rescaling "The number of slots changes.";
    Restoring "The job is started from another state.";
    Recovering "A failure is being recovered from.";
    RollingBack "The previous revision takes over again.";
    Replacing "Pods that cannot be reached, or a set that somebody changed, are replaced.";
    Suspending "The job is being stopped, its state kept.";
    Suspended "The job is stopped, its state kept.";
    Deleting "The object is being deleted.";
    Paused "The annotation `streamjob.dev/reconcile: paused` is set: the operator only watches."
        => "kubectl -n NAMESPACE annotate streamjob JOB streamjob.dev/reconcile-";
    WaitingForPrevious "Workers of a deleted job of the same name are still there.";
    Prepare "The revision is written, and the server is asked whether it would take the pods.";
    Check "A Job looks at plan, store and Kafka with the new image; nothing was stopped yet.";
    Handover "The old workers take their last checkpoint and publish its output.";
    Teardown "The old workers go.";
    Launch "The new workers start, restore and run.";
    Verify "The new workers complete checkpoints.";
    Retire "What is older than the limit goes.";
    // The spec is refused.
    NotAccepted "The spec is refused; what ran before runs on."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    InvalidSpec "A field of the spec is wrong."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    PipelineRejected "An expression, a type or a combination of fields does not compile."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    PodTemplateRejected "The API server refuses the pods: Pod Security, a policy or a quota."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    NameConflict "An object of a name that the job needs belongs to something else."
        => "kubectl -n NAMESPACE get all,configmaps,serviceaccounts,networkpolicies --show-labels";
    TooManyWorkers "More pods are asked for than the operator allows: raise `workers.slots`."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    UnsupportedImage "The worker's image does not understand this operator."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    CheckFailed "The look at plan, store and Kafka ended without saying why."
        => "kubectl -n NAMESPACE logs --selector=streamjob.dev/job=JOB,app.kubernetes.io/component=check --tail=50";
    // State.
    StateOwned "The state belongs to another job, namespace or cluster."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    StateMissing "The store has less state than the job had: a wrong location, an old copy, or deleted records."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    StateExists "A start with nothing was asked for, and there is state."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    StateIncompatible "The pipeline differs from the one that made the state, in a field that the state depends on."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    StateDamaged "A file of the state is missing or was changed."
        => "kubectl streamjob restore JOB --namespace NAMESPACE --from Savepoint --savepoint NAME";
    StateNewer "The state was written by a newer program."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    StateOlderThanOutput "More output was published than the state knows of: the store is an old copy."
        => "kubectl streamjob restore JOB --namespace NAMESPACE --from Savepoint --savepoint NAME";
    StateOverBudget "The state needs more memory than a worker has."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    Fenced "A newer incarnation owns the state; this one has ended.";
    // Store and Kafka.
    StoreUnavailable "The store does not answer; it is asked again."
        => "kubectl -n NAMESPACE logs --selector=streamjob.dev/job=JOB --tail=50";
    StoreDenied "The store refuses the job's credentials."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    KafkaUnavailable "Kafka does not answer; it is asked again."
        => "kubectl -n NAMESPACE logs --selector=streamjob.dev/job=JOB --tail=50";
    KafkaDenied "Kafka refuses the job's user, or what it wants to do."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    TopicMissing "A topic does not exist."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    SourceDataLost "Rows that were not read yet are gone: retention passed them, or the topic was made again."
        => "kubectl streamjob restore JOB --namespace NAMESPACE --from Nothing --allow-state-loss";
    SinkBlocked "Output cannot be published, and there is no room for more; it is tried again."
        => "kubectl -n NAMESPACE logs --selector=streamjob.dev/job=JOB --tail=50";
    SinkChanged "The sink was changed while the old one had output to publish."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    SinkProgressUnknown "Which output is published cannot be read; it is tried again."
        => "kubectl -n NAMESPACE logs --selector=streamjob.dev/job=JOB --tail=50";
    BadRecord "A record cannot be used, and the policy is Fail."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    SecretMissing "A Secret, or a key of one, does not exist."
        => "kubectl -n NAMESPACE get secrets";
    ConfigurationInvalid "The worker cannot read what it was started with."
        => "kubectl streamjob restart JOB --namespace NAMESPACE";
    Internal "A fault of StreamJob itself."
        => "kubectl -n NAMESPACE logs --selector=streamjob.dev/job=JOB --tail=200 --previous";
    // Pods and operations.
    CrashLooping "The workers end soon after they start."
        => "kubectl -n NAMESPACE logs --selector=streamjob.dev/job=JOB --tail=50 --previous";
    ImagePullFailed "The worker's image cannot be pulled."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    Unschedulable "No node has room for the pods."
        => "kubectl -n NAMESPACE describe pods --selector=streamjob.dev/job=JOB";
    PodsMissing "Pods are not there, and nothing says why."
        => "kubectl -n NAMESPACE describe statefulsets --selector=streamjob.dev/job=JOB";
    CheckpointsFailing "Checkpoints fail."
        => "kubectl -n NAMESPACE logs --selector=streamjob.dev/job=JOB --tail=50";
    CheckpointsOverdue "No checkpoint was completed for too long."
        => "kubectl -n NAMESPACE logs --selector=streamjob.dev/job=JOB --tail=50";
    CheckpointsRecovered "Checkpoints complete again.";
    HandoverFailed "The final checkpoint could not be taken; the old workers go on."
        => "kubectl streamjob status JOB --namespace NAMESPACE";
    HandoverTaken "The final checkpoint was taken, and its output published.";
    ProgressDeadlineExceeded "The new workers did not get as far as a checkpoint in time."
        => "kubectl -n NAMESPACE logs --selector=streamjob.dev/job=JOB --tail=50";
    RolledBack "The newest revision failed; the previous one runs."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    RollbackUnsafe "The newest revision failed after it published output: going back would publish some of it again."
        => "kubectl -n NAMESPACE edit streamjob JOB";
    RestartsExhausted "The job failed `recovery.maxRestarts` times in a row; it is still tried."
        => "kubectl -n NAMESPACE logs --selector=streamjob.dev/job=JOB --tail=50 --previous";
    SavepointNotFound "The savepoint that the restore names is not there, or not complete."
        => "kubectl -n NAMESPACE get streamjobsavepoints";
    // Savepoints.
    InProgress "The job was asked for it.";
    SavepointTaken "It is in the store.";
    SavepointFailed "It could not be taken."
        => "kubectl -n NAMESPACE logs --selector=streamjob.dev/job=JOB --tail=50";
    JobNotFound "There is no job of that name."
        => "kubectl -n NAMESPACE get streamjobs";
    JobStopped "The job was stopped before the savepoint was complete."
        => "kubectl -n NAMESPACE get streamjob JOB";
    DeadlineExceeded "It took longer than it may."
        => "kubectl -n NAMESPACE logs --selector=streamjob.dev/job=JOB --tail=50";
    // Events.
    Rejected "The spec was refused.";
    OperationStarted "An operation began.";
    OperationFinished "An operation ended.";
    CheckSkipped "The look at plan, store and Kafka found no node in time; the operation went on without.";
    StateAdopted "The job goes on from the state of a deleted job of its name.";
    StateLeftBehind "The object is gone, but its state is still in the store.";
    RestoreRewinds "Output since the restored state will be published again.";
    Rescaled "The number of slots changed.";
    WorkerFailed "A worker ended.";
    WorkerRelocated "A pod that could not be reached was replaced.";
    IncarnationRepaired "The store knows a greater incarnation than the cluster; the job went on from that.";
}

impl Reason {
    /// The part of the runbook about it: its name in kebab case.
    pub fn anchor(self) -> String {
        let mut anchor = String::new();
        for letter in self.as_str().chars() {
            if letter.is_ascii_uppercase() && !anchor.is_empty() {
                anchor.push('-');
            }
            anchor.push(letter.to_ascii_lowercase());
        }
        anchor
    }

    /// The remedy for one job, ready to be pasted into a shell.
    pub fn remedy_for(self, namespace: &str, job: &str) -> Option<String> {
        self.remedy().map(|remedy| remedy.replace("NAMESPACE", namespace).replace("JOB", job))
    }

    /// The reason of this name; `Unknown` if there is none.
    pub fn parse(name: &str) -> Self {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == name).unwrap_or(Self::Unknown)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer).map(|name| Self::parse(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_one_name_everywhere_and_a_newer_one_is_kept_apart() {
        for &reason in Reason::ALL {
            let json = serde_json::to_string(&reason).expect("a text");
            assert_eq!(serde_json::from_str::<Reason>(&json).expect("a reason"), reason);
            assert!(reason.meaning().ends_with('.'), "{reason}");
        }
        assert_eq!(Reason::parse("FromTomorrow"), Reason::Unknown);
        assert_eq!(Reason::StateOverBudget.anchor(), "state-over-budget");
    }

    #[test]
    fn a_remedy_is_a_command_for_the_job_it_is_about() {
        for remedy in Reason::ALL.iter().filter_map(|reason| reason.remedy_for("shop", "orders")) {
            assert!(remedy.starts_with("kubectl ") && remedy.contains("shop"), "{remedy}");
            assert!(!remedy.contains("JOB") && !remedy.contains("NAMESPACE"), "{remedy}");
        }
    }

    #[test]
    fn every_remedy_has_a_chapter_in_the_runbook() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/runbook.md");
        let runbook = std::fs::read_to_string(path).expect("the runbook is there");
        for reason in Reason::ALL.iter().filter(|reason| reason.remedy().is_some()) {
            let chapter = format!("\n## {}\n", reason.anchor());
            assert!(runbook.contains(&chapter), "{reason} has no chapter");
        }
    }
}
