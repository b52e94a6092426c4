//! A page by HTTP.

use asking::bindings::wasmlx::runner::types::Error;

use crate::bindings::wasi::http::outgoing_handler::handle;
use crate::bindings::wasi::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingRequest, Scheme,
};
use crate::bindings::wasi::io::streams::StreamError;
use crate::bindings::wasmlx::runner::console::print;

/// The most redirects that are followed.
const REDIRECTS: usize = 5;

/// The most bytes of a page.
const PAGE: usize = 1 << 20;

pub(crate) fn fetch(url: &str) -> Result<(), Error> {
    let mut url = url.to_owned();
    for _ in 0..=REDIRECTS {
        let response = get(&url)?;
        let status = response.status();
        if !(300..400).contains(&status) {
            let page = page(&response)?;
            print(&format!("{status}\n{page}\n"))?;
            return Ok(());
        }
        let location = response.headers().get("location").into_iter().next();
        let location = location.and_then(|location| String::from_utf8(location).ok());
        // The next request is checked as the first was: a redirect leads nowhere that is not granted.
        url = location.ok_or_else(|| Error::NotFound(format!("{url} redirects to nowhere")))?;
    }
    Err(Error::NotFound(format!("more than {REDIRECTS} redirects")))
}

fn get(url: &str) -> Result<IncomingResponse, Error> {
    let wrong = || Error::InvalidInput(format!("{url} is no URL of http or https"));
    let (scheme, rest) = match url.split_once("://").ok_or_else(wrong)? {
        ("http", rest) => (Scheme::Http, rest),
        ("https", rest) => (Scheme::Https, rest),
        _ => return Err(wrong()),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = OutgoingRequest::new(Fields::new());
    let set = request
        .set_method(&Method::Get)
        .and_then(|()| request.set_scheme(Some(&scheme)))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })));
    set.map_err(|()| wrong())?;
    let future = handle(request, None).map_err(|code| failed(url, code))?;
    future.subscribe().block();
    // Some, since it is ready; and once, since it is asked for once.
    let answer = future.get().and_then(Result::ok).ok_or_else(|| Error::NotFound(format!("{url} did not answer")))?;
    answer.map_err(|code| failed(url, code))
}

fn page(response: &IncomingResponse) -> Result<String, Error> {
    let lost = |what: &str| Error::NotFound(format!("the page is not to be had: {what}"));
    let body = response.consume().map_err(|()| lost("it was taken"))?;
    let mut bytes = Vec::new();
    {
        let stream = body.stream().map_err(|()| lost("it was taken"))?;
        while bytes.len() < PAGE {
            match stream.blocking_read(64 << 10) {
                Ok(chunk) => bytes.extend(chunk),
                Err(StreamError::Closed) => break,
                Err(StreamError::LastOperationFailed(error)) => return Err(lost(&error.to_debug_string())),
            }
        }
    }
    drop(IncomingBody::finish(body));
    bytes.truncate(PAGE);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn failed(url: &str, code: ErrorCode) -> Error {
    match code {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
            Error::Denied(format!("{url} is not to be reached: {code:?}. --grant 'http=HOST'?"))
        }
        code => Error::NotFound(format!("{url}: {code:?}")),
    }
}
