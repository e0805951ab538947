//! A definition as a template of the chart.
//!
//! Owns: the few lines that Helm fills in.
//! Never: changes what is below `spec`.

use serde_json::Value;

use super::yaml;

/// The file of a definition, by its plural name.
pub(crate) fn file_name(definition: &Value) -> String {
    format!("{}.yaml", definition["spec"]["names"]["plural"].as_str().expect("a definition has names"))
}

/// The text of its template.
pub(crate) fn template(definition: &Value) -> String {
    let name = definition["metadata"]["name"].as_str().expect("a definition has a name");
    let annotations =
        definition["metadata"]["annotations"].as_object().expect("a definition has annotations");
    let own: String =
        annotations.iter().map(|(name, value)| format!("    {name}: {}\n", yaml::scalar(value))).collect();
    let spec = yaml::block(&definition["spec"], 2);
    assert!(!spec.contains("{{"), "Helm would read a part of {name} as its own");
    format!(
        "# Made by `make generate`: change the types in crds/ instead.
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: {name}
  labels:
    app.kubernetes.io/part-of: streamjob
    {{{{- with .Values.labels }}}}
    {{{{- toYaml . | nindent 4 }}}}
    {{{{- end }}}}
  annotations:
{own}    {{{{- if .Values.keep }}}}
    helm.sh/resource-policy: keep
    {{{{- end }}}}
    {{{{- with .Values.annotations }}}}
    {{{{- toYaml . | nindent 4 }}}}
    {{{{- end }}}}
spec:
{spec}"
    )
}
