//! The kinds that the server knows, and which of their lists are merged item by item.
//!
//! Owns: names, scopes, status subresources and the keys of lists.
//! Never: looks at an object.

/// How a list is merged by a server-side apply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Merge {
    /// As one value.
    Atomic,
    /// Item by item; these fields tell items apart.
    ByKeys(&'static [&'static str]),
    /// As a set of texts.
    Set,
}

/// A kind of object.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespaced: bool,
    /// Whether `status` is written only through its own path.
    pub(crate) status: bool,
    /// Whether the server counts changes of the spec in `metadata.generation`.
    pub(crate) generation: bool,
    /// Where a pod's spec lies in it, if one does.
    pod: Option<&'static str>,
}

const fn kind(group: &'static str, version: &'static str, plural: &'static str, kind: &'static str) -> Kind {
    Kind { group, version, plural, kind, namespaced: true, status: false, generation: false, pod: None }
}

impl Kind {
    const fn with_status(mut self) -> Self {
        self.status = true;
        self.generation = true;
        self
    }

    const fn of_cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }

    const fn with_pod(mut self, at: &'static str) -> Self {
        self.pod = Some(at);
        self
    }

    /// As in `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// As in messages: `statefulsets.apps`.
    pub(crate) fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Whether it is one of ours, defined by a CustomResourceDefinition.
    pub(crate) fn is_custom(&self) -> bool {
        self.group == OWN_GROUP
    }

    /// How the list at a path is merged; `[]` stands for an item, as in `spec.template.spec.containers[].ports`.
    pub(crate) fn merge_of_list(&self, path: &str) -> Merge {
        let found = |table: &[(&str, Merge)], path: &str| {
            table.iter().find(|(known, _)| *known == path).map(|(_, merge)| *merge)
        };
        let in_pod = || found(POD_LISTS, path.strip_prefix(self.pod?)?.strip_prefix('.')?);
        let own = || {
            let table = LISTS.iter().find(|(kind, _)| *kind == self.kind)?.1;
            found(table, path)
        };
        found(EVERY_LISTS, path).or_else(in_pod).or_else(own).unwrap_or(Merge::Atomic)
    }

    /// Whether the mapping at a path is one value, such as a selector.
    pub(crate) fn is_atomic_map(&self, path: &str) -> bool {
        let in_pod = self.pod.and_then(|pod| path.strip_prefix(pod)).and_then(|rest| rest.strip_prefix('.'));
        path == "spec.selector" && self.kind != "Service" || in_pod == Some("nodeSelector")
    }
}

/// The group of our own kinds.
pub(crate) const OWN_GROUP: &str = "streamjob.dev";

const EVERY_LISTS: &[(&str, Merge)] = &[
    ("metadata.ownerReferences", Merge::ByKeys(&["uid"])),
    ("metadata.finalizers", Merge::Set),
    ("status.conditions", Merge::ByKeys(&["type"])),
];

const POD_LISTS: &[(&str, Merge)] = &[
    ("containers", Merge::ByKeys(&["name"])),
    ("containers[].env", Merge::ByKeys(&["name"])),
    ("containers[].ports", Merge::ByKeys(&["containerPort", "protocol"])),
    ("containers[].volumeMounts", Merge::ByKeys(&["mountPath"])),
    ("volumes", Merge::ByKeys(&["name"])),
    ("imagePullSecrets", Merge::ByKeys(&["name"])),
    ("topologySpreadConstraints", Merge::ByKeys(&["topologyKey", "whenUnsatisfiable"])),
];

const LISTS: &[(&str, &[(&str, Merge)])] = &[
    ("Service", &[("spec.ports", Merge::ByKeys(&["port", "protocol"]))]),
    (
        "StreamJob",
        &[
            ("spec.pipeline.source.columns", Merge::ByKeys(&["name"])),
            ("spec.pipeline.aggregates", Merge::ByKeys(&["name"])),
        ],
    ),
];

const TEMPLATE: &str = "spec.template.spec";

/// All kinds; an object refers to its kind by the place in this list.
pub(crate) const KINDS: &[Kind] = &[
    kind("", "v1", "namespaces", "Namespace").of_cluster().with_status(),
    kind("", "v1", "pods", "Pod").with_status().with_pod("spec"),
    kind("", "v1", "configmaps", "ConfigMap"),
    kind("", "v1", "services", "Service").with_status(),
    kind("", "v1", "serviceaccounts", "ServiceAccount"),
    kind("apps", "v1", "statefulsets", "StatefulSet").with_status().with_pod(TEMPLATE),
    kind("apps", "v1", "controllerrevisions", "ControllerRevision"),
    kind("batch", "v1", "jobs", "Job").with_status().with_pod(TEMPLATE),
    kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget").with_status(),
    kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy").with_status(),
    kind("coordination.k8s.io", "v1", "leases", "Lease"),
    kind("events.k8s.io", "v1", "events", "Event"),
    kind(OWN_GROUP, "v1alpha1", "streamjobs", "StreamJob").with_status(),
    kind(OWN_GROUP, "v1alpha1", "streamjobsavepoints", "StreamJobSavepoint").with_status(),
];

/// The place of a kind in [`KINDS`].
pub(crate) fn index_of(name: &str) -> usize {
    KINDS.iter().position(|kind| kind.kind == name).expect("callers name kinds of the list")
}

/// The place of a kind by what a path says.
pub(crate) fn by_path(group: &str, version: &str, plural: &str) -> Option<usize> {
    KINDS.iter().position(|kind| kind.group == group && kind.version == version && kind.plural == plural)
}
