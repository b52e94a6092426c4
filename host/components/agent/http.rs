//! Outgoing HTTP, to the hosts that the user granted.
//!
//! Each request is checked by itself: a redirect is an answer like any other, and following it is another request.
//! Its host is resolved once, and the connection goes to an address that was checked, so that a name cannot lead
//! elsewhere between the check and the use. Proxies that the environment names are not used.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::header::HeaderName;
use hyper::http::uri::Scheme;
use hyper::{Request, Response, Uri};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Sleep, sleep, timeout};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::{http_tape, tls};
use crate::{Authority, Permissions, Tape};

/// How long a connection, the first byte of an answer, or the next one may take where the guest does not say, and at
/// the most.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an agent's requests go through.
pub(super) struct Outgoing {
    permissions: Arc<Permissions>,
    tape: Option<Arc<Tape>>,
}

impl Outgoing {
    pub(super) fn new(permissions: Arc<Permissions>, tape: Option<Arc<Tape>>) -> Self {
        Self { permissions, tape }
    }
}

pub(super) type Sent = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let target = Target::of(request.uri(), &self.permissions);
        let send = move |request| async move { target?.send(request, Patience::new(options)).await };
        match &self.tape {
            Some(tape) => http_tape::send(tape, request, send),
            None => Box::new(send(request)),
        }
    }

    /// A host's name is the connection's, whatever a guest says; so are the headers that belong to a connection.
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        (self.forbidden_header_filter())(name)
    }
}

/// Where a granted request goes.
struct Target {
    grant: Authority,
    host: String,
    port: u16,
    tls: bool,
}

impl Target {
    fn of(uri: &Uri, permissions: &Permissions) -> Result<Self, Error> {
        let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
        // `user:password@host` would be sent nowhere, and reads like a host that it is not.
        if authority.as_str().contains('@') {
            return Err(Error::HttpRequestUriInvalid);
        }
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(Error::HttpRequestUriInvalid),
        };
        let port = match (authority.port(), tls) {
            (Some(port), _) => port.as_u16(),
            (None, true) => 443,
            (None, false) => 80,
        };
        let host = authority.host().to_owned();
        let grant = permissions.http(&host, port).cloned().ok_or(Error::HttpRequestDenied)?;
        Ok(Self { grant, host, port, tls })
    }

    async fn send(self, mut request: Request<WasiBody>, patience: Patience) -> Result<Sent, Error> {
        let stream = timeout(patience.connect, self.connect()).await.map_err(|_| Error::ConnectionTimeout)??;
        // The scheme and the host are for proxies; a server gets the path.
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
        let (mut sender, connection) = http1::Builder::new().handshake(TokioIo::new(stream)).await?;
        // It makes progress by itself while the answer is waited for and read, and ends with its last owner.
        let connection = wasmtime_wasi::runtime::spawn(async move { connection.await.map_err(Error::from) });
        let answer = timeout(patience.first_byte, sender.send_request(request)).await;
        let answer = answer.map_err(|_| Error::ConnectionReadTimeout)??;
        let answer = answer.map(|body| PatientBody::new(body, patience.between_bytes).boxed_unsync());
        Ok((answer, Box::new(connection)))
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, Error> {
        let address = self.resolve().await?;
        let stream = TcpStream::connect(&address[..]).await.map_err(Error::Connect)?;
        if !self.tls {
            return Ok(Box::new(stream));
        }
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        Ok(Box::new(tls::secure(host, stream).await?))
    }

    /// The addresses of the host that the grant allows.
    async fn resolve(&self) -> Result<Vec<SocketAddr>, Error> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let found = lookup_host((host, self.port))
            .await
            .map_err(|error| Error::DnsError { rcode: Some(error.to_string()), info_code: None })?;
        let found: Vec<SocketAddr> = found.collect();
        let allowed: Vec<SocketAddr> =
            found.iter().copied().filter(|address| self.grant.may_connect(address.ip())).collect();
        match (allowed.is_empty(), found.is_empty()) {
            (false, _) => Ok(allowed),
            (true, false) => Err(Error::DestinationIpProhibited),
            (true, true) => Err(Error::DestinationNotFound),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
struct Patience {
    connect: Duration,
    first_byte: Duration,
    between_bytes: Duration,
}

impl Patience {
    fn new(options: Option<RequestOptions>) -> Self {
        let options = options.unwrap_or_default();
        let at_most = |asked: Option<Duration>| asked.unwrap_or(PATIENCE).min(PATIENCE);
        Self {
            connect: at_most(options.connect_timeout),
            first_byte: at_most(options.first_byte_timeout),
            between_bytes: at_most(options.between_bytes_timeout),
        }
    }
}

/// The body of an answer, which must not pause for too long.
struct PatientBody {
    body: Incoming,
    between_bytes: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl PatientBody {
    fn new(body: Incoming, between_bytes: Duration) -> Self {
        Self { body, between_bytes, waiting: None }
    }
}

impl Body for PatientBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::from)));
        }
        let between_bytes = this.between_bytes;
        let waiting = this.waiting.get_or_insert_with(|| Box::pin(sleep(between_bytes)));
        waiting.as_mut().poll(context).map(|()| Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
