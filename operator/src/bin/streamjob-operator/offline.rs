//! `render`: what a manifest would become, without a cluster.
//!
//! Owns: reading the manifest, and printing objects as YAML documents.
//! Never: asks a cluster; what only a cluster knows is a name in capitals.

use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use streamjob_crds::{Manifest, Place};
use streamjob_operator::compile::compile;
use streamjob_operator::effective::{Effective, Policy};
use streamjob_operator::render::{self, For};
use streamjob_operator::revision::Revision;
use streamjob_operator::world::{Settings, StartArguments, TokenCheck};

use crate::args::RenderArgs;

pub(crate) fn render(args: &RenderArgs) -> Result<()> {
    let text =
        std::fs::read_to_string(&args.manifest).with_context(|| args.manifest.display().to_string())?;
    let job = Manifest::parse_for(&text, &args.manifest.display().to_string(), Place::Cluster)?.job;
    let namespace = job.metadata.namespace.clone().unwrap_or_else(|| args.namespace.clone());
    let name = job.metadata.name.as_str();
    let fingerprint = compile(&namespace, name, &job.spec)
        .map_err(|trouble| anyhow!("{}: {}", trouble.reason, trouble.message))?;
    let settings = settings(args);
    let effective = Effective::of(&job.spec, &format!("{namespace}.{name}"), &settings.worker_image);
    let revision = Revision::of(name, &job.spec, effective, &fingerprint);
    let policy = Policy::of(Some(&job.spec));
    let to = For { name, namespace: &namespace, uid: "UID-OF-THE-JOB", orphan: false, settings: &settings };
    let arguments = StartArguments {
        cluster_id: settings.cluster_id.clone(),
        incarnation: 1,
        parallelism: job.spec.parallelism,
        restore: "latest".to_owned(),
        restore_request: None,
        take_over: None,
        floor: None,
        token: settings.token.clone(),
    };
    let mut objects =
        vec![render::controller_revision(&to, &revision, 1, false), render::config_map(&to, &revision)];
    objects.extend(render::shared(&to, &revision, &policy));
    let set = render::set(&to, &revision, &arguments, "g1-start-1");
    if policy.disruption_budget {
        objects.push(render::disruption_budget(&to, &set, 1));
    }
    objects.push(set);
    for object in objects {
        println!("---\n{}", yaml(&object.0)?);
    }
    Ok(())
}

fn settings(args: &RenderArgs) -> Settings {
    Settings {
        worker_image: args.worker_image.clone(),
        cluster_id: "ID-OF-THE-CLUSTER".to_owned(),
        operator_namespace: "NAMESPACE-OF-THE-OPERATOR".to_owned(),
        token: TokenCheck {
            keys: "KEYS-OF-THE-CLUSTER".to_owned(),
            issuer: "ISSUER-OF-THE-CLUSTER".to_owned(),
            subject: "SUBJECT-OF-THE-OPERATOR".to_owned(),
        },
        metrics_namespace: None,
    }
}

/// JSON is YAML: what reads the one reads the other.
fn yaml(object: &Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(object)?)
}
