// An agent that asks the model a question, its arguments, and prints the answer as it comes.
//
// What the host fails with is thrown, and so is what fails here: an object with a `tag`, the name of the error's case in
// WIT, and a `val`, the sentence that the user is shown as the reason why the agent failed.

import { print } from "wasmlx:runner/console@0.1.0";
import { open as openContext } from "wasmlx:runner/contexts@0.1.0";
import { render } from "wasmlx:runner/templates@0.1.0";

// The most tokens of an answer.
const TOKENS = 512;

export function run(args) {
  if (args.length === 0) {
    throw { tag: "invalid-input", val: "usage: QUESTION" };
  }
  answer(prompt(args.join(" ")));
}

// A conversation that is one question, as the session's template writes it.
function prompt(question) {
  const message = {
    role: "user",
    content: [{ tag: "text", val: question }],
    reasoning: null,
    toolCalls: [],
    toolCallId: null,
    name: null,
  };
  return render({
    messages: [message],
    tools: [],
    documents: [],
    addGenerationPrompt: true,
    options: "{}",
    context: null,
  });
}

// Prints the model's answer as it comes.
function answer(segments) {
  const context = openContext(null);
  context.prompt(segments);
  const generation = context.generate({ maxTokens: TOKENS, stops: [], seed: null, tools: [], grammar: null });
  let said = false;
  for (let event = generation.next(); event; event = generation.next()) {
    const { tag, val } = event;
    if (tag === "output" && val.tag === "content") {
      said = true;
      print(val.val);
    } else if (tag === "finished") {
      if (!said) {
        throw { tag: "model-failed", val: "the model said nothing" };
      }
      print(val.reason === "length" ? " [cut]\n" : "\n");
    }
    // Reasoning is not for the user, and no tool was offered.
  }
}
