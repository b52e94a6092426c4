//! Embeds the host: registers a tool, streams an answer.

use std::io::Write as _;

use serde_json::{Value, json};
use wasmlx::{Event, Host, Tool};

#[tokio::main(flavor = "current_thread")]
async fn main() -> wasmlx::Result<()> {
    let host = Host::builder().build()?;
    let model = host.load("builtin").await?;

    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let weather = Tool::new("get_weather", "The weather in a city.", parameters, |arguments: Value| async move {
        Ok(json!({"city": arguments["city"], "sky": "clear", "celsius": 21}))
    });

    let question = std::env::args().nth(1).unwrap_or_else(|| "What is the capital of Japan?".to_owned());
    let chat = model.chat().tool(weather).max_tokens(64).sampler_param("temperature", 0).build().await?;
    let mut turn = chat.send(question).await?;
    while let Some(event) = turn.next().await {
        match event? {
            Event::Content(text) => print!("{text}"),
            Event::ToolCall(call) => eprintln!("calls {}({})", call.name, call.arguments),
            Event::ToolResult { result, .. } => eprintln!("gets {result}"),
            Event::Finished(report) => eprintln!("\n{} tokens/s", report.generation_tps().round()),
            _ => {}
        }
        std::io::stdout().flush().expect("stdout can be written");
    }
    host.stop().await;
    Ok(())
}
