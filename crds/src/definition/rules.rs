//! The rules that join several fields, in CEL: what the API server itself refuses.
//!
//! Owns: one table: where a rule stands, the rule, the sentence that a user reads.
//! Never: holds a rule that `validate` does not have, but for those about a change of the object.

use serde_json::{Value, json};

/// A rule on one place of the schema.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    /// Fields divided by dots; `[]` goes into a list, and nothing is the whole object.
    pub(super) path: &'static str,
    /// The expression.
    pub(super) rule: &'static str,
    /// What is said if it is false.
    pub(super) message: &'static str,
}

const fn rule(path: &'static str, rule: &'static str, message: &'static str) -> Rule {
    Rule { path, rule, message }
}

const SECRET: &str = "has(self.name) && has(self.key) && !has(self.file) && !has(self.environment)";
const SECRET_SAYS: &str =
    "must be a key of a Secret: write `name` and `key`; `file` and `environment` are of one machine";

pub(super) const STREAM_JOB: &[Rule] = &[
    rule(
        "",
        "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name must have at most 40 characters, a to z, 0 to 9 and `-`, and begin with a letter",
    ),
    rule(
        "spec",
        "(has(self.state) && has(self.state.id) ? self.state.id : '') == (has(oldSelf.state) && has(oldSelf.state.id) ? oldSelf.state.id : '')",
        "state.id may not change: delete the job and create it anew, its state stays",
    ),
    rule(
        "spec",
        "!has(self.state) || !has(self.state.location) || !has(self.state.location.ephemeral) || !has(self.pipeline.sink.kafka) || (has(self.pipeline.sink.kafka.delivery) && self.pipeline.sink.kafka.delivery == 'AtLeastOnce')",
        "`sink.kafka.delivery` must be AtLeastOnce while state is ephemeral: exactly once needs state that outlives the pod",
    ),
    rule(
        "spec.pipeline.source",
        "[has(self.files), has(self.kafka), has(self.generator)].filter(set, set).size() == 1",
        "must have exactly one of `files`, `kafka` and `generator`",
    ),
    rule(
        "spec.pipeline.source",
        "has(self.generator) ? !has(self.format) && !has(self.columns) : has(self.format) && has(self.columns)",
        "`format` and `columns` must be written with `files` and `kafka`, and may not with `generator`",
    ),
    rule("spec.pipeline.source.format", FORMAT, FORMAT_SAYS),
    rule("spec.pipeline.sink.format", FORMAT, FORMAT_SAYS),
    rule(
        "spec.pipeline.source.generator.columns[]",
        "[has(self.sequence), has(self.uniform), has(self.zipf), has(self.choice), has(self.timestamp)].filter(set, set).size() == 1",
        "must have exactly one of `sequence`, `uniform`, `zipf`, `choice` and `timestamp`",
    ),
    rule(
        "spec.pipeline.source.kafka",
        "has(self.startTime) == (has(self.startFrom) && self.startFrom == 'Timestamp')",
        "`startTime` must be written with `startFrom: Timestamp`, and may not otherwise",
    ),
    rule(
        "spec.pipeline.source.kafka",
        "has(self.startOffsets) == (has(self.startFrom) && self.startFrom == 'Offsets')",
        "`startOffsets` must be written with `startFrom: Offsets`, and may not otherwise",
    ),
    rule(
        "spec.pipeline.source.badRecords",
        "[has(self.files), has(self.kafka)].filter(set, set).size() == (self.action == 'DeadLetter' ? 1 : 0)",
        "must have exactly one of `files` and `kafka` with `action: DeadLetter`, and none otherwise",
    ),
    rule(
        "spec.pipeline.window.late",
        "[has(self.files), has(self.kafka)].filter(set, set).size() == (self.action == 'SideOutput' ? 1 : 0)",
        "must have exactly one of `files` and `kafka` with `action: SideOutput`, and none otherwise",
    ),
    rule(
        "spec.pipeline.transforms[]",
        "[has(self.where), has(self.select), has(self.flatMap)].filter(set, set).size() == 1",
        "must have exactly one of `where`, `select` and `flatMap`",
    ),
    rule(
        "spec.pipeline.eventTime",
        "has(self.field) != has(self.expr)",
        "must have exactly one of `field` and `expr`",
    ),
    rule(
        "spec.pipeline.window.tumbling",
        "duration(self.size) > duration('0s')",
        "`size` must be longer than 0s",
    ),
    rule(
        "spec.pipeline.aggregates[]",
        "has(self.field) || self.__function__ == 'Count'",
        "`field` must be written: only `function: Count` may go without",
    ),
    rule(
        "spec.pipeline.aggregates[]",
        "!has(self.overflow) || self.__function__ == 'Sum'",
        "`overflow` may be written with `function: Sum` only",
    ),
    rule(
        "spec.pipeline.sink",
        "[has(self.files), has(self.kafka), has(self.stdout), has(self.blackhole)].filter(set, set).size() == 1",
        "must have exactly one of `files`, `kafka`, `stdout` and `blackhole`",
    ),
    rule("spec.pipeline.source.kafka.cluster.tls.ca", SECRET, SECRET_SAYS),
    rule("spec.pipeline.source.kafka.cluster.tls.clientCertificate.certificate", SECRET, SECRET_SAYS),
    rule("spec.pipeline.source.kafka.cluster.tls.clientCertificate.privateKey", SECRET, SECRET_SAYS),
    rule("spec.pipeline.source.kafka.cluster.sasl.password", SECRET, SECRET_SAYS),
    rule("spec.pipeline.sink.kafka.cluster.tls.ca", SECRET, SECRET_SAYS),
    rule("spec.pipeline.sink.kafka.cluster.tls.clientCertificate.certificate", SECRET, SECRET_SAYS),
    rule("spec.pipeline.sink.kafka.cluster.tls.clientCertificate.privateKey", SECRET, SECRET_SAYS),
    rule("spec.pipeline.sink.kafka.cluster.sasl.password", SECRET, SECRET_SAYS),
    rule(
        "spec.state.location",
        "has(self.uri) != has(self.ephemeral)",
        "must have exactly one of `uri` and `ephemeral`",
    ),
    rule(
        "spec.state.location",
        "!has(self.uri) || self.uri.matches('^(s3|gs|az)://[^/]')",
        "`uri` must be in an object store, `s3://`, `gs://` or `az://`: what is elsewhere is lost with its pod",
    ),
    rule(
        "spec.state.location",
        "(has(self.uri) && self.uri.startsWith('s3://')) || (!has(self.endpoint) && !has(self.region) && !has(self.pathStyle))",
        "`endpoint`, `region` and `pathStyle` may be written with an `s3://` URL only",
    ),
    rule(
        "spec.state.location",
        "has(self.uri) || (!has(self.credentials) && !has(self.ca))",
        "`credentials` and `ca` may be written with a `uri` only",
    ),
    rule(
        "spec.state.checkpoint",
        "!has(self.interval) || duration(self.interval) >= duration('50ms')",
        "`interval` must be at least 50ms",
    ),
    rule(
        "spec.state.checkpoint",
        "duration(has(self.timeout) ? self.timeout : '10m') > duration(has(self.interval) ? self.interval : '10s')",
        "`timeout` (10m if it is not written) must be longer than `interval`",
    ),
    rule(
        "spec.restore",
        "has(self.savepointName) == (self.from == 'Savepoint')",
        "`savepointName` must be written with `from: Savepoint`, and may not otherwise",
    ),
    rule(
        "spec.restore",
        "has(self.uri) == (self.from == 'URI')",
        "`uri` must be written with `from: URI`, and may not otherwise",
    ),
    rule(
        "spec.restore",
        "(has(self.allowStateLoss) && self.allowStateLoss) == (self.from == 'Nothing')",
        "`allowStateLoss: true` must be written with `from: Nothing`, and may not otherwise: the state of the job is lost",
    ),
    rule(
        "spec.recovery",
        "duration(has(self.maxBackoff) ? self.maxBackoff : '5m') >= duration(has(self.initialBackoff) ? self.initialBackoff : '1s')",
        "`maxBackoff` (5m if it is not written) may not be shorter than `initialBackoff`",
    ),
    rule(
        "spec.workers",
        "!has(self.terminationGracePeriod) || duration(self.terminationGracePeriod) >= duration('1s')",
        "`terminationGracePeriod` must be at least 1s",
    ),
    rule("spec.workers.template.labels", OWN, OWN_SAYS),
    rule("spec.workers.template.annotations", OWN, OWN_SAYS),
];

