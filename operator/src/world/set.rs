//! A StatefulSet: one incarnation of workers.
//!
//! Owns: the start arguments, there and back.
//! Never: decides which incarnation should be there.

use serde_json::Value;

use super::object::{Object, labels};

/// The StatefulSet of an incarnation.
#[derive(Clone, Debug)]
pub struct SetSeen<'a> {
    /// All of it.
    pub object: &'a Object,
    /// Its incarnation.
    pub incarnation: i64,
    /// The revision it was made from.
    pub revision: Option<&'a str>,
    /// What its workers were started with.
    pub arguments: StartArguments,
}

/// How workers know a token of the operator.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TokenCheck {
    /// The cluster's public keys: a JWKS as JSON, as the API server serves it.
    pub keys: String,
    /// Who signs.
    pub issuer: String,
    /// The operator's service account: `system:serviceaccount:NAMESPACE:NAME`.
    pub subject: String,
}

/// What the workers of one incarnation are started with; it is nowhere but in their StatefulSet.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StartArguments {
    /// `--cluster-id`
    pub cluster_id: String,
    /// `--incarnation`
    pub incarnation: i64,
    /// `--parallelism`
    pub parallelism: u32,
    /// `--restore`: `latest`, `nothing`, or the URI of a savepoint.
    pub restore: String,
    /// `--restore-request`
    pub restore_request: Option<String>,
    /// `--take-over`
    pub take_over: Option<String>,
    /// `--floor`
    pub floor: Option<i64>,
    /// `--token-keys`, `--token-issuer`, `--token-subject`
    pub token: TokenCheck,
}

impl<'a> SetSeen<'a> {
    /// Reads a StatefulSet; None if it names no incarnation.
    pub fn of(object: &'a Object) -> Option<Self> {
        let incarnation = object.incarnation()?;
        let arguments = object.list("/spec/template/spec/containers/0/args");
        let arguments = StartArguments::read(arguments.iter().filter_map(Value::as_str));
        Some(Self { object, incarnation, revision: object.label(labels::REVISION), arguments })
    }

    /// Whether nobody deleted it.
    pub fn stays(&self) -> bool {
        self.object.deletion_timestamp().is_none()
    }
}

impl StartArguments {
    /// As the program takes them.
    pub fn written(&self) -> Vec<String> {
        let mut arguments = vec![
            format!("--cluster-id={}", self.cluster_id),
            format!("--incarnation={}", self.incarnation),
            format!("--parallelism={}", self.parallelism),
            format!("--restore={}", self.restore),
        ];
        arguments.extend(self.restore_request.iter().map(|id| format!("--restore-request={id}")));
        arguments.extend(self.take_over.iter().map(|owner| format!("--take-over={owner}")));
        arguments.extend(self.floor.iter().map(|seq| format!("--floor={seq}")));
        arguments.push(format!("--token-keys={}", self.token.keys));
        arguments.push(format!("--token-issuer={}", self.token.issuer));
        arguments.push(format!("--token-subject={}", self.token.subject));
        arguments
    }

    /// Reads them back; what is none of them is passed over.
    pub fn read<'a>(written: impl Iterator<Item = &'a str>) -> Self {
        let mut read = Self::default();
        for argument in written {
            let Some((name, value)) = argument.split_once('=') else { continue };
            let value = value.to_owned();
            match name {
                "--cluster-id" => read.cluster_id = value,
                "--incarnation" => read.incarnation = value.parse().unwrap_or_default(),
                "--parallelism" => read.parallelism = value.parse().unwrap_or_default(),
                "--restore" => read.restore = value,
                "--restore-request" => read.restore_request = Some(value),
                "--take-over" => read.take_over = Some(value),
                "--floor" => read.floor = value.parse().ok(),
                "--token-keys" => read.token.keys = value,
                "--token-issuer" => read.token.issuer = value,
                "--token-subject" => read.token.subject = value,
                _ => {}
            }
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_arguments_are_read_back_as_they_were_written() {
        let all = StartArguments {
            cluster_id: "c1".to_owned(),
            incarnation: 8,
            parallelism: 4,
            restore: "s3://a/b=c".to_owned(),
            restore_request: Some("incident-4711".to_owned()),
            take_over: Some("c0/shop/orders".to_owned()),
            floor: Some(12),
            token: TokenCheck {
                keys: "{\"keys\":[]}".to_owned(),
                issuer: "https://kubernetes.default.svc".to_owned(),
                subject: "system:serviceaccount:streams:operator".to_owned(),
            },
        };
        let few = StartArguments { restore_request: None, take_over: None, floor: None, ..all.clone() };

        for arguments in [all, few] {
            let written = arguments.written();

            assert_eq!(StartArguments::read(written.iter().map(String::as_str)), arguments);
        }
    }
}
