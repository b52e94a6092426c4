// The plain loop: a turn renders the history through the session's template, lets the model answer, and streams the answer
// as events. It offers the model no tools.
//
// An interface is an exported object of its name; its resources are classes in it. What a function throws is its error:
// an object with a `tag`, the name of the error's case in WIT, and a `val`, the sentence.

import { open as openContext } from "wasmlx:runner/contexts@0.1.0";
import { append, messages } from "wasmlx:runner/history@0.1.0";
import { render } from "wasmlx:runner/templates@0.1.0";

// What lasts from turn to turn.
class Conversation {
  // One context serves all turns: of a prompt that begins as the last one did, the host reads only what is new.
  #context;
  // For the template, and for the generation.
  #options;
  #generate;

  constructor({ options = {}, max_tokens: maxTokens = null, stop: stops = [], seed = null }) {
    this.#options = JSON.stringify(options);
    this.#generate = { maxTokens, stops, seed: seed === null ? null : BigInt(seed), tools: [], grammar: null };
  }

  static open(config) {
    try {
      return new Conversation(JSON.parse(config));
    } catch (error) {
      throw { tag: "invalid-input", val: `the chat's configuration cannot be used: ${error.message}` };
    }
  }

  send() {
    const prompt = render({
      messages: messages(0),
      tools: [],
      documents: [],
      addGenerationPrompt: true,
      options: this.#options,
      context: null,
    });
    this.#context ??= openContext(null);
    this.#context.prompt(prompt);
    return new Turn(this.#context.generate(this.#generate));
  }

  // There is nothing to save: the host keeps the history.
  save() {
    return { version: 1, bytes: new Uint8Array() };
  }

  static restore(config, saved) {
    if (saved.version !== 1) {
      throw { tag: "invalid-input", val: `this chat reads saved states of version 1, not ${saved.version}` };
    }
    return Conversation.open(config);
  }
}

// One turn: the model's answer to the history's last messages.
class Turn {
  #generation;
  #content = "";
  #reasoning = "";
  // Events that have happened and were not fetched yet.
  #events = [];
  #over = false;

  constructor(generation) {
    this.#generation = generation;
  }

  next() {
    return this.nextBatch(1)[0] ?? null;
  }

  nextBatch(max) {
    if (max === 0) {
      throw { tag: "invalid-input", val: "a batch has at least one event: none is the end" };
    }
    while (this.#events.length === 0 && !this.#over) {
      const batch = this.#generation.nextBatch(max);
      if (batch.length === 0) {
        throw { tag: "model-failed", val: "the answer broke off without a reason" };
      }
      batch.forEach((event) => this.#take(event));
    }
    return this.#events.splice(0, max);
  }

  #take({ tag, val }) {
    if (tag === "finished") {
      this.#finish(val);
    } else if (val.tag === "content") {
      this.#content += val.val;
      this.#events.push(val);
    } else if (val.tag === "reasoning") {
      this.#reasoning += val.val;
      this.#events.push(val);
    }
    // No tool was offered: what looks like a call of one is nothing to act on.
  }

  // The answer is complete, or as complete as it gets: a cut one belongs in the history too, since it was shown.
  #finish({ reason, usage }) {
    append({
      role: "assistant",
      content: this.#content ? [{ tag: "text", val: this.#content }] : [],
      reasoning: this.#reasoning || null,
      toolCalls: [],
      toolCallId: null,
      name: null,
    });
    this.#events.push({ tag: "usage", val: usage }, { tag: "done", val: reason });
    this.#over = true;
  }
}

export const chat = { Conversation, Turn };
