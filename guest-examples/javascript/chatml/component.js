// ChatML: each message between <|im_start|> and <|im_end|>, with tools as Hermes describes and calls them.
//
// An interface is an exported object of its name; its resources are classes in it. What a function throws is its error:
// an object with a `tag`, the name of the error's case in WIT, and a `val`, the sentence.

import { Parser } from "./answer.js";
import { dumps } from "./json.js";
import { Prompt } from "./prompt.js";

const START = "<|im_start|>";
const END = "<|im_end|>";
const BEFORE_TOOLS = "You may call tools. The tools are:\n<tools>\n";
const AFTER_TOOLS =
  '</tools>\nTo call a tool, answer with <tool_call>{"name": NAME, "arguments": ARGUMENTS}</tool_call>';

export const template = {
  Parser,

  // This template asks nothing of its configuration.
  configure(config) {},

  render(conversation) {
    if (conversation.context !== null) {
      throw invalid("this template takes no raw context: use the model's own, by the jinja template");
    }
    if (conversation.documents.length > 0) {
      throw invalid("this template takes no documents: use the model's own, by the jinja template");
    }
    const prompt = new Prompt();
    const messages = [...conversation.messages];
    const system = messages[0]?.role === "system" ? content(messages.shift()) : "";
    if (system || conversation.tools.length > 0) {
      prompt.control(START);
      prompt.trusted("system\n");
      prompt.untrusted(system);
      if (conversation.tools.length > 0) {
        prompt.trusted(system ? "\n\n" : "");
        describeTools(prompt, conversation.tools);
      }
      end(prompt);
    }
    for (const message of messages) {
      prompt.control(START);
      prompt.untrusted(message.role);
      prompt.trusted("\n");
      prompt.untrusted(content(message));
      if (message.role === "assistant") {
        message.toolCalls.forEach((call) => writeCall(prompt, call));
      }
      end(prompt);
    }
    if (conversation.addGenerationPrompt) {
      prompt.control(START);
      prompt.trusted("assistant\n");
    }
    return prompt.segments;
  },

  stops() {
    return [END];
  },
};

function end(prompt) {
  prompt.control(END);
  prompt.trusted("\n");
}

function content(message) {
  return message.content.map((part) => part.val).join("");
}

function describeTools(prompt, tools) {
  prompt.trusted(BEFORE_TOOLS);
  for (const { name, description, parameters } of tools) {
    let schema;
    try {
      schema = JSON.parse(parameters || "{}");
    } catch (error) {
      throw invalid(`the parameters of tool \`${name}\` are not JSON: ${error.message}`);
    }
    prompt.untrusted(dumps({ type: "function", function: { name, description, parameters: schema } }));
    prompt.trusted("\n");
  }
  prompt.trusted(AFTER_TOOLS);
}

function writeCall(prompt, call) {
  prompt.trusted('<tool_call>{"name": "');
  prompt.untrusted(call.name);
  prompt.trusted('", "arguments": ');
  let written;
  try {
    written = JSON.parse(call.arguments || "{}");
  } catch {
    // What a model wrote need not be JSON; then it is the text itself.
    written = call.arguments;
  }
  prompt.untrusted(typeof written === "string" ? written : dumps(written));
  prompt.trusted("}</tool_call>");
}

function invalid(sentence) {
  return { tag: "invalid-input", val: sentence };
}
