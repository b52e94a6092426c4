//! Tools of MCP servers: programs that speak the Model Context Protocol (modelcontextprotocol.io), here on stdin and
//! stdout or by streamable HTTP.

use std::fmt;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{CallToolRequestParams, CallToolResult, ContentBlock, ResourceContents};
use rmcp::service::{Peer, RoleClient, RunningService, ServiceExt as _};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use serde_json::Value;

use super::error::{Error, ErrorKind, Result};
use super::tool::{Tool, ToolResult};

/// How long a server has to say which tools it offers. One from a package registry may install itself first.
const START: Duration = Duration::from_secs(60);

/// The most bytes of a tool's result. More would not fit any model's context.
const MOST_BYTES: usize = 1 << 20;

/// A connection to an MCP server. It is open as long as this or one of its [`tools`](McpServer::tools) lives; a server
/// that was started ends with it.
///
/// A server gets the arguments of its own tools' calls and nothing else: no message, no file.
pub struct McpServer {
    name: String,
    connection: Arc<RunningService<RoleClient, ()>>,
    offered: Vec<rmcp::model::Tool>,
}

impl McpServer {
    /// Starts a server: a program that speaks the protocol on its stdin and stdout. Its stderr is this process's. Needs a
    /// tokio runtime with I/O and time.
    ///
    /// # Errors
    /// [`ErrorKind::ToolFailed`] where it cannot be started, ends, or speaks something else.
    pub async fn start(command: tokio::process::Command) -> Result<Self> {
        let words = std::iter::once(command.as_std().get_program()).chain(command.as_std().get_args());
        let name = words.map(std::ffi::OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
        let transport = TokioChildProcess::builder(command).stderr(Stdio::inherit()).spawn();
        let (transport, _) = transport.map_err(|error| failed(&name, format_args!("cannot be started: {error}")))?;
        Self::open(name, ().serve(transport)).await
    }

    /// Connects to a server by streamable HTTP. Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// [`ErrorKind::ToolFailed`] where there is none at the address, or it speaks something else.
    pub async fn connect(url: &str) -> Result<Self> {
        let client = http_client().map_err(|error| failed(url, format_args!("no HTTP client: {error}")))?;
        let config = StreamableHttpClientTransportConfig::with_uri(url);
        let transport = StreamableHttpClientTransport::with_client(client, config);
        Self::open(url.to_owned(), ().serve(transport)).await
    }

    /// Greets a server and asks what it offers.
    async fn open<E: fmt::Display>(
        name: String,
        greeting: impl Future<Output = std::result::Result<RunningService<RoleClient, ()>, E>>,
    ) -> Result<Self> {
        let open = async {
            let connection = greeting.await.map_err(|error| failed(&name, error))?;
            let offered = connection.list_all_tools().await.map_err(|error| failed(&name, error))?;
            Ok::<_, Error>((connection, offered))
        };
        let opened = tokio::time::timeout(START, open).await;
        let waited = || failed(&name, format_args!("did not answer within {} s", START.as_secs()));
        let (connection, offered) = opened.map_err(|_| waited())??;
        Ok(Self { name, connection: Arc::new(connection), offered })
    }

    /// The program with its arguments, or the address.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its tools, as it told them when the connection was made.
    pub fn tools(&self) -> Vec<Tool> {
        self.offered.iter().map(|tool| self.tool(tool)).collect()
    }

    fn tool(&self, tool: &rmcp::model::Tool) -> Tool {
        let name = tool.name.to_string();
        let description = tool.description.as_deref().unwrap_or_default().to_owned();
        let parameters = Value::Object((*tool.input_schema).clone());
        let (connection, called) = (Arc::clone(&self.connection), name.clone());
        Tool::new(name, description, parameters, move |arguments| {
            let (connection, name) = (Arc::clone(&connection), called.clone());
            async move { call(&connection, name, arguments).await }
        })
    }
}

impl fmt::Debug for McpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tools: Vec<&str> = self.offered.iter().map(|tool| tool.name.as_ref()).collect();
        f.debug_struct("McpServer").field("name", &self.name).field("tools", &tools).finish_non_exhaustive()
    }
}

async fn call(server: &Peer<RoleClient>, name: String, arguments: Value) -> ToolResult {
    let Value::Object(arguments) = arguments else {
        return Err(format!("the arguments of {name} are {arguments}, not a JSON object"));
    };
    let request = CallToolRequestParams::new(name.clone()).with_arguments(arguments);
    let result = server.call_tool(request).await.map_err(|error| format!("{name}: {error}"))?;
    read(&name, result)
}

/// What a call came to: the structured result where there is one, else the texts.
fn read(name: &str, result: CallToolResult) -> ToolResult {
    let text = || result.content.iter().map(text).collect::<Vec<_>>().join("\n");
    let value = match &result.structured_content {
        Some(value) => value.clone(),
        None => {
            let text = text();
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        }
    };
    let bytes = value.to_string().len();
    if bytes > MOST_BYTES {
        return Err(format!("{name} answered {bytes} bytes; the most is {MOST_BYTES}"));
    }
    if result.is_error == Some(true) { Err(text()) } else { Ok(value) }
}

/// A piece of a result as a text model can read it.
fn text(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Resource(resource) => match &resource.resource {
            ResourceContents::TextResourceContents { text, .. } => text.clone(),
            _ => "(a binary resource)".to_owned(),
        },
        ContentBlock::ResourceLink(link) => link.uri.clone(),
        ContentBlock::Image(_) => "(an image)".to_owned(),
        _ => "(something that is no text)".to_owned(),
    }
}

/// A client that trusts whom the whole program does. Redirects are not followed: a server's address is the user's
/// choice.
fn http_client() -> std::result::Result<reqwest::Client, Box<dyn std::error::Error>> {
    let tls = wasmlx_store::tls::client_config()?;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(Arc::unwrap_or_clone(tls))
        .redirect(reqwest::redirect::Policy::none())
        // A connection that is used again stalls for 40 ms where an answer was not read to its end (rmcp's own default).
        .pool_max_idle_per_host(0);
    Ok(client.build()?)
}

fn failed(server: &str, why: impl fmt::Display) -> Error {
    Error::new(ErrorKind::ToolFailed, format_args!("the MCP server {server}: {why}"))
}