pub(super) const SAVEPOINT: &[Rule] = &[
    rule("spec.streamJobName", "self == oldSelf", "may not change: create another StreamJobSavepoint"),
    rule(
        "spec",
        "!has(self.timeout) || duration(self.timeout) > duration('0s')",
        "`timeout` must be longer than 0s",
    ),
];

const FORMAT: &str = "[has(self.json), has(self.csv), has(self.raw)].filter(set, set).size() == 1";
const FORMAT_SAYS: &str = "must have exactly one of `json`, `csv` and `raw`";
const OWN: &str =
    "self.all(name, !name.startsWith('streamjob.dev/') && !name.startsWith('app.kubernetes.io/'))";
const OWN_SAYS: &str =
    "may not begin with `streamjob.dev/` or `app.kubernetes.io/`: the operator writes those";

impl Rule {
    /// Writes the rule where it stands; a path that the schema does not have is a mistake in the table.
    pub(super) fn add_to(&self, schema: &mut Value) {
        let place = self.place(schema);
        let rules = place
            .as_object_mut()
            .expect("a schema is a mapping")
            .entry("x-kubernetes-validations")
            .or_insert_with(|| json!([]));
        let rules = rules.as_array_mut().expect("it was made as a list");
        rules.push(json!({"rule": self.rule, "message": self.message}));
    }

    fn place<'a>(&self, schema: &'a mut Value) -> &'a mut Value {
        let mut place = schema;
        for step in self.path.split('.').filter(|step| !step.is_empty()) {
            let (name, in_list) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
            place = place
                .get_mut("properties")
                .and_then(|fields| fields.get_mut(name))
                .unwrap_or_else(|| panic!("a rule stands at {}, which there is not", self.path));
            if in_list {
                place = &mut place["items"];
            }
        }
        place
    }
}
