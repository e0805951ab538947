//! Defaults and checks of the kinds that the operator makes: those a real server has and we have run into.
//!
//! Owns: which objects are invalid, which fields never change.
//! Never: knows who writes.

use serde_json::{Value, json};

use super::kinds::Kind;
use super::refusal::Refusal;

/// Fields that a server sets if nobody does.
pub(crate) fn set_defaults(kind: &Kind, object: &mut Value) {
    let spec = &mut object["spec"];
    match kind.kind {
        "StatefulSet" => {
            default(spec, "replicas", json!(1));
            default(spec, "podManagementPolicy", json!("OrderedReady"));
            default(spec, "revisionHistoryLimit", json!(10));
            default(&mut spec["template"]["spec"], "restartPolicy", json!("Always"));
            default(&mut spec["template"]["spec"], "terminationGracePeriodSeconds", json!(30));
        }
        "Job" => {
            default(spec, "backoffLimit", json!(6));
            default(spec, "completions", json!(1));
            default(spec, "parallelism", json!(1));
        }
        "Pod" => {
            default(spec, "restartPolicy", json!("Always"));
            default(spec, "terminationGracePeriodSeconds", json!(30));
        }
        _ => {
            // Writing through an index leaves a null behind.
            if spec.is_null()
                && let Some(map) = object.as_object_mut()
            {
                map.remove("spec");
            }
        }
    }
}

fn default(at: &mut Value, name: &str, value: Value) {
    if at.get(name).is_none() {
        at[name] = value;
    }
}

/// Whether an object may be as it is, and become so from what it was.
pub(crate) fn check(kind: &Kind, before: Option<&Value>, object: &Value) -> Result<(), Refusal> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let refuse = |field: &str, what: &str| Err(Refusal::invalid(kind.kind, name, field, what));
    if !is_subdomain(name) {
        return refuse(
            "metadata.name",
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'",
        );
    }
    for (label, value) in object["metadata"]["labels"].as_object().into_iter().flatten() {
        if value.as_str().is_none_or(|value| value.len() > 63) {
            return refuse(
                "metadata.labels",
                &format!("Invalid value of {label}: must be no more than 63 characters"),
            );
        }
    }
    if let Some(before) = before {
        check_change(kind, before, object)?;
    }
    match kind.kind {
        "StatefulSet" => check_selector(kind, object)?,
        "Event" if object["note"].as_str().is_some_and(|note| note.len() > 1024) => {
            return refuse("note", "can have at most 1024 bytes");
        }
        _ => {}
    }
    if matches!(kind.kind, "StatefulSet" | "Job" | "Pod") {
        check_pod(kind, object)?;
    }
    Ok(())
}

fn check_change(kind: &Kind, before: &Value, object: &Value) -> Result<(), Refusal> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let fixed: &[&str] = match kind.kind {
        "StatefulSet" => &["/spec/selector", "/spec/serviceName", "/spec/podManagementPolicy"],
        "Job" => &["/spec/template", "/spec/selector", "/spec/completions"],
        "ControllerRevision" => &["/data"],
        "ConfigMap" if before["immutable"] == json!(true) => &["/data", "/binaryData", "/immutable"],
        "Service" => &["/spec/clusterIP"],
        "Pod" => &["/spec/nodeName", "/spec/volumes"],
        "StreamJobSavepoint" => &["/spec/streamJobName"],
        _ => &[],
    };
    let id = |object: &Value| object.pointer("/spec/state/id").cloned();
    if kind.kind == "StreamJob" && id(before) != id(object) {
        let what = "state.id may not change: delete the job and create it anew, its state stays";
        return Err(Refusal::invalid(kind.kind, name, "spec", what));
    }
    for pointer in fixed {
        let (old, new) = (before.pointer(pointer), object.pointer(pointer));
        if old.is_some() && old != new {
            let field = pointer.trim_start_matches('/').replace('/', ".");
            return Err(Refusal::invalid(kind.kind, name, &field, "field is immutable"));
        }
    }
    let old = super::write::finalizers(before);
    let added = super::write::finalizers(object).into_iter().any(|finalizer| !old.contains(&finalizer));
    if added && super::write::is_deleting(before) {
        let what = "Forbidden: no new finalizers can be added if the object is being deleted";
        return Err(Refusal::invalid(kind.kind, name, "metadata.finalizers", what));
    }
    Ok(())
}

fn check_selector(kind: &Kind, object: &Value) -> Result<(), Refusal> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let labels = &object["spec"]["template"]["metadata"]["labels"];
    let wanted = object["spec"]["selector"]["matchLabels"].as_object();
    let matches = wanted.is_some_and(|wanted| {
        !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
    });
    if matches {
        return Ok(());
    }
    let what = "`selector` does not match template `labels`";
    Err(Refusal::invalid(kind.kind, name, "spec.template.metadata.labels", what))
}

fn check_pod(kind: &Kind, object: &Value) -> Result<(), Refusal> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let (at, spec) = match kind.kind {
        "Pod" => ("spec", &object["spec"]),
        _ => ("spec.template.spec", &object["spec"]["template"]["spec"]),
    };
    let refuse =
        |field: &str, what: &str| Err(Refusal::invalid(kind.kind, name, &format!("{at}.{field}"), what));
    let containers = spec["containers"].as_array().map_or(&[][..], Vec::as_slice);
    if containers.is_empty() {
        return refuse("containers", "Required value");
    }
    let volumes: Vec<&Value> =
        spec["volumes"].as_array().into_iter().flatten().map(|it| &it["name"]).collect();
    for container in containers {
        if container["image"].as_str().is_none_or(str::is_empty) {
            return refuse("containers[0].image", "Required value");
        }
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            if !volumes.contains(&&mount["name"]) {
                return refuse("containers[0].volumeMounts", &format!("Not found: {}", mount["name"]));
            }
        }
        for side in ["requests", "limits"] {
            for (resource, quantity) in container["resources"][side].as_object().into_iter().flatten() {
                if quantity
                    .as_str()
                    .is_none_or(|text| !text.starts_with(|first: char| first.is_ascii_digit()))
                {
                    let what =
                        format!("Invalid value: {quantity}: quantities must match the regular expression");
                    return refuse(&format!("containers[0].resources.{side}[{resource}]"), &what);
                }
            }
        }
    }
    Ok(())
}

fn is_subdomain(name: &str) -> bool {
    let fits = |part: &str| {
        let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        part.starts_with(plain)
            && part.ends_with(plain)
            && part.chars().all(|letter| plain(letter) || letter == '-')
    };
    name.len() <= 253 && name.split('.').all(fits)
}
