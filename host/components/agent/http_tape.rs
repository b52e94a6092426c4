//! HTTP on a tape: a request and its response, each whole.

use std::sync::Arc;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wasmtime_wasi_http::{Error, WasiBody};

use super::http::Sent;
use crate::tape::Take;
use crate::{ComponentError, ComponentErrorKind, Tape};

/// The most bytes of a body on a tape.
const BODY_BYTES: usize = 16 << 20;

/// Sends a request by `send`, or answers it from the tape. Its place there is where it was sent, whenever its body and
/// its answer came.
pub(super) fn send<Sending: Future<Output = Result<Sent, Error>> + Send + 'static>(
    tape: &Arc<Tape>,
    request: Request<WasiBody>,
    send: impl FnOnce(Request<WasiBody>) -> Sending + Send + 'static,
) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
    let headers = Headers::of(request.headers());
    let arguments = json!({"method": request.method().as_str(), "url": request.uri().to_string(), "headers": headers});
    let take = tape.take("http.request", arguments, Some("body"));
    Box::new(async move { answer(take.map_err(untaped)?, request, send).await })
}

async fn answer<Sending: Future<Output = Result<Sent, Error>>>(
    take: Take,
    request: Request<WasiBody>,
    send: impl FnOnce(Request<WasiBody>) -> Sending,
) -> Result<Sent, Error> {
    let (parts, body) = request.into_parts();
    let body = whole(body).await?;
    take.complete("body", text(&body)).map_err(untaped)?;
    let exchange = match take.given::<Answer>().map_err(untaped)? {
        Some(answered) => answered,
        None => {
            let sent = send(Request::from_parts(parts, boxed(body))).await;
            let answered = match sent {
                Ok(sent) => Answer::of(sent).await,
                Err(error) => Err(error),
            };
            answered.map_err(|error| ComponentError::new(ComponentErrorKind::Other, "", name(&error)))
        }
    };
    take.keep(&exchange);
    match exchange {
        Ok(answer) => Ok((answer.response()?, Box::new(std::future::ready(Ok(()))))),
        // By its name, so that a run that is recorded and one that is played are told the same.
        Err(error) => Err(named(error.message())),
    }
}

/// A response as tapes have it.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    status: u16,
    headers: Headers,
    body: Value,
}

impl Answer {
    /// Reads a response to its end.
    async fn of((response, connection): Sent) -> Result<Self, Error> {
        let (parts, body) = response.into_parts();
        let body = whole(body).await?;
        // It was needed as long as something came.
        drop(connection);
        Ok(Self { status: parts.status.as_u16(), headers: Headers::of(&parts.headers), body: text(&body) })
    }

    fn response(self) -> Result<Response<WasiBody>, Error> {
        let wrong = || Error::InternalError(Some("the recording has a response that is none".to_owned()));
        let mut response = Response::new(boxed(bytes(&self.body).ok_or_else(wrong)?));
        *response.status_mut() = self.status.try_into().map_err(|_| wrong())?;
        for (name, value) in self.headers.0 {
            let name = HeaderName::try_from(name).map_err(|_| wrong())?;
            response.headers_mut().append(name, HeaderValue::try_from(value).map_err(|_| wrong())?);
        }
        Ok(response)
    }
}

/// Names and values, in their order.
#[derive(Debug, Serialize, Deserialize)]
struct Headers(Vec<(String, String)>);

impl Headers {
    fn of(headers: &HeaderMap) -> Self {
        let written = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Self(headers.iter().map(written).collect())
    }
}

async fn whole<B: Body<Data = Bytes, Error = Error>>(body: B) -> Result<Bytes, Error> {
    let collected = Limited::new(body, BODY_BYTES).collect().await;
    let collected = collected.map_err(|error| match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(_) => Error::InternalError(Some(format!("a body on a tape has at most {} MiB", BODY_BYTES >> 20))),
    })?;
    Ok(collected.to_bytes())
}

fn boxed(body: Bytes) -> WasiBody {
    Full::new(body).map_err(Error::from).boxed_unsync()
}

/// A body: a text, or a list of bytes where it is none.
fn text(body: &Bytes) -> Value {
    match std::str::from_utf8(body) {
        Ok(text) => text.into(),
        Err(_) => json!(body.to_vec()),
    }
}

fn bytes(body: &Value) -> Option<Bytes> {
    match body {
        Value::String(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
        list => Vec::<u8>::deserialize(list).ok().map(Bytes::from),
    }
}

/// What a guest is told where its request is not the tape's; the tape knows.
fn untaped(error: wasmtime::Error) -> Error {
    Error::InternalError(Some(error.to_string()))
}

/// The name of an error. Those that say more than their name are told by their sentence.
fn name(error: &Error) -> String {
    match error {
        Error::DestinationNotFound => "destination_not_found".to_owned(),
        Error::DestinationIpProhibited => "destination_ip_prohibited".to_owned(),
        Error::HttpRequestDenied => "http_request_denied".to_owned(),
        Error::HttpRequestUriInvalid => "http_request_uri_invalid".to_owned(),
        Error::ConnectionRefused => "connection_refused".to_owned(),
        Error::ConnectionTimeout => "connection_timeout".to_owned(),
        Error::ConnectionReadTimeout => "connection_read_timeout".to_owned(),
        Error::Connect(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            "connection_refused".to_owned()
        }
        error => error.to_string(),
    }
}

fn named(name: &str) -> Error {
    match name {
        "destination_not_found" => Error::DestinationNotFound,
        "destination_ip_prohibited" => Error::DestinationIpProhibited,
        "http_request_denied" => Error::HttpRequestDenied,
        "http_request_uri_invalid" => Error::HttpRequestUriInvalid,
        "connection_refused" => Error::ConnectionRefused,
        "connection_timeout" => Error::ConnectionTimeout,
        "connection_read_timeout" => Error::ConnectionReadTimeout,
        sentence => Error::InternalError(Some(sentence.to_owned())),
    }
}
