//! Saying who we are.
//!
//! Owns: the exchange with the broker; a library has the mechanisms.
//! Never: says a password in an error.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::config::SASLConfig;
use rsasl::mechname::Mechname;
use rsasl::prelude::{SASLClient, SessionError};
use rsasl::property::{AuthId, Password};

use super::{Cause, Connection};
use crate::settings::Sasl;

struct Credentials(Sasl);

impl SessionCallback for Credentials {
    fn callback(
        &self,
        _session: &SessionData,
        _context: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        request.satisfy::<AuthId>(&self.0.username)?.satisfy::<Password>(self.0.password.as_bytes())?;
        Ok(())
    }
}

impl Connection {
    /// Says who we are.
    pub(super) fn authenticate(&mut self, sasl: &Sasl) -> Result<(), Cause> {
        let name = StrBytes::from_string(sasl.mechanism.clone());
        let (handshake, _) = self.exchange(&SaslHandshakeRequest::default().with_mechanism(name), 1)?;
        if let Some(error) = ResponseError::try_from_code(handshake.error_code) {
            let offered: Vec<&str> = handshake.mechanisms.iter().map(StrBytes::as_str).collect();
            let mechanism = &sasl.mechanism;
            return Err(Cause::Sasl(format!(
                "it does not take {mechanism}, but {} ({error})",
                offered.join(", ")
            )));
        }
        let callback = Credentials(sasl.clone());
        let config =
            SASLConfig::builder().with_default_mechanisms().with_callback(callback).map_err(fails)?;
        let mechanism = Mechname::parse(sasl.mechanism.as_bytes()).map_err(fails)?;
        let mut session = SASLClient::new(config).start_suggested(&[mechanism]).map_err(fails)?;
        let mut said: Option<Bytes> = None;
        loop {
            let mut answer = Vec::new();
            let state = session.step(said.as_deref(), &mut answer).map_err(fails)?;
            if state.has_sent_message() {
                said = Some(self.say(answer)?);
            }
            if state.is_finished() {
                return Ok(());
            }
        }
    }

    fn say(&mut self, bytes: Vec<u8>) -> Result<Bytes, Cause> {
        let request = SaslAuthenticateRequest::default().with_auth_bytes(bytes.into());
        let (answer, _) = self.exchange(&request, 1)?;
        match ResponseError::try_from_code(answer.error_code) {
            None => {
                // KIP-368: who stays has to say it again; four fifths leave time to.
                let lifetime = u64::try_from(answer.session_lifetime_ms).unwrap_or(0);
                self.ends = (lifetime > 0).then(|| Instant::now() + Duration::from_millis(lifetime / 5 * 4));
                Ok(answer.auth_bytes)
            }
            Some(error) => {
                Err(Cause::Sasl(answer.error_message.map_or(error.to_string(), |said| said.to_string())))
            }
        }
    }
}

fn fails(error: impl std::fmt::Display) -> Cause {
    Cause::Sasl(format!("cannot say who we are: {error}"))
}
