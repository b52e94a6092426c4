//! Tools that the user gives on the command line: shell commands, and the tools of MCP servers.

use std::process::Stdio;
use std::str::FromStr;

use clap::Args;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
#[cfg(feature = "mcp")]
use wasmlx::McpServer;
use wasmlx::{ChatBuilder, Tool, ToolResult};

use crate::failure::Result;

/// The most bytes of a command's result. More would not fit any model's context.
const MOST_BYTES: u64 = 1 << 20;

/// What of a failed command's stderr the model gets to read, in bytes.
const MOST_COMPLAINT: u64 = 4 << 10;

/// What the model may call.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Tools")]
pub(crate) struct ToolOptions {
    /// Let the model call a shell command, which gets the arguments as JSON on stdin and prints the result. SIGNATURE is
    /// a name, or a name with parameters: `get_weather(city: string, days?: integer)`
    #[arg(long, value_name = "SIGNATURE=COMMAND")]
    tool: Vec<CommandTool>,
    /// Let the model call the tools of an MCP server: the shell command that starts it, or its http(s) address
    #[cfg(feature = "mcp")]
    #[arg(long, value_name = "COMMAND|URL")]
    mcp: Vec<String>,
}

impl ToolOptions {
    /// Gives the tools to a chat. MCP servers are started for it.
    pub(crate) async fn apply(&self, mut builder: ChatBuilder) -> Result<ChatBuilder> {
        for tool in &self.tool {
            builder = builder.tool(tool.clone().into_tool());
        }
        #[cfg(feature = "mcp")]
        for server in &self.mcp {
            let is_address = server.starts_with("http://") || server.starts_with("https://");
            let server = match is_address {
                true => McpServer::connect(server).await?,
                false => McpServer::start(shell(server)).await?,
            };
            for tool in server.tools() {
                builder = builder.tool(tool);
            }
        }
        Ok(builder)
    }
}

/// A shell command as a tool: `get_weather(city: string)=./weather --json`.
#[derive(Debug, Clone, PartialEq)]
struct CommandTool {
    name: String,
    /// The JSON Schema of its arguments.
    parameters: Value,
    command: String,
}

impl FromStr for CommandTool {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (signature, command) = text.split_once('=').ok_or("a command is needed: `get_weather=./weather`")?;
        let (name, parameters) = match signature.trim().split_once('(') {
            None => (signature, ""),
            Some((name, rest)) => (name, rest.strip_suffix(')').ok_or("the parameters lack their closing bracket")?),
        };
        let (name, command) = (name.trim(), command.trim());
        if command.is_empty() {
            return Err(format!("`{name}` has no command behind the `=`"));
        }
        is_name(name)?;
        Ok(Self { name: name.to_owned(), parameters: schema(parameters)?, command: command.to_owned() })
    }
}

/// The schema of `city: string, days?: integer`. A parameter without a type takes anything; one with a question mark
/// may be left out.
fn schema(parameters: &str) -> std::result::Result<Value, String> {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for parameter in parameters.split(',').map(str::trim).filter(|parameter| !parameter.is_empty()) {
        let (name, kind) = match parameter.split_once(':') {
            Some((name, kind)) => (name.trim(), Some(kind.trim())),
            None => (parameter, None),
        };
        let (name, optional) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
        is_name(name)?;
        let kinds = ["string", "number", "integer", "boolean", "array", "object"];
        let property = match kind {
            None => json!({}),
            Some(kind) if kinds.contains(&kind) => json!({ "type": kind }),
            Some(kind) => return Err(format!("`{kind}` is no type: {}", kinds.join(", "))),
        };
        if properties.insert(name.to_owned(), property).is_some() {
            return Err(format!("the parameter `{name}` is there twice"));
        }
        if !optional {
            required.push(name);
        }
    }
    Ok(json!({"type": "object", "properties": properties, "required": required}))
}

/// Names of tools and parameters are what models know: letters, digits, `_` and `-`.
fn is_name(name: &str) -> std::result::Result<(), String> {
    let known = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(known) { Ok(()) } else { Err(format!("`{name}` is no name")) }
}

impl CommandTool {
    fn into_tool(self) -> Tool {
        let Self { name, parameters, command } = self;
        let description = name.replace(['_', '-'], " ");
        Tool::new(name, description, parameters, move |arguments| {
            let command = command.clone();
            async move { run(&command, &arguments).await }
        })
    }
}

