// Reads a model's answer as it streams in: what is content, what is reasoning, what is a call of a tool.
//
// Text is said as soon as it is certain. Held back are what may still become a marker, white space that a marker may
// follow, and a call until its closing tag.

import { dumps } from "./json.js";

const THINK = "<think>";
const THINK_END = "</think>";
const CALL = "<tool_call>";
const CALL_END = "</tool_call>";

export class Parser {
  // Which part the text is in: "start" (before anything but white space), "reasoning", "content" or "call".
  #state = "start";
  // Whether the model was offered tools. Where it was not, nothing is a call.
  #tools;
  // Text that is not understood yet.
  #pending = "";
  // White space that is said only if more of the same part follows it.
  #space = "";
  // Whether white space at the start of what follows is left out, since a marker stands before it.
  #afterMarker = false;
  #outputs = [];

  constructor(answer) {
    this.#tools = answer.tools.length > 0;
    if (answer.promptEnd.trimEnd().endsWith(THINK)) {
      this.#passMarker("reasoning");
    }
  }

  push(text) {
    this.#pending += text;
    while (this.#step());
    return this.#take();
  }

  finish() {
    if (this.#state === "call") {
      // It never ended, so it was none.
      this.#state = "content";
      this.#say(CALL);
    }
    this.#say(this.#pending);
    this.#pending = "";
    if (this.#state !== "reasoning" && !this.#afterMarker && this.#space) {
      this.#outputs.push({ tag: "content", val: this.#space });
      this.#space = "";
    }
    return this.#take();
  }

  #take() {
    return this.#outputs.splice(0);
  }

  // Understands some of the pending text. Returns whether there may be more to understand.
  #step() {
    switch (this.#state) {
      case "start": {
        const text = this.#pending.trimStart();
        if (text.startsWith(THINK)) {
          this.#pending = text.slice(THINK.length);
          this.#passMarker("reasoning");
          return true;
        }
        if (THINK.startsWith(text)) {
          return false;
        }
        this.#state = "content";
        return true;
      }
      case "reasoning":
        if (!this.#sayUntil(THINK_END)) {
          return false;
        }
        this.#passMarker("content");
        return true;
      case "content":
        if (!this.#tools) {
          this.#say(this.#pending);
          this.#pending = "";
          return false;
        }
        if (!this.#sayUntil(CALL)) {
          return false;
        }
        this.#state = "call";
        return true;
      case "call": {
        const end = this.#pending.indexOf(CALL_END);
        if (end < 0) {
          return false;
        }
        const written = this.#pending.slice(0, end);
        this.#pending = this.#pending.slice(end + CALL_END.length);
        this.#state = "content";
        this.#sayCall(written);
        return true;
      }
    }
  }

  #sayCall(written) {
    let call;
    try {
      call = JSON.parse(written);
    } catch {
      // It is none, as its lack of a name says.
    }
    if (typeof call?.name !== "string") {
      this.#say(CALL + written + CALL_END);
      return;
    }
    // Some models write the arguments as a string that holds JSON.
    const given = call.arguments ?? {};
    this.#outputs.push(
      { tag: "tool-call-start", val: call.name },
      { tag: "tool-call-arguments", val: typeof given === "string" ? given : dumps(given) },
      { tag: "tool-call-end" },
    );
    this.#passMarker("content");
  }

  // White space around a marker counts for nothing.
  #passMarker(state) {
    this.#state = state;
    this.#space = "";
    this.#afterMarker = true;
  }

  // Says what stands before a marker and passes it, if it is there; else says what is certain.
  #sayUntil(marker) {
    const pending = this.#pending;
    const at = pending.indexOf(marker);
    if (at >= 0) {
      this.#pending = pending.slice(at + marker.length);
      this.#say(pending.slice(0, at));
      return true;
    }
    let held = Math.min(marker.length - 1, pending.length);
    while (!pending.endsWith(marker.slice(0, held))) {
      held -= 1;
    }
    this.#pending = pending.slice(pending.length - held);
    this.#say(pending.slice(0, pending.length - held));
    return false;
  }

  // Says a text, but for white space at its end; what was held back of such before comes first.
  #say(text) {
    const kept = text.trimEnd();
    if (kept) {
      const tag = this.#state === "reasoning" ? "reasoning" : "content";
      this.#outputs.push({ tag, val: this.#afterMarker ? kept.trimStart() : this.#space + kept });
      this.#space = "";
      this.#afterMarker = false;
    }
    this.#space += text.slice(kept.length);
  }
}
