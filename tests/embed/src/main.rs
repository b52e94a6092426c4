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
        eprintln!("asked for the weather in {}", arguments["city"]);
        Ok(json!({"temperature": 21, "condition": "sunny"}))
    });

    let chat = model.chat().tool(weather).max_tokens(64).sampler_param("temperature", 0).build().await?;
    let mut turn = chat.send("What is the weather in Rome?").await?;
    while let Some(event) = turn.next().await {
        match event? {
            Event::Content(text) => print!("{text}"),
            Event::Finished(report) => eprintln!("\n{:.1} tokens/s", report.generation_tps()),
            _ => {}
        }
        std::io::stdout().flush().expect("stdout can be written");
    }
    host.stop().await;
    Ok(())
}