/// Runs a command to its end. Where this is dropped, the command and what it has started are killed.
async fn run(command: &str, arguments: &Value) -> ToolResult {
    let told = |what: &str, error: std::io::Error| format!("{what} `{command}`: {error}");
    let mut process = shell(command);
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Group(process.spawn().map_err(|error| told("cannot start", error))?);
    let (stdin, stdout, stderr) = (child.0.stdin.take(), child.0.stdout.take(), child.0.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A command need not read its arguments.
            let _ = stdin.write_all(arguments.to_string().as_bytes()).await;
        }
    };
    let (_, output, complaint) = tokio::join!(write, read(stdout, MOST_BYTES), read(stderr, MOST_COMPLAINT));
    let output = output.map_err(|error| told("cannot read", error))?;
    if output.len() as u64 > MOST_BYTES {
        return Err(format!("`{command}` printed more than {MOST_BYTES} bytes"));
    }
    let status = child.0.wait().await.map_err(|error| told("cannot wait for", error))?;
    let text = String::from_utf8_lossy(&output).trim().to_owned();
    if !status.success() {
        let complaint = complaint.unwrap_or_default();
        let complaint = String::from_utf8_lossy(&complaint);
        return Err(format!("`{command}` failed ({status}): {}", complaint.trim()));
    }
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// What a pipe gives, up to one byte more than `most`; whatever comes after it is read and dropped, so that nobody waits.
async fn read(pipe: Option<impl AsyncRead + Unpin>, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(most + 1).read_to_end(&mut bytes).await?;
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}

/// A command by the user's shell language, in a process group of its own: Ctrl-C is for the answer, which ends it.
fn shell(command: &str) -> Command {
    let mut process = Command::new("sh");
    process.args(["-c", command]).kill_on_drop(true);
    #[cfg(unix)]
    process.process_group(0);
    process
}

/// A process with its group, which is killed with it.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(id) = self.0.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
            // It may have ended by itself.
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_a_schema() {
        let tool: CommandTool = "get_weather(city: string, days?: integer, unit)=./weather a=b".parse().unwrap();
        let properties = json!({"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {}});
        let parameters = json!({"type": "object", "properties": properties, "required": ["city", "unit"]});
        let command = "./weather a=b".to_owned();
        assert_eq!(tool, CommandTool { name: "get_weather".into(), parameters, command });
        let tool: CommandTool = "now=date".parse().unwrap();
        assert_eq!(tool.parameters, json!({"type": "object", "properties": {}, "required": []}));
    }

    #[test]
    fn what_is_no_tool_is_refused_with_a_reason() {
        for (text, expected) in [
            ("weather", "a command is needed"),
            ("weather=", "no command"),
            ("=./weather", "`` is no name"),
            ("we ather=x", "is no name"),
            ("weather(city=x", "closing bracket"),
            ("weather(city: text)=x", "`text` is no type"),
            ("weather(a, a)=x", "twice"),
        ] {
            let error = text.parse::<CommandTool>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[tokio::test]
    async fn a_command_answers_what_it_prints() {
        let arguments = json!({"city": "Rome"});
        assert_eq!(run("cat", &arguments).await, Ok(arguments.clone()));
        assert_eq!(run("echo warm", &arguments).await, Ok("warm".into()));
        let error = run("echo no such city >&2; exit 3", &arguments).await.unwrap_err();
        assert!(error.contains("exit status: 3") && error.contains("no such city"), "{error}");
        let error = run("yes | head -c 3000000", &arguments).await.unwrap_err();
        assert!(error.contains("more than 1048576 bytes"), "{error}");
        // More than a pipe holds, unread.
        let much = json!({"text": "x".repeat(1 << 20)});
        assert_eq!(run("echo done", &much).await, Ok("done".into()));
    }

    #[tokio::test]
    async fn a_command_that_is_given_up_is_killed_with_all_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let started = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(started.success());
        // The background process holds the pipe's writing end open, so that its end is what ends the reading.
        let command = format!("(echo up; exec sleep 1000) > {} & wait", pipe.display());
        let running = tokio::spawn(async move { run(&command, &json!({})).await });
        let read = tokio::task::spawn_blocking(move || {
            use std::io::{BufRead as _, BufReader, Read as _};
            let mut pipe = BufReader::new(std::fs::File::open(pipe).unwrap());
            let mut line = String::new();
            pipe.read_line(&mut line).unwrap();
            running.abort();
            pipe.read_to_string(&mut line).unwrap();
            line
        });
        assert_eq!(read.await.unwrap(), "up\n");
    }
}
